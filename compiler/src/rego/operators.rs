//! Operators that make or traverse any amount of data in one step are rewritten as calls, which are charged:
//! `a | b`, `a & b`, `a - b` and `a * b` become `__union(a, b)` and so on, before the interpreter sees them.
//! The size of a set may come from an object, and a loop that removes one element each time would copy it as
//! often; each `*` can double the length of a number.
//!
//! The calls are written into the text, at the positions that the parser reported, because regorus accepts no
//! tree but its own parser's. If any of these operators is left after parsing that text, the module is
//! rejected. Line numbers stay the same, so an error reports its line but no column.

use std::cmp::Reverse;
use std::ops::Range;

use regorus::{Engine, Source, Value};

use super::made::{self, Charge};
use super::{Fault, RegoError};

/// A charged operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operator {
    Union,
    Intersection,
    Minus,
    Times,
}

/// The positions of an operator and its operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) operator: Operator,
    /// From the first bracket around the left operand to the last one around the right operand.
    pub(super) whole: Range<usize>,
    /// The end of the left operand, without brackets around it; of `set()`, where its last bracket may be.
    pub(super) left_end: usize,
}

const ALL: [Operator; 4] = [Operator::Union, Operator::Intersection, Operator::Minus, Operator::Times];

impl Operator {
    const fn name(self) -> &'static str {
        match self {
            Self::Union => "__union",
            Self::Intersection => "__intersection",
            Self::Minus => "__minus",
            Self::Times => "__times",
        }
    }

    const fn sign(self) -> u8 {
        match self {
            Self::Union => b'|',
            Self::Intersection => b'&',
            Self::Minus => b'-',
            Self::Times => b'*',
        }
    }

    fn charge(self) -> Charge {
        match self {
            Self::Union | Self::Intersection | Self::Minus => made::weight_of_all,
            Self::Times => made::product_of_two,
        }
    }

    /// The result; an error is its message.
    fn apply(self, left: &Value, right: &Value) -> Result<Value, String> {
        match (self, left, right) {
            (Self::Union, Value::Set(left), Value::Set(right)) => Ok(Value::from(left.union(right))),
            (Self::Intersection, Value::Set(left), Value::Set(right)) => {
                Ok(Value::from(left.intersection(right)))
            }
            (Self::Minus, Value::Set(left), Value::Set(right)) => Ok(Value::from(left.difference(right))),
            (Self::Minus, Value::Number(left), Value::Number(right)) => {
                left.sub(right).map(Value::from).map_err(|error| error.to_string())
            }
            (Self::Times, Value::Number(left), Value::Number(right)) => {
                left.mul(right).map(Value::from).map_err(|error| error.to_string())
            }
            (Self::Union | Self::Intersection, _, _) => {
                Err(format!("`{}` expects two sets", char::from(self.sign())))
            }
            (Self::Minus, _, _) => Err("`-` expects two numbers or two sets".to_owned()),
            (Self::Times, _, _) => Err("`*` expects two numbers".to_owned()),
        }
    }
}

/// Whether a name is reserved for an operator; a module may not use it.
pub(super) fn is_taken(name: &str) -> bool {
    ALL.iter().any(|operator| operator.name() == name)
}

/// Registers the charged operators in the interpreter.
pub(super) fn install(engine: &mut Engine) -> Result<(), String> {
    let source =
        Source::from_contents("input".to_owned(), " ".to_owned()).map_err(|error| error.to_string())?;
    for operator in ALL {
        let source = source.clone();
        let charged = move |arguments: Vec<Value>| {
            let applied =
                made::spend(operator.charge()(&arguments)).and_then(|()| match arguments.as_slice() {
                    [left, right] => operator.apply(left, right),
                    _ => Err("an operator has two operands".to_owned()),
                });
            applied.map_err(|message| source.error(1, 1, &message))
        };
        let installed = engine.add_extension(operator.name().to_owned(), 2, Box::new(charged));
        installed.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// An edit at one position of the text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edit {
    Close,
    /// In place of the operator.
    Comma,
    /// Of several calls that begin at one position, the one that ends last is the outermost.
    Open(Reverse<usize>, Operator),
}

/// The text with calls in place of operators; `None`: it has none.
///
/// # Errors
/// An operator that is not where the parser reported it.
pub(super) fn as_calls(text: &str, operations: &[Operation]) -> Result<Option<String>, RegoError> {
    if operations.is_empty() {
        return Ok(None);
    }
    let mut edits = Vec::with_capacity(3 * operations.len());
    for Operation { operator, whole, left_end } in operations {
        let sign = sign(text, *left_end).filter(|at| text.as_bytes().get(*at) == Some(&operator.sign()));
        let Some(sign) = sign.filter(|at| whole.contains(at)) else { return Err(unreadable(whole.clone())) };
        edits.push((whole.start, Edit::Open(Reverse(whole.end), *operator)));
        edits.push((sign, Edit::Comma));
        edits.push((whole.end, Edit::Close));
    }
    edits.sort();
    let (mut calls, mut done) = (String::with_capacity(2 * text.len()), 0);
    for (at, edit) in edits {
        let before = text.get(done..at).ok_or_else(|| unreadable(at..at))?;
        calls.push_str(before);
        done = at;
        match edit {
            Edit::Close => calls.push(')'),
            Edit::Comma => {
                calls.push(',');
                done += 1;
            }
            Edit::Open(_, operator) => {
                calls.push_str(operator.name());
                calls.push('(');
            }
        }
    }
    calls.push_str(text.get(done..).unwrap_or_default());
    Ok(Some(calls))
}

/// The module has an operator that cannot be charged.
pub(super) fn unreadable(bytes: Range<usize>) -> RegoError {
    let message = "the operators `|`, `&`, `-` and `*` of it cannot be told apart";
    RegoError::new(Fault::Limit, bytes, message)
        .with_help("put brackets around each, or write them one by one")
}

/// The first byte after white space, comments and closing brackets.
fn sign(text: &str, from: usize) -> Option<usize> {
    let mut in_comment = false;
    let found = text.as_bytes().get(from..)?.iter().position(|byte| match byte {
        b'\n' => {
            in_comment = false;
            false
        }
        _ if in_comment => false,
        b'#' => {
            in_comment = true;
            false
        }
        b' ' | b'\t' | b'\r' | b')' => false,
        _ => true,
    });
    found.map(|at| from + at)
}
