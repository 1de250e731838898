//! Facts: what built-in parsers derive from the arguments of a call, for rules to read.
//!
//! Total functions over strings: every input gives an answer, in bounded time, without I/O. What a parser
//! does not fully understand is *opaque*, never a guess: a rule that reads an opaque value fails, and a
//! failing rule permits nothing. These are facts about text. What a path names on a disk or a name on a
//! network may change between decision and use; the sandbox covers that.

pub mod git;
pub mod path;
pub mod shell;
pub mod url;

/// A fact: known, or opaque because the input is not fully understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// Exactly this.
    Known(T),
    /// Not understood. A rule that reads it gets an error.
    Opaque,
}

impl<T> Fact<T> {
    /// The value, if it is known.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Opaque => None,
        }
    }

    /// Whether it is not understood.
    pub const fn is_opaque(&self) -> bool {
        matches!(self, Fact::Opaque)
    }
}

/// The longest text that is parsed, in bytes; a longer one is opaque. Command lines and addresses of agents
/// take a few hundred.
pub const MAX_BYTES: usize = 8 * 1024;
