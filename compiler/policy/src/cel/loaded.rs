//! What is prepared once when a policy is loaded: compiled regexes and which shared expressions depend on the pack.

use regex::Regex;
use thiserror::Error;

use super::functions::regexes::{PatternError, compile_pattern};
use crate::ir::{Expr, Root};
use crate::policy::Admission;

/// The prepared parts of a policy's expressions.
#[derive(Debug, Default)]
pub struct Loaded {
    pub(super) regexes: Vec<Regex>,
    pub(super) shared_reads_pack: Vec<bool>,
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
    /// Compiles every pattern.
    ///
    /// # Errors
    /// A pattern that is not valid or whose automaton would be too large.
    pub fn new(admission: &Admission) -> Result<Self, LoadError> {
        let Self { regexes, .. } = Self::of_patterns(&admission.regexes)?;
        let mut shared_reads_pack: Vec<bool> = Vec::with_capacity(admission.shared.len());
        for cel in &admission.shared {
            let mut reads = false;
            cel.expr.walk(&mut |node| match node {
                Expr::Root(Root::Params | Root::Pack) => reads = true,
                // Only earlier ones are known; the bundle's loader refuses references to later ones.
                Expr::Shared(index) => {
                    reads |= shared_reads_pack.get(*index as usize).copied().unwrap_or(true)
                }
                _ => {}
            });
            shared_reads_pack.push(reads);
        }
        Ok(Self { regexes, shared_reads_pack })
    }

    /// Compiles patterns of expressions that use no shared ones.
    ///
    /// # Errors
    /// As [`Loaded::new`].
    pub fn of_patterns(patterns: &[String]) -> Result<Self, LoadError> {
        let compiled = patterns.iter().enumerate().map(|(index, pattern)| {
            compile_pattern(pattern).map_err(|error| LoadError::Pattern { index, error })
        });
        Ok(Self { regexes: compiled.collect::<Result<_, _>>()?, shared_reads_pack: Vec::new() })
    }
}
