//! The simulated cluster for packets: namespaces, pods with addresses of both families, and the addresses and
//! ports at which a verdict may change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bailiwick_policy::policy::{Network, Peer};
use serde_json::{Value, json};

/// What no wide rule may reach, written out again here and not taken from the emitter.
pub(crate) const UNREACHABLE: [&str; 14] = [
    "169.254.169.254/32",
    "169.254.170.2/32",
    "169.254.170.23/32",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    "fd20:ce::254/128",
    "fc00::/7",
    "fe80::/10",
];

/// A pod of the simulated cluster.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
    pub(crate) addresses: [IpAddr; 2],
}

impl Pod {
    /// Whether the policies of the corpus govern it: written out, not computed from selectors.
    pub(crate) fn governed(&self) -> bool {
        self.namespace.starts_with("agents-")
            && self.labels.get("app") == Some(&"agent")
            && matches!(self.labels.get("tier"), Some(&"a" | &"b"))
    }
}

/// One connection attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) port: u16,
    pub(crate) protocol: &'static str,
}

pub(crate) struct World {
    pub(crate) namespaces: BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>,
    pub(crate) pods: Vec<Pod>,
}

impl World {
    pub(crate) fn new() -> Self {
        let namespace = |name, zone| {
            (name, BTreeMap::from([("kubernetes.io/metadata.name", name), ("bailiwick.dev/zone", zone)]))
        };
        let pod = |name, namespace, labels: &[(&'static str, &'static str)], number: u8| Pod {
            name,
            namespace,
            labels: labels.iter().copied().collect(),
            addresses: [
                format!("10.244.0.{number}").parse().unwrap(),
                format!("fd00:10:244::{number}").parse().unwrap(),
            ],
        };
        Self {
            namespaces: [
                namespace("agents-a", "agents"),
                namespace("agents-b", "agents"),
                namespace("other", "none"),
            ]
            .into(),
            pods: vec![
                pod("governed-1", "agents-a", &[("app", "agent"), ("tier", "a")], 1),
                pod("governed-2", "agents-a", &[("app", "agent"), ("tier", "b"), ("role", "server")], 2),
                pod("governed-3", "agents-b", &[("app", "agent"), ("tier", "a")], 3),
                pod("half", "agents-a", &[("app", "agent"), ("tier", "c")], 4),
                pod("free", "agents-b", &[("role", "server")], 5),
                pod("outside", "other", &[("app", "agent"), ("tier", "a"), ("role", "server")], 6),
                pod("dns", "other", &[("k8s-app", "kube-dns")], 7),
            ],
        }
    }

    pub(crate) fn pod(&self, address: IpAddr) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.addresses.contains(&address))
    }

    /// One packet for each class of packets that the rules can distinguish: addresses on both sides of every
    /// bound of a network, ports on both sides of every bound of a range.
    pub(crate) fn packets(&self, network: &Network) -> Vec<Packet> {
        let mut outside: BTreeSet<IpAddr> = ["198.51.100.1", "2001:db8::1", "8.8.8.8", "64:ff9b::808:808"]
            .iter()
            .chain(&["169.254.20.10", "127.0.0.1"])
            .map(|text| text.parse().unwrap())
            .collect();
        outside.extend(UNREACHABLE.iter().flat_map(|range| bounds(range)));
        let mut ports = BTreeSet::from([1, 53, 65535]);
        for rule in network.egress.iter().chain(&network.ingress) {
            for peer in &rule.peers {
                if let Peer::Cidr { cidr, except } = peer {
                    outside.extend(std::iter::once(cidr).chain(except).flat_map(|range| bounds(range)));
                }
            }
            for range in &rule.ports {
                ports.extend([
                    range.first.saturating_sub(1).max(1),
                    range.first.max(1),
                    range.last,
                    range.last.saturating_add(1),
                ]);
            }
        }
        let inside = || self.pods.iter().flat_map(|pod| pod.addresses);
        let mut pairs: Vec<(IpAddr, IpAddr)> = Vec::new();
        for pod in inside() {
            pairs.extend(inside().filter(|other| *other != pod).map(|other| (pod, other)));
            pairs.extend(outside.iter().flat_map(|address| [(pod, *address), (*address, pod)]));
        }
        pairs.retain(|(from, to)| from.is_ipv4() == to.is_ipv4());
        let mut packets = Vec::new();
        for (source, destination) in pairs {
            for port in &ports {
                for protocol in ["TCP", "UDP", "SCTP"] {
                    packets.push(Packet { source, destination, port: *port, protocol });
                }
            }
        }
        packets
    }

    /// The cluster as `conformance/netpol` reads it.
    pub(crate) fn cluster(&self, policies: &[String], packets: &[Packet]) -> Value {
        let namespaces: Vec<_> = self
            .namespaces
            .iter()
            .map(|(name, labels)| json!({"metadata": {"name": name, "labels": labels}}))
            .collect();
        let pods: Vec<_> = self
            .pods
            .iter()
            .map(|pod| {
                let addresses: Vec<_> =
                    pod.addresses.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
                json!({
                    "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels},
                    "spec": {"nodeName": "node"}, "status": {"podIPs": addresses}
                })
            })
            .collect();
        let packets: Vec<_> = packets
            .iter()
            .map(|packet| {
                json!({
                    "source": packet.source.to_string(), "destination": packet.destination.to_string(),
                    "destinationPort": packet.port, "protocol": packet.protocol
                })
            })
            .collect();
        json!({"namespaces": namespaces, "pods": pods, "policies": policies, "packets": packets})
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn address(bits: u128, width: u32) -> IpAddr {
    if width == 32 { IpAddr::V4(u32::try_from(bits).unwrap().into()) } else { IpAddr::V6(bits.into()) }
}

/// First and last address of a network, as numbers, and the width of the family.
fn span(network: &str) -> (u128, u128, u32) {
    let (base, prefix) = network.split_once('/').unwrap();
    let (first, width) = bits(base.parse().unwrap());
    let hosts = width - prefix.parse::<u32>().unwrap();
    let size = if hosts == 128 { u128::MAX } else { (1 << hosts) - 1 };
    (first, first + size, width)
}

/// Whether an address lies in a network.
pub(crate) fn within(of: IpAddr, network: &str) -> bool {
    let (first, last, width) = span(network);
    let (bits, own) = bits(of);
    own == width && (first..=last).contains(&bits)
}

/// The addresses on both sides of a network's bounds.
fn bounds(network: &str) -> Vec<IpAddr> {
    let (first, last, width) = span(network);
    let limit = if width == 32 { u128::from(u32::MAX) } else { u128::MAX };
    let mut found = vec![address(first, width), address(last, width)];
    found.extend(first.checked_sub(1).map(|bits| address(bits, width)));
    found.extend(last.checked_add(1).filter(|bits| *bits <= limit).map(|bits| address(bits, width)));
    found
}
