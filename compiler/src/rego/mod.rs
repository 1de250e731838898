//! Rego: from the text of a module to a rule that can be asked. The interpreter is the `regorus` crate's, behind this module alone.
//!
//! ```text
//! text ► guard (size, nesting) ► regorus' parser ► tree ► check (what is used, what the rule is) ┬► diagnostics of the pack
//!                                                                                                └► prepared ► Vec<message>
//! ```
//!
//! The same [`read`] stands before both: what the compiler accepts can be asked, and a bundle that somebody edited is held to what the
//! compiler accepts. Evaluation is regorus' interpreter, not its register machine, which gives other results
//! (`docs/adr/0022-rego-by-the-interpreter.md`). Parsing and evaluation recurse, so both run on threads with a large stack ([`stack`]).
//!
//! Terms. *Module*: the text of a file. *Entry*: the rule that the pack names, a set of messages. *Step*: what the interpreter counts, a
//! statement, an element of a loop, an expression.

mod builtins;
mod check;
mod convert;
mod engine;
mod guard;
mod guarded;
mod made;
mod operators;
mod reach;
mod stack;
mod tree;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use check::check;
pub use engine::Regorus;

/// What a rule may be written in, for the messages about it.
pub(crate) const ROOTS: [&str; 7] =
    ["object", "oldObject", "request", "params", "namespaceObject", "review", "parameters"];

/// What is wrong with a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not Rego.
    Syntax,
    /// Too large, too deep, too much to go through.
    Limit,
    /// A built-in that is refused.
    Builtin,
    /// A name that stands for nothing.
    Reference,
    /// The entry is no set of messages.
    Convention,
}

/// One thing that is wrong with a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegoError {
    pub(crate) fault: Fault,
    /// Bytes of the text; empty at its end for what is not there.
    pub(crate) bytes: Range<usize>,
    /// A sentence without full stop, user input in backticks.
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

/// Fuzz entry: any bytes as a module whose rule `data.fuzz.deny` is asked over a small pod. Nothing may panic, hang or take more than its
/// limits.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    engine::fuzz(text);
}
