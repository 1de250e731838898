//! Errors in a CEL text. Not diagnostics: the caller adds the file, the code and the drawing.

use thiserror::Error;

/// One error of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CelError {
    /// Where it begins, in bytes of the source.
    pub offset: usize,
    /// How many bytes it spans; 0 at the end of the text.
    pub len: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The kind of error.
    pub kind: CelErrorKind,
}

/// Kinds of errors, for choosing a diagnostic code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CelErrorKind {
    /// The text is not CEL.
    Syntax,
    /// The text is larger or deeper than accepted.
    Limit,
    /// A name that nothing declares.
    Reference,
    /// Types do not match.
    Type,
    /// A regular expression that does not compile or is too large.
    Regex,
    /// The cost exceeds the API server's budget.
    Cost,
    /// The parser itself failed.
    Internal,
}

impl CelError {
    /// An error at a span of the source.
    #[must_use]
    pub fn new(kind: CelErrorKind, offset: usize, len: usize, message: impl Into<String>) -> Self {
        Self { offset, len, message: message.into(), help: None, kind }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The known name nearest to a misspelt one, if one is near enough to be meant.
pub(super) fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= wanted.len().min(name.len()).div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

/// "did you mean" with the nearest name, if there is one.
pub(super) fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wanted, known).map(|name| format!("did you mean `{name}`?"))
}
