//! The value of every part of an expression, one by one, to explain a decision.
//!
//! Like [`super::watch`], but for one decision and not for production: a traced expression takes no shortcut,
//! and has the same meaning and fuel cost. Values are converted to text as they are computed, because they
//! borrow from a request that does not outlive its decision.
//!
//! Terms. *Traced*: a node of the expression with its value. A node in a macro has a value for every element.

use std::sync::{Arc, Mutex, PoisonError};

use super::EvalError;
use super::functions::convert::display;
use super::value::Value;

/// The most values of one node that are kept: a macro over a long list has one for every element, and more
/// would not be read.
pub const MAX_VALUES: usize = 16;
/// The longest text of one value, in characters; a longer one ends in `…`.
pub const MAX_VALUE_CHARS: usize = 200;
/// How deep lists and maps are written out; deeper ones are `…`.
const MAX_SHOWN_DEPTH: usize = 6;

/// The outcome of one evaluation of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A value: the name of its type, and its text in CEL's notation.
    Value(&'static str, String),
    /// A value that exists but that no parser fully understood.
    Opaque,
    /// No value.
    Failed(EvalError),
}

impl Came {
    fn of(came_to: &Result<Value<'_>, EvalError>) -> Self {
        match came_to {
            Ok(Value::Opaque) => Self::Opaque,
            Ok(value) => {
                let mut text = Text { out: String::new(), left: MAX_VALUE_CHARS };
                text.value(value, 0);
                Self::Value(value.type_name(), text.out)
            }
            Err(error) => Self::Failed(error.clone()),
        }
    }
}

/// The outcomes of a node so far. Policies are shared between threads, so it has a lock; nothing else
/// contends for it.
#[derive(Debug, Default)]
pub(super) struct Values(Mutex<(Vec<Came>, u64)>);

impl Values {
    pub(super) fn note(&self, came_to: &Result<Value<'_>, EvalError>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1 = kept.1.saturating_add(1);
        if kept.0.len() < MAX_VALUES {
            kept.0.push(Came::of(came_to));
        }
    }
}

/// A node of a traced expression.
#[derive(Debug)]
pub struct Traced {
    pub(super) at: u32,
    pub(super) values: Arc<Values>,
}

impl Traced {
    /// Its position in the pre-order of the expression.
    #[must_use]
    pub const fn at(&self) -> u32 {
        self.at
    }

    /// Its first [`MAX_VALUES`] outcomes in order, and how often it was evaluated.
    #[must_use]
    pub fn came_to(&self) -> (Vec<Came>, u64) {
        self.values.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A text with a bound.
struct Text {
    out: String,
    /// How many more characters fit.
    left: usize,
}

impl Text {
    /// Adds as much as fits; returns whether all of it did.
    fn add(&mut self, text: &str) -> bool {
        for char in text.chars() {
            if self.left == 0 {
                if !self.out.ends_with('…') {
                    self.out.push('…');
                }
                return false;
            }
            self.out.push(char);
            self.left -= 1;
        }
        true
    }

    /// A string in quotes. Only the part that fits is escaped, because strings of an object may be long.
    fn quoted(&mut self, text: &str) -> bool {
        let end = text.char_indices().nth(self.left.saturating_add(1)).map_or(text.len(), |(at, _)| at);
        let quoted = serde_json::to_string(text.get(..end).unwrap_or_default()).unwrap_or_default();
        self.add(&quoted)
    }

    fn value(&mut self, value: &Value<'_>, depth: usize) -> bool {
        match value {
            Value::Null => self.add("null"),
            Value::Opaque => self.add("opaque"),
            Value::Str(_) | Value::OwnedStr(_) => self.quoted(value.as_str().unwrap_or_default()),
            Value::Uint(number) => self.add(&format!("{number}u")),
            Value::Bytes(_) | Value::OwnedBytes(_) => {
                let length = value.as_bytes().map_or(0, <[u8]>::len);
                self.add(&format!("b\"…\" ({length} bytes)"))
            }
            Value::Type(name) => self.add(name),
            Value::List(_) | Value::Map(_) | Value::Optional(Some(_)) if depth >= MAX_SHOWN_DEPTH => {
                self.add("…")
            }
            Value::List(list) => {
                self.add("[")
                    && list
                        .iter()
                        .enumerate()
                        .all(|(index, item)| (index == 0 || self.add(", ")) && self.value(&item, depth + 1))
                    && self.add("]")
            }
            Value::Map(map) => {
                self.add("{")
                    && map.iter().enumerate().all(|(index, (key, value))| {
                        (index == 0 || self.add(", "))
                            && self.value(&key, depth + 1)
                            && self.add(": ")
                            && self.value(&value, depth + 1)
                    })
                    && self.add("}")
            }
            Value::Optional(None) => self.add("optional.none()"),
            Value::Optional(Some(inner)) => {
                self.add("optional.of(") && self.value(inner, depth + 1) && self.add(")")
            }
            other => match display(other) {
                Some(text) => self.add(&text),
                None => self.add(other.type_name()),
            },
        }
    }
}
