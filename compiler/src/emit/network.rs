//! NetworkPolicies: one that denies both directions to the governed pods, and one for each rule that allows.
//!
//! Policies unite, so each rule is independent, and no rule can revoke what another allows. This module
//! avoids three traps of the API: an absent `policyTypes` isolates ingress only; an empty `to`, `from` or
//! `ports` means everything, so a rule without peers or ports is not written at all; and a rule for IPv4 does
//! not affect IPv6. Semantics: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>.

use bailiwick_policy::policy::{LabelSelector, Network, NetworkRule, Origin, Peer, PortRange, Protocol};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::artifact::{Artifact, Target};
use super::cell::Cell;
use super::manifest::Documents;
use super::{EmitError, address, selector};

const EGRESS: &str = "Egress";
const INGRESS: &str = "Ingress";

/// The file, and the connections that it does not allow although a rule of the policy does.
pub(super) struct Emitted {
    pub(super) artifact: Option<Artifact>,
    pub(super) narrowed: Vec<Narrowed>,
}

/// A peer that was emitted narrower than written.
pub(super) struct Narrowed {
    /// Direction and name: `egress/package-index`.
    pub(super) rule: String,
    /// What was excepted, and from what.
    pub(super) what: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Egress,
    Ingress,
}

pub(super) fn emit(cell: &Cell<'_>) -> Result<Emitted, EmitError> {
    let nothing = Emitted { artifact: None, narrowed: Vec::new() };
    let (Some(network), Some(pods)) = (&cell.policy.network, cell.pods()) else { return Ok(nothing) };
    let mut narrowed = Vec::new();
    let mut policies = vec![default_deny(cell, &pods)];
    policies.extend(allowed(cell, network, &pods, &mut narrowed)?);
    let namespaces = cell.known_namespaces();
    let mut documents = Documents::new("kubernetes/network-policies.yaml");
    if namespaces.is_empty() {
        for policy in &policies {
            documents.push(policy)?;
        }
    }
    for namespace in namespaces {
        for policy in &policies {
            let mut policy = policy.clone();
            policy.metadata.namespace = Some(namespace.clone());
            documents.push(&policy)?;
        }
    }
    let rules = network.egress.iter().chain(&network.ingress).flat_map(|rule| &rule.from);
    let subject: Vec<Origin> = cell.policy.subject.iter().flat_map(|subject| subject.from.clone()).collect();
    let from = cell.fields(network.from.iter().chain(rules).chain(&subject))?;
    let artifact = documents.bytes().map(|bytes| Artifact { bytes, target: Target::NetworkPolicy, from });
    Ok(Emitted { artifact, narrowed })
}

/// The policies of all rules, for these pods.
pub(super) fn allowed(
    cell: &Cell<'_>,
    network: &Network,
    pods: &LabelSelector,
    narrowed: &mut Vec<Narrowed>,
) -> Result<Vec<NetworkPolicy>, EmitError> {
    let mut policies = Vec::new();
    for (direction, rules) in [(Direction::Egress, &network.egress), (Direction::Ingress, &network.ingress)] {
        for rule in rules {
            policies.extend(allow(cell, pods, direction, rule, narrowed)?);
        }
    }
    Ok(policies)
}

/// The policy that denies all traffic.
pub(super) fn default_deny(cell: &Cell<'_>, pods: &LabelSelector) -> NetworkPolicy {
    NetworkPolicy {
        metadata: cell.metadata(cell.name("default-deny")),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector::kubernetes(pods)),
            policy_types: Some(vec![INGRESS.to_owned(), EGRESS.to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// The policy of one rule; `None` if the rule allows nothing.
fn allow(
    cell: &Cell<'_>,
    pods: &LabelSelector,
    direction: Direction,
    rule: &NetworkRule,
    narrowed: &mut Vec<Narrowed>,
) -> Result<Option<NetworkPolicy>, EmitError> {
    let (kind, policy_type) = match direction {
        Direction::Egress => ("egress", EGRESS),
        Direction::Ingress => ("ingress", INGRESS),
    };
    let id = format!("{kind}/{}", rule.name);
    let mut peers = Vec::new();
    for peer in &rule.peers {
        peers.extend(self::peer(peer, direction, &id, narrowed)?);
    }
    let ports: Vec<_> = rule.ports.iter().filter_map(port).collect();
    if peers.is_empty() || ports.is_empty() {
        return Ok(None);
    }
    let mut spec = NetworkPolicySpec {
        pod_selector: Some(selector::kubernetes(pods)),
        policy_types: Some(vec![policy_type.to_owned()]),
        ..NetworkPolicySpec::default()
    };
    match direction {
        Direction::Egress => {
            spec.egress = Some(vec![NetworkPolicyEgressRule { ports: Some(ports), to: Some(peers) }]);
        }
        Direction::Ingress => {
            spec.ingress = Some(vec![NetworkPolicyIngressRule { from: Some(peers), ports: Some(ports) }]);
        }
    }
    let name = cell.name(&format!("{kind}-{}", rule.name));
    Ok(Some(NetworkPolicy { metadata: cell.metadata(name), spec: Some(spec) }))
}

/// `None` if the peer selects nothing.
fn peer(
    peer: &Peer,
    direction: Direction,
    rule: &str,
    narrowed: &mut Vec<Narrowed>,
) -> Result<Option<NetworkPolicyPeer>, EmitError> {
    match peer {
        Peer::Pods { namespaces, pods } => {
            let pods = selector::conjoin(pods);
            let namespaces = namespaces.as_deref().map(selector::conjoin);
            if !selector::can_match(&pods)
                || namespaces.as_ref().is_some_and(|selector| !selector::can_match(selector))
            {
                return Ok(None);
            }
            Ok(Some(NetworkPolicyPeer {
                namespace_selector: namespaces.as_ref().map(selector::kubernetes),
                pod_selector: Some(selector::kubernetes(&pods)),
                ip_block: None,
            }))
        }
        Peer::Cidr { cidr, except } => {
            // Only egress can reach a metadata service; ingress from a private network is usually a load
            // balancer.
            let special = if direction == Direction::Egress { address::SPECIAL.as_slice() } else { &[] };
            let Some(block) = address::block(cidr, except, special)? else { return Ok(None) };
            if !block.added.is_empty() {
                let what = format!("`{cidr}` without {}", block.added.join(", "));
                narrowed.push(Narrowed { rule: rule.to_owned(), what });
            }
            let except = (!block.except.is_empty()).then_some(block.except);
            let ip_block = Some(IPBlock { cidr: cidr.clone(), except });
            Ok(Some(NetworkPolicyPeer { ip_block, ..NetworkPolicyPeer::default() }))
        }
    }
}

/// `None` for a range without ports, since port 0 is not a port.
fn port(range: &PortRange) -> Option<NetworkPolicyPort> {
    let first = range.first.max(1);
    if range.last < first {
        return None;
    }
    let protocol = match range.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    Some(NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(first))),
        end_port: (range.last > first).then(|| i32::from(range.last)),
    })
}
