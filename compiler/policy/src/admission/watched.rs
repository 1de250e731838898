//! Reviewers that watch or trace their expressions. Watched, tests of a pack can report which parts of its
//! rules they never reached; traced, a decision can be explained.

use crate::bundle::Bundle;
use crate::cel::{Loaded, Part, Prepared, Traced, Watching};

use super::namespaces::Namespaces;
use super::rego::RegoEngine;
use super::reviewer::{Bound, LoadError, Reviewer, ready};

/// A watched expression, by its position in [`crate::policy::Admission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchedAt {
    /// A shared expression, by index.
    Shared(usize),
    /// A condition of a rule.
    Condition {
        /// Index of the rule.
        rule: usize,
        /// Index of the condition.
        at: usize,
    },
    /// A validation of a rule, not its message.
    Validation {
        /// Index of the rule.
        rule: usize,
        /// Index of the validation.
        at: usize,
    },
}

impl Reviewer {
    /// Like [`Reviewer::with_rego`], with one policy, and watches its expressions except those in Rego.
    /// Decisions are the same, but slower.
    ///
    /// # Errors
    /// As for [`Reviewer::with_rego`].
    pub fn watching(
        bundle: Bundle,
        namespaces: Namespaces,
        rego: &dyn RegoEngine,
    ) -> Result<Self, LoadError> {
        Self::watching_as(bundle, namespaces, rego, Watching::On)
    }

    /// Like [`Reviewer::with_rego`], with one policy, and records the value of each part of its expressions
    /// except those in Rego. For one decision: values of several add up.
    ///
    /// # Errors
    /// As for [`Reviewer::with_rego`].
    pub fn tracing(bundle: Bundle, namespaces: Namespaces, rego: &dyn RegoEngine) -> Result<Self, LoadError> {
        Self::watching_as(bundle, namespaces, rego, Watching::Values)
    }

    fn watching_as(
        bundle: Bundle,
        namespaces: Namespaces,
        rego: &dyn RegoEngine,
        watching: Watching,
    ) -> Result<Self, LoadError> {
        let mut reviewer = Self::with_rego([bundle], namespaces, rego)?;
        reviewer.policies.iter_mut().try_for_each(|bound| bound.watch(rego, watching))?;
        Ok(reviewer)
    }

    /// The watched parts of the deciding expressions, by expression.
    #[must_use]
    pub fn watched(&self) -> Vec<(WatchedAt, &[Part])> {
        self.deciding().into_iter().map(|(at, one)| (at, one.parts())).collect()
    }

    /// The recorded values of the deciding expressions, by expression.
    #[must_use]
    pub fn traced(&self) -> Vec<(WatchedAt, &[Traced])> {
        self.deciding().into_iter().map(|(at, one)| (at, one.traced())).collect()
    }

    /// The expressions that decide.
    fn deciding(&self) -> Vec<(WatchedAt, &Prepared)> {
        let mut all = Vec::new();
        for bound in &self.policies {
            let shared = bound.loaded.shared().iter().enumerate();
            all.extend(shared.map(|(index, one)| (WatchedAt::Shared(index), one)));
            for (rule, ready) in bound.ready.iter().enumerate() {
                let conditions = ready.expressions.conditions.iter().enumerate();
                all.extend(conditions.map(|(at, one)| (WatchedAt::Condition { rule, at }, one)));
                let validations = ready.expressions.validations.iter().enumerate();
                all.extend(validations.map(|(at, (one, _))| (WatchedAt::Validation { rule, at }, one)));
            }
        }
        all
    }
}

impl Bound {
    fn watch(&mut self, rego: &dyn RegoEngine, watching: Watching) -> Result<(), LoadError> {
        self.loaded = Loaded::watching(&self.policy.admission, watching)
            .map_err(|error| LoadError::Expressions { cell: self.policy.cell.clone(), error })?;
        self.ready = ready(&self.policy, &self.loaded, rego)?;
        Ok(())
    }
}
