//! Chained accesses over values of any kind. An optional within the chain is tracked instead of built:
//! building one allocates.

use std::rc::Rc;

use super::eval::node;
use super::prepared::{AccessPath, Node};
use super::value::Value;
use super::{EvalError, Scope, access};

type Result<T> = std::result::Result<T, EvalError>;

/// Where an access path ended.
pub(super) enum Reached<'a> {
    /// At a value that is not an optional.
    Plain(Value<'a>),
    /// At a value inside an optional.
    Held(Value<'a>),
    /// At an empty optional.
    Absent,
}

/// Follows an access path. Each access costs a unit, whether it is reached or not.
pub(super) fn follow<'a>(path: &'a AccessPath, scope: &mut Scope<'a>) -> Result<Reached<'a>> {
    scope.fuel.spend(path.steps.len() as u64)?;
    let mut here = Reached::of(node(&path.base, scope)?);
    for step in &path.steps {
        let (name, fuel) = (&step.name, &mut scope.fuel);
        here = match here {
            Reached::Absent => return Ok(Reached::Absent),
            Reached::Plain(operand) if !step.optional => Reached::of(access::select(&operand, name, fuel)?),
            Reached::Held(operand) if !step.optional => {
                Reached::held(access::find_field(&operand, name, fuel)?)
            }
            Reached::Plain(operand) | Reached::Held(operand) => {
                Reached::held(access::opt_select(&operand, name, fuel)?)
            }
        };
    }
    Ok(here)
}

/// The value that an optional expression holds.
pub(super) fn held<'a>(optional: &'a Node, scope: &mut Scope<'a>) -> access::Found<'a> {
    let reached = match optional {
        Node::Access(path) => follow(path, scope)?,
        other => Reached::of(node(other, scope)?),
    };
    match reached {
        Reached::Held(value) => Ok(Some(value)),
        Reached::Absent => Ok(None),
        Reached::Plain(other) => Err(EvalError::misused(&other, "optional")),
    }
}

impl<'a> Reached<'a> {
    fn of(value: Value<'a>) -> Self {
        match value {
            Value::Optional(Some(inner)) => Self::Held(Rc::unwrap_or_clone(inner)),
            Value::Optional(None) => Self::Absent,
            value => Self::Plain(value),
        }
    }

    /// The value that was found is in an optional. If it is itself an optional, it stays that one: optionals
    /// do not nest by access.
    fn held(found: Option<Value<'a>>) -> Self {
        match found.map(Self::of) {
            Some(Self::Plain(value)) => Self::Held(value),
            Some(optional) => optional,
            None => Self::Absent,
        }
    }

    pub(super) fn into_value(self) -> Value<'a> {
        match self {
            Self::Plain(value) => value,
            Self::Held(value) => Value::Optional(Some(Rc::new(value))),
            Self::Absent => Value::Optional(None),
        }
    }
}
