//! Policies that watch or trace their conditions over tool calls. Watched, tests of a pack can report which
//! parts of its rules they never reached; traced, a decision can be explained.

use super::loaded::{LoadedPolicy, PreparedRule};
use crate::bundle::BundleError;
use crate::cel::{Part, Prepared, Traced, Watching};
use crate::policy::Policy;

/// The position of a watched expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchedRule {
    /// Index of the layer.
    pub layer: usize,
    /// Index of the rule in it.
    pub rule: usize,
    /// Which of its expressions.
    pub expression: RuleExpression,
}

/// The expressions of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleExpression {
    /// Its condition.
    When,
    /// The arguments that it gives.
    Transform,
    /// What it leaves of a result.
    Redact,
}

impl LoadedPolicy {
    /// Like [`LoadedPolicy::new`], and watches the rules' conditions. Decisions are the same, but slower.
    ///
    /// # Errors
    /// As for [`LoadedPolicy::new`].
    pub fn watching(policy: Policy, digest: String) -> Result<Self, BundleError> {
        Self::with(policy, digest, Watching::On)
    }

    /// Like [`LoadedPolicy::new`], and records the value of each part of the rules' conditions. For one
    /// decision: values of several add up.
    ///
    /// # Errors
    /// As for [`LoadedPolicy::new`].
    pub fn tracing(policy: Policy, digest: String) -> Result<Self, BundleError> {
        Self::with(policy, digest, Watching::Values)
    }

    fn with(policy: Policy, digest: String, watching: Watching) -> Result<Self, BundleError> {
        let mut loaded = Self::new(policy, digest)?;
        for (layer, ready) in loaded.policy.tools.iter().zip(&mut loaded.tools.layers) {
            ready.expressions.watch(watching);
            let rules = layer.rules.iter();
            ready.rules = rules.map(|rule| PreparedRule::new(rule, &ready.expressions)).collect();
        }
        Ok(loaded)
    }

    /// The watched parts of the rules' expressions.
    pub fn watched(&self) -> impl Iterator<Item = (WatchedRule, &[Part])> {
        self.expressions().map(|(at, ready)| (at, ready.parts()))
    }

    /// The recorded values of the rules' expressions.
    pub fn traced(&self) -> impl Iterator<Item = (WatchedRule, &[Traced])> {
        self.expressions().map(|(at, ready)| (at, ready.traced()))
    }

    fn expressions(&self) -> impl Iterator<Item = (WatchedRule, &Prepared)> {
        self.tools.layers.iter().enumerate().flat_map(|(layer, ready)| {
            ready.rules.iter().enumerate().flat_map(move |(rule, ready)| {
                let at = move |expression| WatchedRule { layer, rule, expression };
                let when = ready.when.iter().map(move |when| (at(RuleExpression::When), when));
                let transform = ready.transform.iter().map(move |one| (at(RuleExpression::Transform), one));
                let redact = ready.redact.iter().map(move |one| (at(RuleExpression::Redact), one));
                when.chain(transform).chain(redact)
            })
        })
    }
}
