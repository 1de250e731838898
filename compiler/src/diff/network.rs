//! Connections of governed pods: exact for addresses and ports, and for pods unless very many labels are
//! distinguished.
//!
//! ```text
//! rules of both ► boundaries of ports  ► classes of ports ─┐
//!               ► boundaries of CIDRs  ► classes of ends  ─┴► one connection for each pair ► both judge it
//!               ► keys and values of labels ┘
//! ```
//!
//! A *class* is everything that the same rules of both policies match: one member represents all. An *end* is
//! the other end of a connection: an address, or a pod.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{LabelSelector, Network, NetworkRule, Peer, PortRange, Protocol};

use super::sides::{Found, Sides, blank};
use super::{Diff, Direction, Layer, Verdict};
use crate::policy_test::{CasePeer, ConnectionCase, PeerNamespace, TestCase};
use crate::reach::cidr::{Block, Cidr, Family, address, minimised};
use crate::reach::ports::Ports;
use crate::reach::rules::PeerSet;

/// Label sets that are distinguished for each direction. Packs select by two or three keys with a few values;
/// each further key multiplies the sets.
const MAX_LABEL_SETS: usize = 20_000;
/// A label value that no pack contains.
const FRESH: &str = "any-other-value";
/// The address of a pod at the other end. Any would do: address blocks do not apply to pods.
const POD_ADDRESS: &str = "192.0.2.1";
/// Networks and port ranges that are listed if there are many.
const SHOWN: usize = 6;

/// The direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Egress,
    Ingress,
}

/// Which rules of both policies match, the old ones first.
type Taken = Vec<bool>;

/// A class of other ends.
#[derive(Clone, Debug)]
enum Ends {
    Addresses { one: std::net::IpAddr, all: Vec<Cidr> },
    Pod(CasePeer),
}

pub(super) fn compare(sides: &Sides, out: &mut Diff) -> Result<(), String> {
    let (old, new) = sides.policies();
    if old.network.is_none() && new.network.is_none() {
        return Ok(());
    }
    for way in [Way::Egress, Way::Ingress] {
        let rules: Vec<&NetworkRule> = [&old.network, &new.network]
            .into_iter()
            .flatten()
            .flat_map(|network| way.rules(network))
            .collect();
        // If one policy has no section, it allows what no rule matches.
        let open = old.network.is_none() || new.network.is_none();
        let mut regions = Regions::default();
        let ends: Vec<(Taken, Ends)> =
            address_classes(&rules).into_iter().chain(pod_classes(way, &rules, out)).collect();
        for (ports_taken, ports) in port_classes(&rules) {
            for (ends_taken, ends) in &ends {
                if open || meet(&rules, &ports_taken, ends_taken) {
                    regions.look(sides, way, &ports, ends)?;
                }
            }
        }
        out.changes.extend(regions.told(way));
    }
    Ok(())
}

impl Way {
    fn rules(self, network: &Network) -> &[NetworkRule] {
        match self {
            Self::Egress => &network.egress,
            Self::Ingress => &network.ingress,
        }
    }
}

/// Whether some rule matches both the ports and one of the ends. `ends` has an entry for each peer of each
/// rule.
fn meet(rules: &[&NetworkRule], ports: &Taken, ends: &Taken) -> bool {
    let mut ends = ends.iter();
    rules.iter().zip(ports).any(|(rule, port)| {
        // All entries of the rule must be consumed, even if its ports do not match.
        let any = rule.peers.iter().filter(|_| ends.next() == Some(&true)).count() > 0;
        any && *port
    })
}

/// Classes of ports, each with its ranges.
fn port_classes(rules: &[&NetworkRule]) -> BTreeMap<Taken, Vec<PortRange>> {
    let mut classes: BTreeMap<Taken, Vec<PortRange>> = BTreeMap::new();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        let ranges = rules.iter().flat_map(|rule| &rule.ports).filter(|range| range.protocol == protocol);
        let edges = ranges.flat_map(|range| [u32::from(range.first), u32::from(range.last) + 1]);
        let edges: BTreeSet<u32> = edges.chain([1, u32::from(u16::MAX) + 1]).collect();
        for (first, end) in edges.iter().zip(edges.iter().skip(1)) {
            let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(end - 1)) else { continue };
            let takes = |rule: &&NetworkRule| {
                rule.ports
                    .iter()
                    .any(|range| range.protocol == protocol && range.first <= first && last <= range.last)
            };
            let taken = rules.iter().map(takes).collect();
            classes.entry(taken).or_default().push(PortRange { protocol, first, last });
        }
    }
    classes
}

fn blocks<'r>(rules: &'r [&NetworkRule]) -> impl Iterator<Item = Option<Block>> + 'r {
    rules.iter().flat_map(|rule| &rule.peers).map(|peer| match PeerSet::of(peer) {
        Some(PeerSet::Addresses(block)) => Some(block),
        _ => None,
    })
}

/// Classes of addresses, each with a member and all its networks.
fn address_classes(rules: &[&NetworkRule]) -> Vec<(Taken, Ends)> {
    let blocks: Vec<Option<Block>> = blocks(rules).collect();
    let mut classes: BTreeMap<Taken, (std::net::IpAddr, Vec<Cidr>)> = BTreeMap::new();
    for family in [Family::V4, Family::V6] {
        let networks =
            blocks.iter().flatten().flat_map(|block| block.except().iter().copied().chain([block.cidr()]));
        let mut edges: BTreeSet<u128> = BTreeSet::from([0]);
        for network in networks.filter(|network| network.family() == family) {
            let (first, last) = network.bounds();
            edges.insert(first);
            edges.extend(last.checked_add(1));
        }
        let ends = edges.iter().skip(1).map(|end| end - 1).chain([u128::MAX]);
        for (first, last) in edges.iter().copied().zip(ends) {
            let networks = Cidr::cover(family, first, last);
            let Some(one) = networks.first().copied() else { continue };
            let taken =
                blocks.iter().map(|block| block.as_ref().is_some_and(|block| block.touches(one))).collect();
            let class = classes.entry(taken).or_insert_with(|| (address(family, first), Vec::new()));
            class.1.extend(networks);
        }
    }
    classes.into_iter().map(|(taken, (one, all))| (taken, Ends::Addresses { one, all })).collect()
}

/// The possible values of a label: absent, or one of these.
struct Choice<'r> {
    of_namespace: bool,
    key: &'r str,
    values: Vec<&'r str>,
}

/// Classes of pods, each with a member of few labels.
fn pod_classes(way: Way, rules: &[&NetworkRule], out: &mut Diff) -> Vec<(Taken, Ends)> {
    let peers: Vec<&Peer> = rules.iter().flat_map(|rule| &rule.peers).collect();
    let sets: Vec<Option<PeerSet>> = peers.iter().map(|peer| PeerSet::of(peer)).collect();
    let choices = choices(&peers);
    let mut classes: BTreeMap<Taken, CasePeer> = BTreeMap::new();
    let mut at = vec![0_usize; choices.len()];
    for _ in 0..MAX_LABEL_SETS {
        for namespace in [PeerNamespace::Another, PeerNamespace::Own] {
            let pod = pod(&choices, &at, namespace);
            let taken = sets.iter().map(|set| set.as_ref().is_some_and(|set| takes(set, &pod))).collect();
            classes.entry(taken).or_insert(pod);
        }
        if !advance(&mut at, &choices) {
            return classes.into_iter().map(|(taken, pod)| (taken, Ends::Pod(pod))).collect();
        }
    }
    let what =
        format!("{} and pods: the first {MAX_LABEL_SETS} sets of labels were told apart", way.as_str());
    out.bound(Layer::Network, what);
    classes.into_iter().map(|(taken, pod)| (taken, Ends::Pod(pod))).collect()
}

fn choices<'r>(peers: &[&'r Peer]) -> Vec<Choice<'r>> {
    let mut values: BTreeMap<(bool, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut note = |of_namespace: bool, selector: &'r LabelSelector| {
        for (key, value) in &selector.match_labels {
            values.entry((of_namespace, key)).or_default().insert(value);
        }
        for wanted in &selector.match_expressions {
            let known = values.entry((of_namespace, &wanted.key)).or_default();
            known.extend(wanted.values.iter().map(String::as_str));
        }
    };
    for peer in peers {
        if let Peer::Pods { namespaces, pods } = peer {
            namespaces.iter().flatten().for_each(|selector| note(true, selector));
            pods.iter().for_each(|selector| note(false, selector));
        }
    }
    let choice = |((of_namespace, key), values): ((bool, &'r str), BTreeSet<&'r str>)| Choice {
        of_namespace,
        key,
        values: values.into_iter().chain([FRESH]).collect(),
    };
    values.into_iter().map(choice).collect()
}

/// The next label set; `false` after the last one.
fn advance(at: &mut [usize], choices: &[Choice<'_>]) -> bool {
    for (at, choice) in at.iter_mut().zip(choices) {
        *at += 1;
        if *at <= choice.values.len() {
            return true;
        }
        *at = 0;
    }
    false
}

fn pod(choices: &[Choice<'_>], at: &[usize], namespace: PeerNamespace) -> CasePeer {
    let mut pod = CasePeer { namespace: Some(namespace), ..CasePeer::default() };
    for (choice, at) in choices.iter().zip(at) {
        // In the first choice, the label is absent.
        let value = at.checked_sub(1).and_then(|at| choice.values.get(at));
        let labels = if choice.of_namespace { &mut pod.namespace_labels } else { &mut pod.labels };
        labels.extend(value.map(|value| (choice.key.to_owned(), (*value).to_owned())));
    }
    pod
}

fn takes(set: &PeerSet, pod: &CasePeer) -> bool {
    match set {
        PeerSet::Own(labels) => pod.namespace == Some(PeerNamespace::Own) && labels.matches(&pod.labels),
        PeerSet::Pods(namespaces, labels) => {
            namespaces.matches(&pod.namespace_labels) && labels.matches(&pod.labels)
        }
        PeerSet::Addresses(_) => false,
    }
}

/// What makes connections the same in a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    direction: Direction,
    old: Vec<String>,
    new: Vec<String>,
}

/// Networks that differ in one way, and a connection to one of them.
type Region = (Vec<Cidr>, Option<Found>);

/// Where the two policies differ, combined into as few statements as possible.
#[derive(Default)]
struct Regions {
    /// For each outcome and set of addresses, the ports.
    addresses: BTreeMap<(Outcome, Vec<PortRange>), Region>,
    pods: Vec<(String, Found)>,
}

impl Regions {
    fn look(&mut self, sides: &Sides, way: Way, ports: &[PortRange], ends: &Ends) -> Result<(), String> {
        let Some(range) = ports.first() else { return Ok(()) };
        let case = case(way, range, ends);
        let Some(found) = sides.compare(Layer::Network, &case)? else { return Ok(()) };
        match ends {
            Ends::Pod(pod) => self.pods.push((format!("{}, {}", shown_pod(pod), shown_ports(ports)), found)),
            Ends::Addresses { all, .. } => {
                let rules = |verdict: &Verdict| verdict.rules.clone();
                let outcome =
                    Outcome { direction: found.direction, old: rules(&found.old), new: rules(&found.new) };
                let region = self.addresses.entry((outcome, ports.to_vec())).or_insert((Vec::new(), None));
                region.0.extend(all);
                region.1.get_or_insert(found);
            }
        }
        Ok(())
    }

    /// Regions with the same addresses are reported as one.
    fn told(self, way: Way) -> Vec<super::Change> {
        let mut merged: BTreeMap<(Outcome, Vec<Cidr>), (Vec<PortRange>, Found)> = BTreeMap::new();
        for ((outcome, ports), (networks, found)) in self.addresses {
            let Some(found) = found else { continue };
            let key = (outcome, minimised(networks));
            match merged.get_mut(&key) {
                Some((others, _)) => others.extend(ports),
                None => drop(merged.insert(key, (ports, found))),
            }
        }
        let addresses = merged.into_iter().map(|((_, networks), (ports, found))| {
            let networks = shown(networks.iter().map(Cidr::to_string));
            (format!("{networks}, {}", shown_ports(&ports)), found)
        });
        let preposition = if way == Way::Egress { "to" } else { "from" };
        let told =
            |(what, found): (String, Found)| found.told(format!("{} {preposition} {what}", way.as_str()));
        addresses.chain(self.pods).map(told).collect()
    }
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

fn shown(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let first: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
    let more = all.len().checked_sub(SHOWN).filter(|more| *more > 0);
    format!("{}{}", first.join(", "), more.map(|more| format!(" and {more} more")).unwrap_or_default())
}

fn shown_ports(ports: &[PortRange]) -> String {
    let ports = Ports::new(ports.iter().cloned());
    if ports == Ports::all() {
        return "any port".to_owned();
    }
    shown(ports.ranges().iter().map(|range| {
        let protocol = protocol(range.protocol);
        if range.first == range.last {
            format!("{protocol} {}", range.first)
        } else {
            format!("{protocol} {}-{}", range.first, range.last)
        }
    }))
}

const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

fn shown_pod(pod: &CasePeer) -> String {
    let labels = |labels: &BTreeMap<String, String>| {
        let all: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if all.is_empty() { "without labels".to_owned() } else { format!("with {}", all.join(",")) }
    };
    let namespace = match pod.namespace {
        Some(PeerNamespace::Own) => "the own namespace",
        _ => "another namespace",
    };
    format!("a pod {} in {namespace} {}", labels(&pod.labels), labels(&pod.namespace_labels))
}

fn case(way: Way, range: &PortRange, ends: &Ends) -> TestCase {
    use bailiwick_crds::network::Protocol as Wire;
    let protocol = match range.protocol {
        Protocol::Tcp => Wire::Tcp,
        Protocol::Udp => Wire::Udp,
        Protocol::Sctp => Wire::Sctp,
    };
    let (address, peer) = match ends {
        Ends::Addresses { one, .. } => (one.to_string(), None),
        Ends::Pod(pod) => (POD_ADDRESS.to_owned(), Some(pod.clone())),
    };
    let mut connection = ConnectionCase { protocol, peer, ..ConnectionCase::default() };
    match way {
        Way::Egress if address.contains(':') => connection.to = Some(format!("[{address}]:{}", range.first)),
        Way::Egress => connection.to = Some(format!("{address}:{}", range.first)),
        Way::Ingress => {
            connection.from = Some(address.clone());
            connection.port = Some(range.first.into());
        }
    }
    let name = format!("{} {address} {}", way.as_str(), range.first);
    TestCase { connection: Some(connection), ..blank(name) }
}
