//! Work of any size in one step is written as calls, which are charged: `a | b`, `a & b`, `a - b` and `a * b`
//! become `__union(a, b)` and so on, and so do `+`, `/` and `%`; comparisons become `__equal(a, b)` and the like;
//! and a value that is looked up or matched becomes `__key(a)`, `__same(a)` or `__among(a)`, before the interpreter
//! sees them ([`super::sites`] says where). The size of a set may come from an object, and a loop that removes one
//! element each time would copy it as often; each `*` can double the length of a number; two lists of a million
//! elements may differ in the last one; and what is no number would be written out in the error of a sum.
//!
//! The calls are written into the text, at the positions that the parser reported, because regorus accepts no
//! tree but its own parser's. If any site is left after parsing that text, the module is rejected. Line
//! numbers stay the same, so an error reports its line but no column.

use std::cmp::Reverse;
use std::ops::Range;

use regorus::{Engine, Source, Value};

use super::charges::{self, Charge};
use super::made;
use super::sites::Site;
use super::weight::weight_of_all;
use super::{Fault, RegoError};

/// A charged operation. Of two at one place, the first one here is the outer call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operator {
    /// The value itself, which is about to be compared with another one.
    Same,
    /// The value itself, which is about to be looked up among others.
    Key,
    /// The collection itself, in which a value is about to be sought.
    Among,
    Union,
    Intersection,
    Plus,
    Minus,
    Times,
    Over,
    Rest,
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

use Operator::{
    Among, AtLeast, AtMost, Equal, Greater, Intersection, Key, Less, Minus, NotEqual, Over, Plus, Rest, Same,
    Times, Union,
};

const ALL: [Operator; 16] = [
    Same,
    Key,
    Among,
    Union,
    Intersection,
    Plus,
    Minus,
    Times,
    Over,
    Rest,
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
];

impl Operator {
    const fn name(self) -> &'static str {
        match self {
            Same => "__same",
            Key => "__key",
            Among => "__among",
            Union => "__union",
            Intersection => "__intersection",
            Plus => "__plus",
            Minus => "__minus",
            Times => "__times",
            Over => "__over",
            Rest => "__rest",
            Equal => "__equal",
            NotEqual => "__not_equal",
            Less => "__less",
            AtMost => "__at_most",
            Greater => "__greater",
            AtLeast => "__at_least",
        }
    }

    /// What is written for it; empty: nothing is.
    const fn sign(self) -> &'static str {
        match self {
            Same | Key | Among => "",
            Union => "|",
            Intersection => "&",
            Plus => "+",
            Minus => "-",
            Times => "*",
            Over => "/",
            Rest => "%",
            Equal => "==",
            NotEqual => "!=",
            Less => "<",
            AtMost => "<=",
            Greater => ">",
            AtLeast => ">=",
        }
    }

    const fn arity(self) -> u8 {
        match self {
            Same | Key | Among => 1,
            _ => 2,
        }
    }

    fn charge(self) -> Charge {
        match self {
            Same | Plus | Over | Rest => charges::looked_through,
            Key => charges::looked_up,
            Among => charges::gone_through,
            Union | Intersection | Minus => weight_of_all,
            Times => charges::product_of_two,
            Equal | NotEqual | Less | AtMost | Greater | AtLeast => charges::compared,
        }
    }

    /// The operation of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|operator| operator.name() == name)
    }

    /// The result; an error is its message.
    fn apply(self, operands: &[Value]) -> Result<Value, String> {
        match (self, operands) {
            (Same | Key | Among, [value]) => Ok(value.clone()),
            (Union, [Value::Set(left), Value::Set(right)]) => Ok(Value::from(left.union(right))),
            (Intersection, [Value::Set(left), Value::Set(right)]) => {
                Ok(Value::from(left.intersection(right)))
            }
            (Minus, [Value::Set(left), Value::Set(right)]) => Ok(Value::from(left.difference(right))),
            (Minus, [Value::Number(left), Value::Number(right)]) => {
                left.sub(right).map(Value::from).map_err(|error| error.to_string())
            }
            (Times, [Value::Number(left), Value::Number(right)]) => {
                left.mul(right).map(Value::from).map_err(|error| error.to_string())
            }
            (Plus, [Value::Number(left), Value::Number(right)]) => {
                left.add(right).map(Value::from).map_err(|error| error.to_string())
            }
            (Over, [Value::Number(_), zero]) if *zero == Value::from(0_u64) => {
                Err("divide by zero".to_owned())
            }
            (Over, [Value::Number(left), Value::Number(right)]) => {
                left.clone().divide(right).map(Value::from).map_err(|error| error.to_string())
            }
            (Rest, [Value::Number(_), zero]) if *zero == Value::from(0_u64) => {
                Err("modulo by zero".to_owned())
            }
            (Rest, [Value::Number(left), Value::Number(right)])
                if left.is_integer() && right.is_integer() =>
            {
                left.clone().modulo(right).map(Value::from).map_err(|error| error.to_string())
            }
            (Rest, [Value::Number(_), Value::Number(_)]) => Err("modulo on floating-point number".to_owned()),
            (Equal, [left, right]) => Ok(Value::from(left == right)),
            (NotEqual, [left, right]) => Ok(Value::from(left != right)),
            (Less, [left, right]) => Ok(Value::from(left < right)),
            (AtMost, [left, right]) => Ok(Value::from(left <= right)),
            (Greater, [left, right]) => Ok(Value::from(left > right)),
            (AtLeast, [left, right]) => Ok(Value::from(left >= right)),
            (Union | Intersection, _) => Err(format!("`{}` expects two sets", self.sign())),
            (Minus, _) => Err("`-` expects two numbers or two sets".to_owned()),
            (Plus | Times | Over | Rest, _) => Err(format!("`{}` expects two numbers", self.sign())),
            (_, _) => Err(format!("`{}` has {} operands", self.name(), self.arity())),
        }
    }
}

/// Whether a name is reserved for an operator; a module may not use it.
pub(super) fn is_taken(name: &str) -> bool {
    Operator::named(name).is_some()
}

/// Registers the charged operators in the interpreter.
pub(super) fn install(engine: &mut Engine) -> Result<(), String> {
    let source =
        Source::from_contents("input".to_owned(), " ".to_owned()).map_err(|error| error.to_string())?;
    for operator in ALL {
        let source = source.clone();
        let charged = move |arguments: Vec<Value>| {
            let applied =
                made::spend(operator.charge()(&arguments)).and_then(|()| operator.apply(&arguments));
            applied.map_err(|message| source.error(1, 1, &message))
        };
        let installed = engine.add_extension(operator.name().to_owned(), operator.arity(), Box::new(charged));
        installed.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// An edit at one position of the text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edit {
    Close,
    /// In place of the operator, whose length it has.
    Comma(usize),
    /// Of several calls that begin at one position, the one that ends last is the outermost.
    Open(Reverse<usize>, Operator),
}

/// The text with calls at the sites.
///
/// # Errors
/// An operator that is not where the parser reported it.
pub(super) fn as_calls(text: &str, sites: &[Site]) -> Result<String, RegoError> {
    let mut edits = Vec::with_capacity(3 * sites.len());
    for Site { operator, whole, left_end } in sites {
        edits.push((whole.start, Edit::Open(Reverse(whole.end), *operator)));
        edits.push((whole.end, Edit::Close));
        let Some(left_end) = left_end else { continue };
        let written = operator.sign();
        let sign =
            sign(text, *left_end).filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(written)));
        let Some(sign) = sign.filter(|at| whole.contains(at)) else { return Err(unreadable(whole.clone())) };
        edits.push((sign, Edit::Comma(written.len())));
    }
    edits.sort();
    let (mut calls, mut done) = (String::with_capacity(2 * text.len()), 0);
    for (at, edit) in edits {
        let before = text.get(done..at).ok_or_else(|| unreadable(at..at))?;
        calls.push_str(before);
        done = at;
        match edit {
            Edit::Close => calls.push(')'),
            Edit::Comma(length) => {
                calls.push(',');
                done += length;
            }
            Edit::Open(_, operator) => {
                calls.push_str(operator.name());
                calls.push('(');
            }
        }
    }
    calls.push_str(text.get(done..).unwrap_or_default());
    Ok(calls)
}

/// The module has work that cannot be charged.
pub(super) fn unreadable(bytes: Range<usize>) -> RegoError {
    let message = "what it compares and computes cannot be told apart";
    RegoError::new(Fault::Limit, bytes, message)
        .with_help("name values by `:=`, compare them by `==`, and put brackets around each operation")
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
