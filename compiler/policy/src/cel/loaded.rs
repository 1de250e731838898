//! What is prepared once when a policy is loaded: compiled regexes and the shared expressions.

use thiserror::Error;

use super::functions::regexes::{Pattern, PatternError};
use super::prepared::Prepared;
use super::watch::Watching;
use crate::ir::Cel;
use crate::policy::Admission;

/// The prepared parts of a policy's expressions.
#[derive(Debug, Default)]
pub struct Loaded {
    pub(super) regexes: Vec<Pattern>,
    pub(super) shared: Vec<Prepared>,
    watching: Watching,
}

/// Why a policy's expressions cannot be prepared.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A pattern that does not compile.
    #[error("pattern {index}: {error}")]
    Pattern {
        /// Index into the regexes of the section.
        index: usize,
        /// What is wrong with it.
        error: PatternError,
    },
}

impl Loaded {
    /// Compiles every pattern and prepares the shared expressions.
    ///
    /// # Errors
    /// A pattern that is not valid or whose automaton would be too large.
    pub fn new(admission: &Admission) -> Result<Self, LoadError> {
        Self::watching(admission, Watching::Off)
    }

    /// The same, with every expression watched or none.
    ///
    /// # Errors
    /// As for [`Loaded::new`].
    pub fn watching(admission: &Admission, watching: Watching) -> Result<Self, LoadError> {
        let mut loaded = Self::of_patterns(&admission.regexes)?;
        loaded.watch(watching);
        for cel in &admission.shared {
            let prepared = loaded.prepare(cel);
            loaded.shared.push(prepared);
        }
        Ok(loaded)
    }

    /// Compiles patterns of expressions that use no shared ones.
    ///
    /// # Errors
    /// As for [`Loaded::new`].
    pub fn of_patterns(patterns: &[String]) -> Result<Self, LoadError> {
        let compiled = patterns.iter().enumerate().map(|(index, pattern)| {
            Pattern::new(pattern).map_err(|error| LoadError::Pattern { index, error })
        });
        Ok(Self { regexes: compiled.collect::<Result<_, _>>()?, ..Self::default() })
    }

    /// Whether expressions prepared from now on are watched.
    pub(crate) const fn watch(&mut self, watching: Watching) {
        self.watching = watching;
    }

    /// The shared expressions, in the policy's order.
    #[cfg(feature = "admission")]
    pub(crate) fn shared(&self) -> &[Prepared] {
        &self.shared
    }

    /// Makes an expression of this policy ready.
    #[must_use]
    pub fn prepare(&self, cel: &Cel) -> Prepared {
        Prepared::new(cel, &self.shared, self.watching)
    }
}
