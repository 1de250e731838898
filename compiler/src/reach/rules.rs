//! Connections that network rules allow: peers × ports, with exact intersection and a canonical form.
//!
//! Three kinds of peer never intersect, although packets could match two of them: pods of the own namespace,
//! pods of selected namespaces, and address ranges. NetworkPolicy cannot express "an address that is also a
//! pod", so the intersection of two kinds is treated as empty, which is tighter, and [`Narrowed`] records it.
//! One case is exact: pods of *all* namespaces include those of the own namespace.

use std::collections::BTreeSet;

use bailiwick_policy::policy::{NetworkRule, Origin, Peer};

use super::cidr::{Block, Cidr};
use super::labels::Labels;
use super::ports::Ports;

/// Joins the names of intersected rules; the whole is still a DNS subdomain, as object names must be.
const JOINT: &str = ".and.";

/// One rule: any of the peers at any of the ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The names of the authored rules that it comes from.
    pub(crate) names: BTreeSet<String>,
    /// Sorted; none is included in another.
    pub(crate) peers: Vec<PeerSet>,
    /// The ports.
    pub(crate) ports: Ports,
    /// The origins that allow it.
    pub(crate) from: BTreeSet<Origin>,
}

/// One peer as a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PeerSet {
    /// Pods of the pod's own namespace.
    Own(Labels),
    /// Pods (second) in namespaces (first).
    Pods(Labels, Labels),
    /// Addresses.
    Addresses(Block),
}

/// Two rules that may have a connection in common that no rule of the target can express; the result lacks
/// it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Narrowed {
    /// One rule's origin.
    pub left: Origin,
    /// The other's.
    pub right: Origin,
}

impl PeerSet {
    /// Reads a compiled peer; `None` if it selects nothing or is malformed, which can only narrow the rule.
    #[must_use]
    pub(crate) fn of(peer: &Peer) -> Option<Self> {
        match peer {
            Peer::Pods { namespaces: None, pods } => Some(Self::Own(Labels::all_of(pods)?)),
            Peer::Pods { namespaces: Some(namespaces), pods } => {
                Some(Self::Pods(Labels::all_of(namespaces)?, Labels::all_of(pods)?))
            }
            Peer::Cidr { cidr, except } => {
                let except =
                    except.iter().map(|text| Cidr::parse(text)).collect::<Result<Vec<_>, _>>().ok()?;
                Some(Self::Addresses(Block::new(Cidr::parse(cidr).ok()?, except)?))
            }
        }
    }

    /// The compiled form, with at most one selector of each kind.
    #[must_use]
    pub(crate) fn peer(&self) -> Peer {
        let list =
            |labels: &Labels| if labels.is_everything() { Vec::new() } else { vec![labels.selector()] };
        match self {
            Self::Own(pods) => Peer::Pods { namespaces: None, pods: list(pods) },
            Self::Pods(namespaces, pods) => {
                Peer::Pods { namespaces: Some(list(namespaces)), pods: list(pods) }
            }
            Self::Addresses(block) => Peer::Cidr {
                cidr: block.cidr().to_string(),
                except: block.except().iter().map(Cidr::to_string).collect(),
            },
        }
    }

    fn intersect(&self, other: &Self) -> Common {
        let found = |peer: Option<Self>| peer.map_or(Common::Nothing, Common::Exactly);
        match (self, other) {
            (Self::Own(a), Self::Own(b)) => found(a.intersect(b).map(Self::Own)),
            (Self::Pods(an, ap), Self::Pods(bn, bp)) => {
                found(an.intersect(bn).and_then(|namespaces| Some(Self::Pods(namespaces, ap.intersect(bp)?))))
            }
            (Self::Addresses(a), Self::Addresses(b)) => found(a.intersect(b).map(Self::Addresses)),
            (Self::Own(own), Self::Pods(namespaces, pods))
            | (Self::Pods(namespaces, pods), Self::Own(own)) => match own.intersect(pods) {
                Some(pods) if namespaces.is_everything() => Common::Exactly(Self::Own(pods)),
                Some(_) => Common::Unsayable,
                None => Common::Nothing,
            },
            (Self::Addresses(_), _) | (_, Self::Addresses(_)) => Common::Unsayable,
        }
    }

    /// Whether this peer provably includes all of `other`.
    #[must_use]
    pub(crate) fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own(a), Self::Own(b)) => a.includes(b),
            (Self::Pods(an, ap), Self::Pods(bn, bp)) => an.includes(bn) && ap.includes(bp),
            (Self::Addresses(a), Self::Addresses(b)) => a.includes(b),
            (Self::Pods(namespaces, a), Self::Own(b)) => namespaces.is_everything() && a.includes(b),
            _ => false,
        }
    }
}

/// The intersection of two peers.
enum Common {
    Nothing,
    Exactly(PeerSet),
    /// Perhaps not empty, but no peer of a NetworkPolicy can express it.
    Unsayable,
}

impl Rule {
    /// Reads a compiled rule. Its name may be one that [`Rule::name`] made.
    #[must_use]
    pub(crate) fn of(rule: &NetworkRule) -> Self {
        Self {
            names: rule.name.split(JOINT).map(str::to_owned).collect(),
            peers: largest(rule.peers.iter().filter_map(PeerSet::of).collect()),
            ports: Ports::new(rule.ports.iter().cloned()),
            from: rule.from.iter().cloned().collect(),
        }
    }

    /// The names, joined by [`JOINT`].
    #[must_use]
    pub(crate) fn name(&self) -> String {
        self.names.iter().map(String::as_str).collect::<Vec<_>>().join(JOINT)
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty() || self.ports.is_empty()
    }

    /// Connections that both allow; pairs that cannot be expressed are added to `narrowed`.
    pub(crate) fn intersect(&self, other: &Self, narrowed: &mut BTreeSet<Narrowed>) -> Option<Self> {
        let ports = self.ports.intersect(&other.ports);
        if ports.is_empty() {
            return None;
        }
        let mut peers = Vec::new();
        for a in &self.peers {
            for b in &other.peers {
                match a.intersect(b) {
                    Common::Nothing => {}
                    Common::Exactly(peer) => peers.push(peer),
                    Common::Unsayable => {
                        let ends = self.from.first().zip(other.from.first());
                        narrowed.extend(
                            ends.map(|(a, b)| Narrowed { left: a.min(b).clone(), right: a.max(b).clone() }),
                        );
                    }
                }
            }
        }
        let out = Self {
            names: self.names.union(&other.names).cloned().collect(),
            peers: largest(peers),
            ports,
            from: self.from.union(&other.from).cloned().collect(),
        };
        (!out.is_empty()).then_some(out)
    }

    /// Whether this rule provably allows all that `other` allows.
    #[must_use]
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.ports.includes(&other.ports)
            && other.peers.iter().all(|b| self.peers.iter().any(|a| a.includes(b)))
    }

    /// The compiled form.
    #[must_use]
    pub(crate) fn rule(&self, name: String) -> NetworkRule {
        NetworkRule {
            name,
            peers: self.peers.iter().map(PeerSet::peer).collect(),
            ports: self.ports.ranges().to_vec(),
            from: self.from.iter().cloned().collect(),
        }
    }
}

/// Whether the rules of `ceiling` together provably allow every connection of `rule`.
#[must_use]
pub(crate) fn covers(ceiling: &[Rule], rule: &Rule) -> bool {
    rule.peers.iter().all(|peer| {
        let ports = ceiling
            .iter()
            .filter(|outer| outer.peers.iter().any(|wide| wide.includes(peer)))
            .fold(Ports::default(), |ports, outer| ports.unite(&outer.ports));
        ports.includes(&rule.ports)
    })
}

/// Drops the peers that another one includes.
fn largest(mut peers: Vec<PeerSet>) -> Vec<PeerSet> {
    peers.sort();
    peers.dedup();
    let kept: Vec<PeerSet> = peers
        .iter()
        .filter(|peer| !peers.iter().any(|other| other != *peer && other.includes(peer)))
        .cloned()
        .collect();
    kept
}

/// The canonical form, sorted by name, content and origin, without empty rules and rules that another one
/// includes. Of equal rules the first by name is kept.
#[must_use]
pub(crate) fn canonical(mut rules: Vec<Rule>) -> Vec<Rule> {
    rules.retain(|rule| !rule.is_empty());
    rules.sort_by(|a, b| {
        (a.names.len(), &a.names, &a.peers, &a.ports, &a.from).cmp(&(
            b.names.len(),
            &b.names,
            &b.peers,
            &b.ports,
            &b.from,
        ))
    });
    let mut kept: Vec<Rule> = Vec::with_capacity(rules.len());
    for rule in rules {
        if !kept.iter().any(|other| other.includes(&rule)) {
            kept.retain(|other| !rule.includes(other));
            kept.push(rule);
        }
    }
    kept.sort_by(|a, b| (a.name(), &a.peers, &a.ports).cmp(&(b.name(), &b.peers, &b.ports)));
    kept
}
