//! Which sandboxes calls of a tool may be narrowed to, and which one applies when several do.
//!
//! Whether a sandbox provably allows no more than the tool's own is settled when the policy is loaded.
//! Without that proof, a rule that asks for the sandbox denies.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::Policy;
use crate::policy::narrower::wider;
use crate::policy::sandboxes::Sandbox;
use crate::policy::tools::ToolRule;

/// The most sandboxes to which the rules of a policy narrow calls: each is compared with every sandbox of a
/// tool when the policy is loaded.
pub(super) const MAX_TARGETS: usize = 64;

/// The comparisons that were made, by the names of the outer and the inner sandbox.
pub(super) struct Proofs<'p> {
    sandboxes: BTreeMap<&'p str, &'p Sandbox>,
    known: BTreeMap<(&'p str, &'p str), bool>,
}

impl<'p> Proofs<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        let sandboxes = policy.sandboxes.iter().map(|sandbox| (sandbox.name.as_str(), sandbox)).collect();
        Self { sandboxes, known: BTreeMap::new() }
    }

    /// Those sandboxes named by these rules to which calls of a tool may be narrowed.
    pub(super) fn narrower(
        &mut self,
        rules: impl Iterator<Item = &'p ToolRule>,
        own: &'p str,
    ) -> BTreeSet<String> {
        let named: BTreeSet<&str> = rules.filter_map(ToolRule::narrows_to).collect();
        let mut proven = BTreeSet::new();
        for name in named {
            let (Some(inner), Some(outer)) = (self.sandboxes.get(name), self.sandboxes.get(own)) else {
                continue;
            };
            let narrower = *self.known.entry((own, name)).or_insert_with(|| wider(inner, outer).is_none());
            if narrower {
                proven.insert(name.to_owned());
            }
        }
        proven
    }
}

/// The narrowest of these sandboxes, of equal ones the first by name. `None`: none of them is narrower than
/// all others.
///
/// They are sorted by name, so that the order in which rules named them decides nothing.
pub(super) fn narrowest<'p>(sandboxes: &[&'p Sandbox]) -> Option<&'p Sandbox> {
    let (first, rest) = sandboxes.split_first()?;
    // A sandbox that is narrower than all others is narrower than the one it meets here.
    let narrower = |known: &'p Sandbox, other: &'p Sandbox| match (wider(other, known), wider(known, other)) {
        (None, Some(_)) => other,
        _ => known,
    };
    let narrowest = rest.iter().fold(*first, |known, other| narrower(known, other));
    sandboxes.iter().all(|other| wider(narrowest, other).is_none()).then_some(narrowest)
}
