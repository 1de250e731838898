//! Why an expression has no value.

use thiserror::Error;

use super::value::Value;

/// An evaluation error. Its text is that of CEL implementations, so that authors recognise it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvalError {
    /// An absent field or key.
    #[error("no such key: {0}")]
    NoSuchKey(Box<str>),
    /// A list index beyond the list.
    #[error("index out of bounds: {0}")]
    IndexOutOfBounds(i64),
    /// Arguments that no overload of the named function accepts.
    #[error("no such overload: {0}")]
    NoSuchOverload(&'static str),
    /// An integer, duration or timestamp beyond its range.
    #[error("{0} overflow")]
    Overflow(&'static str),
    /// `x / 0`.
    #[error("division by zero")]
    DivisionByZero,
    /// `x % 0`.
    #[error("modulus by zero")]
    ModulusByZero,
    /// The use of a value that no parser fully understood.
    #[error("the value is opaque")]
    Opaque,
    /// A question to the authorizer whose answer is not known.
    #[error("{0}")]
    Unanswered(Box<str>),
    /// Any other invalid value of an argument.
    #[error("{0}")]
    Invalid(Box<str>),
    /// The evaluation exceeded its fuel.
    #[error("the expression cost more than its budget")]
    FuelExhausted,
    /// The evaluation nested deeper than the stack is known to support.
    #[error("the expression is nested too deeply")]
    TooDeep,
}

impl EvalError {
    /// Whether a limit of the evaluator, and not the expression's meaning, ended the evaluation. Never
    /// absorbed.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::FuelExhausted | Self::TooDeep)
    }

    /// A value that `function` does not accept: [`EvalError::Opaque`] if that is the reason.
    pub(crate) const fn misused(value: &Value<'_>, function: &'static str) -> Self {
        match value {
            Value::Opaque => Self::Opaque,
            _ => Self::NoSuchOverload(function),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into().into_boxed_str())
    }

    pub(crate) fn no_such_key(key: &str) -> Self {
        Self::NoSuchKey(key.into())
    }
}
