//! What a policy's network section means for a packet, read from the policy and not from anything emitted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bailiwick_policy::policy::{LabelOperator, LabelSelector, NetworkRule, Peer, Policy, Protocol};

use super::world::{Packet, UNREACHABLE, World, within};

pub(crate) fn intended(policy: &Policy, world: &World, packet: &Packet) -> bool {
    let network = policy.network.as_ref().unwrap();
    let allowed = |own: IpAddr, other: IpAddr, rules: &[NetworkRule], outgoing: bool| {
        let Some(pod) = world.pod(own).filter(|pod| pod.governed()) else { return true };
        rules.iter().any(|rule| {
            rule.ports.iter().any(|range| {
                let protocol = match range.protocol {
                    Protocol::Tcp => "TCP",
                    Protocol::Udp => "UDP",
                    Protocol::Sctp => "SCTP",
                };
                protocol == packet.protocol && (range.first..=range.last).contains(&packet.port)
            }) && rule.peers.iter().any(|peer| is_peer(peer, world, other, pod.namespace, outgoing))
        })
    };
    allowed(packet.source, packet.destination, &network.egress, true)
        && allowed(packet.destination, packet.source, &network.ingress, false)
}

fn is_peer(peer: &Peer, world: &World, address: IpAddr, own_namespace: &str, outgoing: bool) -> bool {
    match peer {
        Peer::Pods { namespaces, pods } => world.pod(address).is_some_and(|pod| {
            let in_namespace = match namespaces {
                None => pod.namespace == own_namespace,
                Some(selectors) => selectors.iter().all(|one| selects(one, &world.namespaces[pod.namespace])),
            };
            in_namespace && pods.iter().all(|one| selects(one, &pod.labels))
        }),
        Peer::Cidr { cidr, except } => {
            within(address, cidr)
                && !except.iter().any(|range| within(address, range))
                && !(outgoing && unnamed(address, cidr))
        }
    }
}

/// Whether an address is in a range that a wider block does not reach: the block has an address outside that
/// range.
fn unnamed(address: IpAddr, cidr: &str) -> bool {
    let also = ["169.254.0.0/16", "127.0.0.0/8", "64:ff9b::/96"];
    UNREACHABLE.iter().chain(&also).any(|range| within(address, range) && !inside(cidr, range))
}

fn inside(cidr: &str, range: &str) -> bool {
    let (base, prefix) = cidr.split_once('/').unwrap();
    let (_, of_range) = range.split_once('/').unwrap();
    within(base.parse().unwrap(), range) && prefix.parse::<u8>().unwrap() >= of_range.parse().unwrap()
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<&str, &str>) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key.as_str()).copied() == Some(value.as_str()))
        && selector.match_expressions.iter().all(|one| {
            let value = labels.get(one.key.as_str()).copied();
            let listed = one.values.iter().any(|listed| Some(listed.as_str()) == value);
            match one.operator {
                LabelOperator::In => listed,
                LabelOperator::NotIn => !listed,
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        })
}
