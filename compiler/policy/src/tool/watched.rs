//! Policies whose conditions over tool calls are watched, so that tests of a pack can say which parts of its rules they never reached, or traced, so that
//! a decision can be explained.

use super::loaded::LoadedPolicy;
use crate::bundle::BundleError;
use crate::cel::{Part, Prepared, Traced, Watching};
use crate::policy::Policy;

impl LoadedPolicy {
    /// As [`LoadedPolicy::new`], and watches the rules' conditions. Decisions are the same; they take longer.
    ///
    /// # Errors
    /// As [`LoadedPolicy::new`].
    pub fn watching(policy: Policy, digest: String) -> Result<Self, BundleError> {
        Self::with(policy, digest, Watching::On)
    }

    /// As [`LoadedPolicy::new`], and writes down what each part of the rules' conditions comes to. For one decision: values of several add up.
    ///
    /// # Errors
    /// As [`LoadedPolicy::new`].
    pub fn tracing(policy: Policy, digest: String) -> Result<Self, BundleError> {
        Self::with(policy, digest, Watching::Values)
    }

    fn with(policy: Policy, digest: String, watching: Watching) -> Result<Self, BundleError> {
        let mut loaded = Self::new(policy, digest)?;
        for (layer, ready) in loaded.policy.tools.iter().zip(&mut loaded.tools.layers) {
            ready.expressions.watch(watching);
            let whens = layer.rules.iter().map(|rule| rule.when.as_ref());
            ready.whens = whens.map(|when| Some(ready.expressions.prepare(when?))).collect();
        }
        Ok(loaded)
    }

    /// The watched parts of the rules that have a condition: index of the layer, index of the rule in it, parts.
    pub fn watched(&self) -> impl Iterator<Item = (usize, usize, &[Part])> {
        self.conditions().map(|(layer, rule, when)| (layer, rule, when.parts()))
    }

    /// What was written down of the rules that have a condition: index of the layer, index of the rule in it, nodes.
    pub fn traced(&self) -> impl Iterator<Item = (usize, usize, &[Traced])> {
        self.conditions().map(|(layer, rule, when)| (layer, rule, when.traced()))
    }

    fn conditions(&self) -> impl Iterator<Item = (usize, usize, &Prepared)> {
        self.tools.layers.iter().enumerate().flat_map(|(layer, ready)| {
            let whens = ready.whens.iter().enumerate();
            whens.filter_map(move |(rule, when)| Some((layer, rule, when.as_ref()?)))
        })
    }
}
