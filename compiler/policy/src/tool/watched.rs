//! Policies whose conditions over tool calls are watched, so that tests of a pack can say which parts of its rules they never reached, or traced, so that
//! a decision can be explained.

use super::loaded::{LoadedPolicy, PreparedRule};
use crate::bundle::BundleError;
use crate::cel::{Part, Prepared, Traced, Watching};
use crate::policy::Policy;

/// Where a watched expression stands.
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
            let rules = layer.rules.iter();
            ready.rules = rules.map(|rule| PreparedRule::new(rule, &ready.expressions)).collect();
        }
        Ok(loaded)
    }

    /// The watched parts of the rules' expressions.
    pub fn watched(&self) -> impl Iterator<Item = (WatchedRule, &[Part])> {
        self.expressions().map(|(at, ready)| (at, ready.parts()))
    }

    /// What was written down of the rules' expressions.
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
