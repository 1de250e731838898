//! Rules in Rego, as the decision sees them: an evaluator that returns messages for the documents of a
//! review.
//!
//! Not an interpreter of Rego, and none is linked here: the program that judges objects supplies one as a
//! [`RegoEngine`] (`bailiwick_compiler::rego`). Without one, a policy with such rules is not put in force,
//! because a pack's denials must not go unevaluated.
//!
//! Terms. *Module*: the text of one Rego file. *Messages*: the elements of the set that the rule names; each
//! is a violation.

use std::fmt;

use crate::ir::Const;
use crate::json::Json;

/// Prepares rules in Rego.
pub trait RegoEngine {
    /// Prepares one rule (`data.images.deny`) of a module.
    ///
    /// # Errors
    /// Why it cannot be evaluated, as a sentence without full stop.
    fn prepare(&self, module: &str, rule: &str) -> Result<Box<dyn RegoRule>, String>;
}

/// A prepared rule. Two evaluations over the same documents give the same messages in the same order.
pub trait RegoRule: fmt::Debug + Send + Sync {
    /// The messages of the rule's set, sorted; empty: nothing is wrong.
    ///
    /// # Errors
    /// An evaluation error, or a cost above the rule's limits.
    fn messages(&self, documents: Documents<'_>) -> Result<Vec<String>, RegoFailure>;

    /// What the rule reads, for the ratchet and for skipping parts of a request.
    fn reads(&self) -> RegoReads;
}

/// What a rule in Rego sees as `input`.
#[derive(Clone, Copy, Debug)]
pub struct Documents<'d> {
    /// `input.object`.
    pub object: &'d Json<'d>,
    /// `input.oldObject`.
    pub old_object: Option<&'d Json<'d>>,
    /// `input.request`, without the objects in it.
    pub request: &'d Json<'d>,
    /// `input.params`.
    pub params: &'d Const,
    /// `input.namespaceObject`.
    pub namespace_object: Option<&'d Json<'d>>,
}

/// Why a rule gave no messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegoFailure {
    /// A limit was reached: the rule's result is not known.
    #[error("{0}")]
    Limit(String),
    /// An evaluation error, such as a division by zero.
    #[error("{0}")]
    Evaluation(String),
}

/// What a rule reads. Over-approximates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegoReads {
    /// Members from the object's root on, such as `["spec", "containers"]`: that value and everything below
    /// it. An empty path is the whole object.
    pub object: Vec<Vec<String>>,
    /// Whether it reads what may differ in another request: `oldObject`, the request.
    pub foreign: bool,
}

/// For programs that evaluate no Rego: refuses every rule.
#[derive(Clone, Copy, Debug)]
pub struct NoRego;

impl RegoEngine for NoRego {
    fn prepare(&self, _: &str, _: &str) -> Result<Box<dyn RegoRule>, String> {
        Err("it is written in Rego, which this program does not evaluate".to_owned())
    }
}
