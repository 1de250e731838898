//! Whether the packs of every principal in a delegation constrain every call.
//!
//! Packs are met, and a pack that does not name a tool does not constrain calls of it. That is right for
//! packs that add ceilings to each other. For a call on behalf of another principal it would mean that a
//! principal gets through a delegate what it was never granted itself.

use super::loaded::{LayerEntry, LoadedPolicy};
use crate::policy::tools::{Phase, RuleEffect, ToolLayer, ToolRule};

impl LoadedPolicy {
    /// The tools of which a call may be allowed although none of these packs (by index in the policy)
    /// decides: none of them defines the tool, grants calls of it, or denies every call.
    #[must_use]
    pub fn undecided_by(&self, packs: &[u16]) -> Vec<&str> {
        let layers = &self.policy.tools;
        let silent = self.tools.index.iter().filter(|(_, entry)| {
            let mut all = layers.iter().zip(&entry.layers);
            let mut theirs = all.clone().filter(|(layer, _)| packs.contains(&layer.pack));
            all.any(|(_, entry)| entry.names) && !theirs.any(|(layer, entry)| decides(layer, entry))
        });
        silent.map(|(name, _)| name.as_str()).collect()
    }
}

/// Whether a layer grants calls, or denies every call.
fn decides(layer: &ToolLayer, entry: &LayerEntry) -> bool {
    let denies = |rule: &ToolRule| {
        let is_every = rule.phase == Phase::Call && rule.when.is_none() && rule.is_enforced();
        is_every && matches!(rule.effect, RuleEffect::Deny(_))
    };
    entry.names || entry.rules.iter().filter_map(|at| layer.rules.get(*at)).any(denies)
}
