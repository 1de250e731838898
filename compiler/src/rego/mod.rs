//! Rego: from the text of a module to a rule that can be evaluated. The interpreter is the `regorus` crate's;
//! only this module uses it.
//!
//! ```text
//! text ► guard (size, nesting) ► regorus' parser ► tree ► check (what is used, what the rule is) ┬► diagnostics of the pack
//!                                                                                                └► prepared ► Vec<message>
//! ```
//!
//! Both paths begin with the same [`read`]: what the compiler accepts can be evaluated, and a bundle that was
//! edited by hand must pass the compiler's checks. Evaluation uses regorus' interpreter, not its register
//! machine, which gives other results (`docs/adr/0022-rego-by-the-interpreter.md`). Parsing and evaluation
//! recurse, so both run on threads with a large stack ([`stack`]).
//!
//! Terms. *Module*: the text of a file. *Entry*: the rule that the pack names, a set of messages. *Step*: the
//! interpreter's unit of counting, which is a statement, an element of a loop or an expression.

mod builtins;
mod charges;
mod check;
mod convert;
mod engine;
mod guard;
mod guarded;
mod made;
mod opa;
mod operators;
mod patterns;
mod reach;
mod sites;
mod stack;
mod tree;
mod weight;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use check::check;
pub use engine::Regorus;

/// The documents that a rule may read, for messages about it.
pub(crate) const ROOTS: [&str; 7] =
    ["object", "oldObject", "request", "params", "namespaceObject", "review", "parameters"];

/// The kind of an error in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not Rego.
    Syntax,
    /// Too large, too deep, or too costly to evaluate.
    Limit,
    /// A forbidden built-in.
    Builtin,
    /// A name that refers to nothing.
    Reference,
    /// The entry is not a set of messages.
    Convention,
}

/// One error in a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegoError {
    pub(crate) fault: Fault,
    /// Bytes of the text; for something missing, an empty range at the end.
    pub(crate) bytes: Range<usize>,
    /// A sentence without a full stop, user input in backticks.
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl RegoError {
    fn new(fault: Fault, bytes: Range<usize>, message: impl Into<String>) -> Self {
        Self { fault, bytes, message: message.into(), help: None }
    }

    fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Fuzz entry: any bytes as a module whose rule `data.fuzz.deny` is evaluated over a small pod. Nothing may
/// panic, hang or exceed its limits.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    engine::fuzz(text);
}
