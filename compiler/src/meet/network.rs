//! The meet of network sections: the intersection of every pair of rules.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{Network, NetworkRule};

use super::provenance::united;
use crate::reach::rules::{self, Narrowed, Rule};

pub(super) fn meet(a: &Network, b: &Network, narrowed: &mut BTreeSet<Narrowed>) -> Network {
    Network {
        egress: direction(&a.egress, &b.egress, narrowed),
        ingress: direction(&a.ingress, &b.ingress, narrowed),
        from: united(a.from.clone(), b.from.clone()),
    }
}

fn direction(a: &[NetworkRule], b: &[NetworkRule], narrowed: &mut BTreeSet<Narrowed>) -> Vec<NetworkRule> {
    let (a, b): (Vec<Rule>, Vec<Rule>) = (a.iter().map(Rule::of).collect(), b.iter().map(Rule::of).collect());
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    named(rules::canonical(pairs.filter_map(|(a, b)| a.intersect(b, narrowed)).collect()))
}

pub(super) fn canonical(network: Network) -> Network {
    let direction = |list: &[NetworkRule]| named(rules::canonical(list.iter().map(Rule::of).collect()));
    Network {
        egress: direction(&network.egress),
        ingress: direction(&network.ingress),
        from: united(network.from, Vec::new()),
    }
}

/// Gives each rule a unique name: if two packs each have rules `x` and `y`, two pairs are called `x.and.y`.
fn named(rules: Vec<Rule>) -> Vec<NetworkRule> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = Vec::with_capacity(rules.len());
    for rule in rules {
        let name = rule.name();
        let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        let name = if *count == 1 { name } else { format!("{name}.{count}") };
        out.push(rule.rule(name));
    }
    out
}
