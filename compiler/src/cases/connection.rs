//! Connections of a governed pod, judged by the policy's own rules about who may talk to whom.
//!
//! This is what the pack says, before any NetworkPolicy is made from it; `conformance` proves that the
//! NetworkPolicies say the same.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bailiwick_policy::policy::{LabelOperator, LabelSelector, NetworkRule, Peer, Policy, Protocol};

use super::Happened;
use crate::policy_test::{CasePeer, ConnectionCase, PeerNamespace};

/// The other end of a connection.
struct End<'a> {
    address: IpAddr,
    port: u16,
    protocol: Protocol,
    pod: Option<&'a CasePeer>,
}

/// Which way a connection goes, as the governed pod sees it.
enum Way {
    Out,
    In,
}

/// Judges a connection case. `Err`: why the case itself cannot be judged.
pub(super) fn judge(policy: &Policy, case: &ConnectionCase) -> Result<Happened, String> {
    // Before anything is denied, so that no case passes whose other end means nothing.
    let (end, way) = end_of(case)?;
    if let Some(name) = &case.sandbox {
        let sandbox = super::sandbox::find(policy, name)?;
        // A sandbox with egress does not compile yet.
        if sandbox.egress.is_empty() {
            return Ok(happened(None));
        }
        return Err(format!("sandbox `{name}` has egress, which cannot be judged yet"));
    }
    let Some(network) = &policy.network else {
        return Ok(happened(Some("no pack has a network section")));
    };
    let rules = match way {
        Way::Out => &network.egress,
        Way::In => &network.ingress,
    };
    let rule = rules.iter().find(|rule| allows(rule, &end));
    Ok(happened(rule.map(|rule| rule.name.as_str())))
}

fn happened(rule: Option<&str>) -> Happened {
    Happened { rules: rule.map(str::to_owned).into_iter().collect(), ..Happened::new(rule.is_some()) }
}

fn end_of(case: &ConnectionCase) -> Result<(End<'_>, Way), String> {
    let protocol = match case.protocol.as_str() {
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => Protocol::Tcp,
    };
    let pod = case.peer.as_ref();
    match (&case.to, &case.from) {
        (Some(to), None) => {
            let to: std::net::SocketAddr = to.parse().map_err(|_| {
                format!(
                    "`connection.to`: `{to}` is not ADDRESS:PORT, as `192.0.2.1:443`; names are not resolved"
                )
            })?;
            Ok((End { address: to.ip(), port: to.port(), protocol, pod }, Way::Out))
        }
        (None, Some(from)) => {
            let address = from
                .parse()
                .map_err(|_| format!("`connection.from`: `{from}` is not an address, as `192.0.2.1`"))?;
            let port = case.port.and_then(|port| u16::try_from(port).ok());
            let port = port.ok_or("a connection `from` somewhere needs the `port` of the pod")?;
            Ok((End { address, port, protocol, pod }, Way::In))
        }
        _ => Err("a connection is either `to` or `from`".to_owned()),
    }
}

fn allows(rule: &NetworkRule, end: &End<'_>) -> bool {
    let port = rule
        .ports
        .iter()
        .any(|range| range.protocol == end.protocol && (range.first..=range.last).contains(&end.port));
    port && rule.peers.iter().any(|peer| reaches(peer, end))
}

fn reaches(peer: &Peer, end: &End<'_>) -> bool {
    match peer {
        // An address block describes addresses outside; network plugins differ in how it applies to a pod's
        // address, so it does not allow a case that names a pod.
        Peer::Cidr { cidr, except } => {
            end.pod.is_none()
                && contains(cidr, end.address)
                && !except.iter().any(|taken| contains(taken, end.address))
        }
        Peer::Pods { namespaces, pods } => end.pod.is_some_and(|pod| {
            let namespace = match namespaces {
                None => pod.namespace != Some(PeerNamespace::Another),
                Some(all) => all.iter().all(|one| selects(one, &pod.namespace_labels)),
            };
            namespace && pods.iter().all(|one| selects(one, &pod.labels))
        }),
    }
}

fn contains(cidr: &str, address: IpAddr) -> bool {
    let Some((network, prefix)) = cidr.split_once('/') else { return false };
    let (Ok(network), Ok(prefix)) = (network.parse::<IpAddr>(), prefix.parse::<u32>()) else { return false };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32u32.saturating_sub(prefix);
            u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128u32.saturating_sub(prefix);
            u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
        }
        _ => false,
    }
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|wanted| {
            let value = labels.get(&wanted.key);
            let listed = value.is_some_and(|value| wanted.values.contains(value));
            match wanted.operator {
                LabelOperator::In => listed,
                LabelOperator::NotIn => !listed,
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let inside = |cidr: &str, address: &str| contains(cidr, address.parse().unwrap());
        assert!(inside("192.0.2.0/28", "192.0.2.15"));
        assert!(!inside("192.0.2.0/28", "192.0.2.16"));
        assert!(inside("0.0.0.0/0", "8.8.8.8"));
        assert!(!inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("2001:db8::/32", "2001:db8::1"));
        assert!(inside("192.0.2.1/32", "192.0.2.1"));
    }
}
