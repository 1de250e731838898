//! The semantics of NetworkPolicies as the API documents them, over emitted objects as plain JSON. Written
//! from `k8s.io/api/networking/v1/types.go`, not from the emitter.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::world::{Packet, Pod, World, within};

pub(crate) struct Simulator {
    policies: Vec<Value>,
}

impl Simulator {
    /// Takes the objects as stored, with the API server's defaults.
    pub(crate) fn new(mut policies: Vec<Value>) -> Self {
        for policy in &mut policies {
            let spec = &mut policy["spec"];
            if spec.get("policyTypes").is_none() {
                let egress =
                    spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
                spec["policyTypes"] = if egress {
                    serde_json::json!(["Ingress", "Egress"])
                } else {
                    serde_json::json!(["Ingress"])
                };
            }
        }
        Self { policies }
    }

    /// A connection needs the consent of both ends.
    pub(crate) fn allows(&self, world: &World, packet: &Packet) -> bool {
        let out = self.consents(world, packet.source, packet.destination, packet, ("Egress", "egress", "to"));
        out && self.consents(world, packet.destination, packet.source, packet, ("Ingress", "ingress", "from"))
    }

    /// Whether the end `own` allows the packet: it is not isolated in this direction, or some rule of some
    /// policy matches.
    fn consents(
        &self,
        world: &World,
        own: IpAddr,
        other: IpAddr,
        packet: &Packet,
        (policy_type, rules, peers): (&str, &str, &str),
    ) -> bool {
        let Some(pod) = world.pod(own) else { return true };
        let mut isolated = false;
        for policy in &self.policies {
            let spec = &policy["spec"];
            let applies = policy["metadata"]["namespace"] == pod.namespace
                && selects(&spec["podSelector"], &pod.labels)
                && spec["policyTypes"].as_array().unwrap().iter().any(|one| one == policy_type);
            if !applies {
                continue;
            }
            isolated = true;
            let rules = spec.get(rules).and_then(Value::as_array).into_iter().flatten();
            if rules.into_iter().any(|rule| {
                any_or_empty(rule.get(peers), |peer| peer_matches(peer, world, other, pod.namespace))
                    && any_or_empty(rule.get("ports"), |port| port_matches(port, packet))
            }) {
                return true;
            }
        }
        !isolated
    }
}

/// An absent or empty list matches everything.
fn any_or_empty(list: Option<&Value>, matches: impl Fn(&Value) -> bool) -> bool {
    match list.and_then(Value::as_array) {
        None => true,
        Some(items) => items.is_empty() || items.iter().any(matches),
    }
}

fn peer_matches(peer: &Value, world: &World, address: IpAddr, own_namespace: &str) -> bool {
    if let Some(block) = peer.get("ipBlock") {
        let except = block.get("except").and_then(Value::as_array).into_iter().flatten();
        return within(address, block["cidr"].as_str().unwrap())
            && !except.into_iter().any(|range| within(address, range.as_str().unwrap()));
    }
    let Some(Pod { namespace, labels, .. }) = world.pod(address) else { return false };
    let in_namespace = match peer.get("namespaceSelector") {
        None => *namespace == own_namespace,
        Some(selector) => selects(selector, &world.namespaces[namespace]),
    };
    in_namespace && peer.get("podSelector").is_none_or(|selector| selects(selector, labels))
}

fn port_matches(port: &Value, packet: &Packet) -> bool {
    let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
    let number = u64::from(packet.port);
    protocol == packet.protocol
        && match port.get("port") {
            None => true,
            Some(first) => {
                let first = first.as_u64().unwrap();
                (first..=port.get("endPort").map_or(first, |last| last.as_u64().unwrap())).contains(&number)
            }
        }
}

fn selects(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let wanted = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    wanted.into_iter().all(|(key, value)| labels.get(key.as_str()).copied() == value.as_str())
        && expressions.into_iter().all(|expression| {
            let value = labels.get(expression["key"].as_str().unwrap()).copied();
            let listed = || {
                let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
                values.into_iter().any(|one| one.as_str() == value)
            };
            match expression["operator"].as_str().unwrap() {
                "In" => value.is_some() && listed(),
                "NotIn" => value.is_none() || !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("operator {other}"),
            }
        })
}
