//! Rules in Rego, as the decision sees them: something that gives messages over the documents of a review.
//!
//! Not an interpreter of Rego, and none is linked here: who judges objects brings one as a [`RegoEngine`] (`bailiwick_compiler::rego`).
//! Without one, a policy with such rules is not put in force: what a pack refuses must not go unasked.
//!
//! Terms. *Module*: the text of one Rego file. *Messages*: the elements of the set that the rule names; each is a violation.

use std::fmt;

use crate::ir::Const;
use crate::json::Json;

/// Makes rules in Rego ready to be asked.
pub trait RegoEngine {
    /// Prepares one rule (`data.images.deny`) of a module.
    ///
    /// # Errors
    /// Why it cannot be asked, as a sentence without full stop.
    fn prepare(&self, module: &str, rule: &str) -> Result<Box<dyn RegoRule>, String>;
}

/// A rule that is ready. Asking it twice over the same documents gives the same messages in the same order.
pub trait RegoRule: fmt::Debug + Send + Sync {
    /// The messages of the rule's set, sorted; none: nothing is wrong.
    ///
    /// # Errors
    /// What cannot be evaluated, and what costs more than its limits.
    fn messages(&self, documents: Documents<'_>) -> Result<Vec<String>, RegoFailure>;

    /// What the rule reads, for the ratchet and for what need not be read of a request.
    fn reads(&self) -> RegoReads;
}

/// What a rule in Rego sees as `input`.
#[derive(Clone, Copy, Debug)]
pub struct Documents<'d> {
    /// `input.object`.
    pub object: &'d Json<'d>,
    /// `input.oldObject`.
    pub old_object: Option<&'d Json<'d>>,
    /// `input.request`, but for the objects in it.
    pub request: &'d Json<'d>,
    /// `input.params`.
    pub params: &'d Const,
    /// `input.namespaceObject`.
    pub namespace_object: Option<&'d Json<'d>>,
}

/// Why a rule gave no messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegoFailure {
    /// A limit was met: nobody knows what the rule would have said.
    #[error("{0}")]
    Limit(String),
    /// An error of evaluation, as a division by zero.
    #[error("{0}")]
    Evaluation(String),
}

/// What a rule reads. Over-approximates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegoReads {
    /// Members from the object's root on, as `["spec", "containers"]`: that and everything below. One without members is the whole object.
    pub object: Vec<Vec<String>>,
    /// Whether it reads what another request may have otherwise: `oldObject`, the request.
    pub foreign: bool,
}

/// Of programs that evaluate no Rego: refuses every rule.
#[derive(Clone, Copy, Debug)]
pub struct NoRego;

impl RegoEngine for NoRego {
    fn prepare(&self, _: &str, _: &str) -> Result<Box<dyn RegoRule>, String> {
        Err("it is written in Rego, which this program does not evaluate".to_owned())
    }
}
