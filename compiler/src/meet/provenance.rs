//! Packs and origins under a meet: one sorted list of packs, with every origin renumbered to it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bailiwick_policy::policy::{FORMAT_VERSION, Origin, PackSource, Policy};

use super::Conflict;

/// The sort key of packs; `parameters_digest` represents the parameters.
type PackKey = (String, String, String, String);

fn key(pack: &PackSource) -> PackKey {
    (pack.name.clone(), pack.version.clone(), pack.digest.clone(), pack.parameters_digest.clone())
}

/// The packs of all policies, and the policies with their origins renumbered.
pub(super) fn unite(mut policies: Vec<Policy>) -> Result<(Vec<PackSource>, Vec<Policy>), Vec<Conflict>> {
    let mut conflicts: Vec<Conflict> = policies
        .iter()
        .filter(|policy| policy.format_version != FORMAT_VERSION)
        .map(|policy| Conflict::FormatVersion(policy.format_version))
        .collect();
    let packs: BTreeMap<PackKey, PackSource> =
        policies.iter().flat_map(|policy| &policy.packs).map(|pack| (key(pack), pack.clone())).collect();
    let mut digests: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (name, version, digest, _) in packs.keys() {
        if digests.insert((name, version), digest).is_some_and(|other| other != digest) {
            conflicts.push(Conflict::TwoContents { name: name.clone(), version: version.clone() });
        }
    }
    let Ok(_) = u16::try_from(packs.len()) else { return Err(vec![Conflict::TooManyPacks]) };
    if !conflicts.is_empty() {
        conflicts.sort();
        conflicts.dedup();
        return Err(conflicts);
    }
    let numbers: BTreeMap<&PackKey, u16> = packs.keys().zip(0_u16..).collect();
    for policy in &mut policies {
        let new: Vec<u16> = policy.packs.iter().filter_map(|pack| numbers.get(&key(pack)).copied()).collect();
        let number = |pack: u16| new.get(usize::from(pack)).copied().unwrap_or(u16::MAX);
        each_origin(policy, &mut |origin| origin.pack = number(origin.pack));
        policy.tools.iter_mut().for_each(|layer| layer.pack = number(layer.pack));
    }
    Ok((packs.into_values().collect(), policies))
}

/// Calls `visit` with every origin of a policy.
fn each_origin(policy: &mut Policy, visit: &mut impl FnMut(&mut Origin)) {
    if let Some(subject) = &mut policy.subject {
        subject.from.iter_mut().for_each(&mut *visit);
    }
    let isolation = &mut policy.isolation;
    isolation.pod_security.iter_mut().flat_map(|stated| &mut stated.from).for_each(&mut *visit);
    isolation.runtime_class.iter_mut().flat_map(|stated| &mut stated.from).for_each(&mut *visit);
    isolation.service_account_token.iter_mut().flat_map(|stated| &mut stated.from).for_each(&mut *visit);
    if let Some(network) = &mut policy.network {
        network.from.iter_mut().for_each(&mut *visit);
        network
            .egress
            .iter_mut()
            .chain(&mut network.ingress)
            .flat_map(|rule| &mut rule.from)
            .for_each(&mut *visit);
    }
    policy.images.iter_mut().for_each(|layer| visit(&mut layer.from));
    policy.admission.rules.iter_mut().for_each(|rule| visit(&mut rule.origin));
    policy.pools.iter_mut().flat_map(|pool| &mut pool.from).for_each(&mut *visit);
    policy.sandboxes.iter_mut().flat_map(|sandbox| &mut sandbox.from).for_each(&mut *visit);
    policy.audit.iter_mut().flat_map(|stated| &mut stated.from).for_each(visit);
}

/// Orders policies by the packs they are made of, so that a fold over them does not depend on the input
/// order.
pub(super) fn by_packs(a: &Policy, b: &Policy) -> Ordering {
    let keys = |policy: &Policy| policy.packs.iter().map(key).collect::<Vec<_>>();
    keys(a).cmp(&keys(b))
}

/// Origins of both, sorted, without duplicates.
pub(super) fn united(a: Vec<Origin>, b: Vec<Origin>) -> Vec<Origin> {
    let mut all: Vec<Origin> = a.into_iter().chain(b).collect();
    all.sort_by(order);
    all.dedup();
    all
}

/// By pack, then by place, with list positions compared as numbers: `rules[2]` before `rules[10]`.
pub(super) fn order(a: &Origin, b: &Origin) -> Ordering {
    a.pack.cmp(&b.pack).then_with(|| pieces(&a.at).cmp(&pieces(&b.at)))
}

fn pieces(path: &str) -> Vec<(Option<u64>, &str)> {
    path.split(['[', ']']).map(|piece| (piece.parse().ok(), piece)).collect()
}
