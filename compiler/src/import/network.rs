//! NetworkPolicies with one subject: what several of them allow together, since the API adds them up.
//!
//! A direction that no policy isolates is open in the source. A pack denies what it does not allow, so rules
//! over all peers open that direction.

use serde_json::{Value, json};

use super::objects::{Losses, Object, Widens, label};
use super::{ImportError, object};
use crate::lower::RESERVED;
use crate::reach::cidr::Cidr;

/// The label that every namespace has.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// The namespace of an object that names none, unless the user applies it to another.
const DEFAULT_NAMESPACE: &str = "default";
/// What a wide network of a pack excludes.
const NOT_BROUGHT: &str = "private, link-local and metadata addresses are not reached by a wider network, only by one that names them";
/// The highest port.
const LAST_PORT: u64 = 65_535;

pub(super) fn spec(objects: &[Object<'_>], losses: &mut Losses) -> Result<Value, ImportError> {
    let subject = one_subject(objects)?;
    for policy in objects.iter().filter(|one| namespace(**one).is_none()) {
        let reason = format!(
            "it names no namespace and goes where it is applied; the pack governs `{DEFAULT_NAMESPACE}` alone, so write the namespace in"
        );
        losses.add(*policy, "metadata.namespace", reason, Widens::Yes);
    }
    let mut network = serde_json::Map::new();
    for way in [Way::Egress, Way::Ingress] {
        let mut rules = Vec::new();
        let isolating: Vec<Object<'_>> =
            objects.iter().copied().filter(|one| way.is_isolated_by(*one)).collect();
        if isolating.is_empty() {
            rules = way.everything(way.word(), &[]);
            if let (Way::Egress, Some(first)) = (way, objects.first()) {
                losses.add(
                    *first,
                    "spec.policyTypes",
                    format!("egress is open in the source; {NOT_BROUGHT}"),
                    Widens::No,
                );
            }
        }
        for policy in isolating {
            let listed = policy.at(&format!("/spec/{}", way.word())).and_then(Value::as_array);
            for (index, rule) in listed.into_iter().flatten().enumerate() {
                let made = way.rules(policy, index, rule, &names(&rules), losses);
                losses.made(&names(&made), policy);
                rules.extend(made);
            }
        }
        if !rules.is_empty() {
            network.insert(way.word().to_owned(), rules.into());
        }
    }
    for policy in objects {
        let spec = policy.at("/spec").unwrap_or(&Value::Null);
        losses.unknown(*policy, spec, "spec", &["podSelector", "policyTypes", "ingress", "egress"]);
    }
    Ok(json!({"subjects": subject, "network": network}))
}

fn names(rules: &[Value]) -> Vec<String> {
    rules.iter().filter_map(|rule| rule.get("name")?.as_str().map(str::to_owned)).collect()
}

/// The namespace that a policy names.
fn namespace(policy: Object<'_>) -> Option<&str> {
    policy.at("/metadata/namespace").and_then(Value::as_str).filter(|name| !name.is_empty())
}

/// The common subject of all policies.
fn one_subject(objects: &[Object<'_>]) -> Result<Value, ImportError> {
    let of = |policy: &Object<'_>| {
        let namespace = namespace(*policy).unwrap_or(DEFAULT_NAMESPACE);
        let pods = policy.at("/spec/podSelector").cloned().unwrap_or_else(|| json!({}));
        (namespace.to_owned(), pods)
    };
    let mut subjects = objects.iter().map(of);
    let Some((namespace, pods)) = subjects.next() else {
        return Err(ImportError::Nothing("there is no NetworkPolicy".to_owned()));
    };
    if subjects.any(|other| other != (namespace.clone(), pods.clone())) {
        let names: Vec<String> = objects.iter().map(|one| one.name()).collect();
        return Err(ImportError::Subjects(format!("{} select different pods", names.join(", "))));
    }
    let namespaces = json!({"selector": {"matchLabels": {NAMESPACE_LABEL: namespace}}});
    let pods = if pods.as_object().is_some_and(serde_json::Map::is_empty) { Value::Null } else { pods };
    Ok(object([("namespaces", namespaces), ("pods", pods)]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Ingress,
    Egress,
}

impl Way {
    const fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The field of peers, in the API and in packs.
    const fn peer(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }

    /// Without `policyTypes`: ingress always, and egress if there are egress rules.
    fn is_isolated_by(self, policy: Object<'_>) -> bool {
        match policy.at("/spec/policyTypes").and_then(Value::as_array).filter(|types| !types.is_empty()) {
            Some(types) => types.iter().any(|one| match self {
                Self::Ingress => one == "Ingress",
                Self::Egress => one == "Egress",
            }),
            None => match self {
                Self::Ingress => true,
                Self::Egress => {
                    policy.at("/spec/egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty())
                }
            },
        }
    }

    /// One rule of a policy, as a rule for each peer.
    fn rules(
        self,
        policy: Object<'_>,
        index: usize,
        rule: &Value,
        taken: &[String],
        losses: &mut Losses,
    ) -> Vec<Value> {
        let path = format!("spec.{}[{index}]", self.word());
        losses.unknown(policy, rule, &path, &[self.peer(), "ports"]);
        let Some(ports) = ports(policy, rule, &path, losses) else { return Vec::new() };
        let begin = format!("{}-{}-{index}", policy.own_name(), self.word());
        let peers = rule.get(self.peer()).and_then(Value::as_array).filter(|peers| !peers.is_empty());
        let Some(peers) = peers else {
            if self == Self::Egress {
                losses.add(policy, &path, NOT_BROUGHT, Widens::No);
            }
            let mut all = self.everything(&label(&begin, taken), taken);
            for one in &mut all {
                one["ports"] = ports.clone();
            }
            return all;
        };
        let mut made: Vec<Value> = Vec::new();
        for (at, peer) in peers.iter().enumerate() {
            let path = format!("{path}.{}[{at}]", self.peer());
            losses.unknown(policy, peer, &path, &["ipBlock", "namespaceSelector", "podSelector"]);
            let selector = |name: &str| peer.get(name).cloned().unwrap_or_default();
            let other = match peer.get("ipBlock").filter(|block| !block.is_null()) {
                Some(block) => {
                    let part = |name: &str| block.get(name).cloned().unwrap_or_default();
                    object([("cidr", part("cidr")), ("except", part("except"))])
                }
                None => {
                    object([("namespaces", selector("namespaceSelector")), ("pods", selector("podSelector"))])
                }
            };
            if self == Self::Egress && brings_reserved(&other) {
                losses.add(policy, &path, NOT_BROUGHT, Widens::No);
            }
            let mut known = taken.to_vec();
            known.extend(names(&made));
            let name = label(&format!("{begin}-{at}"), &known);
            made.push(json!({"name": name, self.peer(): other, "ports": ports}));
        }
        made
    }

    /// Rules over all peers and ports.
    fn everything(self, begin: &str, taken: &[String]) -> Vec<Value> {
        let peers = [
            ("pods", json!({"namespaces": {}})),
            ("ipv4", json!({"cidr": "0.0.0.0/0"})),
            ("ipv6", json!({"cidr": "::/0"})),
        ];
        let rules = peers.map(|(what, peer)| {
            let name = label(&format!("{begin}-all-{what}"), taken);
            json!({"name": name, self.peer(): peer, "ports": all_ports()})
        });
        rules.into()
    }
}

/// Whether a network contains a range that a pack excludes from a wider network.
fn brings_reserved(peer: &Value) -> bool {
    let whole = peer.get("cidr").and_then(Value::as_str).and_then(|cidr| Cidr::parse(cidr).ok());
    whole.is_some_and(|whole| {
        let inside =
            |range: &&str| Cidr::parse(range).is_ok_and(|range| whole != range && whole.contains(range));
        RESERVED.iter().any(inside)
    })
}

fn all_ports() -> Value {
    let all = |protocol: &str| json!({"port": 1, "endPort": LAST_PORT, "protocol": protocol});
    json!([all("TCP"), all("UDP"), all("SCTP")])
}

/// The ports of a rule; `None` if none of them can be expressed, so the rule allows nothing.
fn ports(policy: Object<'_>, rule: &Value, path: &str, losses: &mut Losses) -> Option<Value> {
    let listed = rule.get("ports").and_then(Value::as_array).filter(|ports| !ports.is_empty());
    let Some(listed) = listed else { return Some(all_ports()) };
    let mut made = Vec::new();
    for (index, port) in listed.iter().enumerate() {
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
        match port.get("port").filter(|port| !port.is_null()) {
            None => made.push(json!({"port": 1, "endPort": LAST_PORT, "protocol": protocol})),
            Some(number) if number.is_u64() => {
                let end = port.get("endPort").cloned().unwrap_or_default();
                made.push(object([
                    ("port", number.clone()),
                    ("endPort", end),
                    ("protocol", protocol.into()),
                ]));
            }
            Some(name) => {
                let reason = format!("{name} is a name that each pod gives a number; it is denied");
                losses.add(policy, &format!("{path}.ports[{index}]"), reason, Widens::No);
            }
        }
    }
    (!made.is_empty()).then(|| made.into())
}
