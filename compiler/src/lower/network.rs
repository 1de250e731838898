//! Lowers network rules: peers by selector and CIDR, ports, and the ranges that a wide network never
//! includes.

use bailiwick_crds::network::{EgressPeer, IngressPeer, NetworkPort, Protocol as WireProtocol};
use bailiwick_crds::pack::PolicyPackSpec;
use bailiwick_crds::scalar::Cidr as WireCidr;
use bailiwick_crds::selector::LabelSelector;
use bailiwick_policy::policy::{Network, NetworkRule, Peer, PortRange, Protocol};

use super::{Findings, origin, selector};
use crate::check::{bw0223_network, bw0519_too_many_network_rules};
use crate::diagnostic::{Diagnostic, FieldPath};
use crate::reach::cidr::{Block, Cidr};

/// Maximum number of rules per direction. Each becomes a NetworkPolicy, and the meet of two packs pairs all
/// their rules.
const MAX_RULES: usize = 1_000;

/// Ranges that an egress network does not include when they are strictly inside it: cloud metadata services,
/// private, shared, link-local, loopback and multicast addresses, and prefixes that translate to IPv4. An
/// author who wants one of them must name it. Sources: RFC 6890 and successors
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>), RFC 6052 (64:ff9b::/96), the clouds'
/// documentation of their metadata addresses.
pub const RESERVED: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "100.100.100.200/32",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "169.254.169.254/32",
    "169.254.170.2/32",
    "169.254.170.23/32",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2002::/16",
    "fc00::/7",
    "fd00:ec2::23/128",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "fe80::/10",
    "ff00::/8",
];

pub(super) fn lower(spec: &PolicyPackSpec, out: &mut Findings<'_>) -> Option<Network> {
    let wire = spec.network.as_ref()?;
    let at = FieldPath::spec().member("network");
    for (direction, count) in [("egress", wire.egress.len()), ("ingress", wire.ingress.len())] {
        if count > MAX_RULES {
            let message =
                format!("{count} {direction} rules; NetworkPolicies are emitted for at most {MAX_RULES}");
            out.push(Diagnostic::new(bw0519_too_many_network_rules::CODE, at.member(direction), message));
        }
    }
    let mut egress = Vec::new();
    for (index, rule) in wire.egress.iter().take(MAX_RULES).enumerate() {
        let at = at.member("egress").index(index);
        let peer = Ends::Out(&rule.to).lower(&at.member("to"), out);
        egress.push(network_rule(&rule.name, peer, &rule.ports, &at, out));
    }
    let mut ingress = Vec::new();
    for (index, rule) in wire.ingress.iter().take(MAX_RULES).enumerate() {
        let at = at.member("ingress").index(index);
        let peer = Ends::In(&rule.from).lower(&at.member("from"), out);
        ingress.push(network_rule(&rule.name, peer, &rule.ports, &at, out));
    }
    Some(Network { egress, ingress, from: vec![origin(&at)] })
}

fn network_rule(
    name: &str,
    peer: Option<Peer>,
    ports: &[NetworkPort],
    at: &FieldPath,
    out: &mut Findings<'_>,
) -> NetworkRule {
    let ports = ports
        .iter()
        .enumerate()
        .filter_map(|(index, port)| port_range(port, &at.member("ports").index(index), out))
        .collect();
    NetworkRule { name: name.to_owned(), peers: peer.into_iter().collect(), ports, from: vec![origin(at)] }
}

fn port_range(wire: &NetworkPort, at: &FieldPath, out: &mut Findings<'_>) -> Option<PortRange> {
    let protocol = match wire.protocol {
        WireProtocol::Tcp => Protocol::Tcp,
        WireProtocol::Udp => Protocol::Udp,
        WireProtocol::Sctp => Protocol::Sctp,
    };
    let port = |number: i64| u16::try_from(number).ok().filter(|port| *port > 0);
    let range =
        port(wire.port).zip(port(wire.end_port.unwrap_or(wire.port))).filter(|(first, last)| first <= last);
    if range.is_none() {
        let message = "ports are 1 to 65535, and `endPort` is not below `port`";
        out.push(Diagnostic::new(bw0223_network::CODE, at.clone(), message));
    }
    range.map(|(first, last)| PortRange { protocol, first, last })
}

/// The peers, by direction.
enum Ends<'a> {
    Out(&'a EgressPeer),
    In(&'a IngressPeer),
}

impl Ends<'_> {
    fn lower(&self, at: &FieldPath, out: &mut Findings<'_>) -> Option<Peer> {
        match self {
            // Rejected elsewhere (BW0505): a NetworkPolicy cannot hold a host name.
            Ends::Out(wire) if wire.hosts.is_some() => None,
            Ends::Out(wire) => match &wire.cidr {
                Some(cidr) => addresses(cidr, &wire.except, reserved_within, at, out),
                None => Some(pods(wire.namespaces.as_ref(), wire.pods.as_ref(), at, out)),
            },
            Ends::In(wire) => match &wire.cidr {
                Some(cidr) => addresses(cidr, &wire.except, |_| Vec::new(), at, out),
                None => Some(pods(wire.namespaces.as_ref(), wire.pods.as_ref(), at, out)),
            },
        }
    }
}

fn pods(
    namespaces: Option<&LabelSelector>,
    pods: Option<&LabelSelector>,
    at: &FieldPath,
    out: &mut Findings<'_>,
) -> Peer {
    let namespaces = namespaces.map(|wire| vec![selector::lower(wire, &at.member("namespaces"), out)]);
    let pods = pods.map(|wire| selector::lower(wire, &at.member("pods"), out));
    Peer::Pods { namespaces, pods: pods.into_iter().collect() }
}

/// The reserved ranges that are strictly inside a network.
pub(crate) fn reserved_within(network: Cidr) -> Vec<Cidr> {
    let ranges = RESERVED.iter().filter_map(|text| Cidr::parse(text).ok());
    ranges.filter(|range| network.contains(*range) && network != *range).collect()
}

fn addresses(
    cidr: &WireCidr,
    except: &[WireCidr],
    reserved: impl Fn(Cidr) -> Vec<Cidr>,
    at: &FieldPath,
    out: &mut Findings<'_>,
) -> Option<Peer> {
    let network = network(cidr, &at.member("cidr"), out);
    let mut taken = Vec::with_capacity(except.len());
    for (index, text) in except.iter().enumerate() {
        let at = at.member("except").index(index);
        let Some(hole) = self::network(text, &at, out) else { continue };
        if network.is_some_and(|network| !network.contains(hole) || network == hole) {
            let message = format!("`{hole}` does not lie inside `{cidr}`");
            out.push(
                Diagnostic::new(bw0223_network::CODE, at, message)
                    .with_help("Kubernetes refuses such a rule"),
            );
        }
        taken.push(hole);
    }
    let network = network?;
    taken.extend(reserved(network));
    let Some(block) = Block::new(network, taken) else {
        let message = "`except` takes out every address";
        out.push(Diagnostic::new(bw0223_network::CODE, at.member("except"), message));
        return None;
    };
    let except = block.except().iter().map(Cidr::to_string).collect();
    Some(Peer::Cidr { cidr: block.cidr().to_string(), except })
}

fn network(text: &WireCidr, at: &FieldPath, out: &mut Findings<'_>) -> Option<Cidr> {
    match Cidr::parse(text.as_str()) {
        Ok(network) => Some(network),
        Err(error) => {
            out.push(Diagnostic::new(bw0223_network::CODE, at.clone(), error.to_string()));
            None
        }
    }
}
