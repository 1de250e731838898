//! Chains of field accesses (`object.spec.?securityContext.?runAsUser`) read straight from the request.
//!
//! Nearly all that a rule does is follow such chains and compare what stands there with a constant. Both are done here on the request's own
//! values, without making a [`Value`] or an optional of each step. What is not such a chain, or meets anything but
//! objects of the request on its way, is left to the evaluator at large; both ways give the same outcome.

use super::eval::{nested, node};
use super::value::{Map, Value};
use super::{EvalError, Scope, aggregate, opaque};
use crate::ir::{Const, Expr, Func};
use crate::json::{self, Json};

type Result<T> = std::result::Result<T, EvalError>;

/// Where a chain ended.
pub(super) enum Reached<'a> {
    /// At a value.
    Plain(&'a Json<'a>),
    /// At a value, inside an optional.
    Held(&'a Json<'a>),
    /// At an empty optional.
    Absent,
    /// Not a chain over objects of the request.
    Other,
}

/// Follows `root.a.?b.c`. Each access costs one unit, also where the chain turns out to be none.
pub(super) fn follow<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Result<Reached<'a>> {
    let (operand, field, optional) = match expr {
        Expr::Select(operand, field) => (operand.as_ref(), field, false),
        Expr::OptSelect(operand, field) => (operand.as_ref(), field, true),
        _ => return Ok(Reached::Other),
    };
    scope.fuel.spend(1)?;
    let (map, held) = match operand {
        Expr::Select(..) | Expr::OptSelect(..) => match follow(operand, scope)? {
            Reached::Plain(Json::Map(map)) => (map, optional),
            Reached::Held(Json::Map(map)) => (map, true),
            Reached::Absent => return Ok(Reached::Absent),
            Reached::Plain(_) | Reached::Held(_) | Reached::Other => return Ok(Reached::Other),
        },
        root => match object(root, scope)? {
            Some(map) => (map, optional),
            None => return Ok(Reached::Other),
        },
    };
    match map.get(field) {
        Some(json) if held => Ok(Reached::Held(json)),
        Some(json) => Ok(Reached::Plain(json)),
        None if held => Ok(Reached::Absent),
        None => Err(EvalError::no_such_key(field)),
    }
}

/// The object of the request that a chain starts at.
fn object<'a>(root: &'a Expr, scope: &mut Scope<'a>) -> Result<Option<&'a json::Map<'a>>> {
    let value = match root {
        Expr::Slot(slot) => scope.slot(*slot)?,
        Expr::Root(root) => return Ok(scope.json(*root).and_then(Json::as_map)),
        Expr::Shared(index) => {
            if scope.known(*index).is_none() {
                node(root, scope)?;
            }
            match scope.known(*index) {
                Some(value) => value,
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(match value {
        Value::Map(Map::Json(map)) => Some(map),
        _ => None,
    })
}

/// `has(operand.field)`; `None` where the operand is no chain to an object.
pub(super) fn has<'a>(operand: &'a Expr, field: &str, scope: &mut Scope<'a>) -> Result<Option<bool>> {
    if let Some(map) = object(operand, scope)? {
        return Ok(Some(map.get(field).is_some()));
    }
    Ok(match follow(operand, scope)? {
        Reached::Plain(Json::Map(map)) | Reached::Held(Json::Map(map)) => Some(map.get(field).is_some()),
        Reached::Absent => Some(false),
        _ => None,
    })
}

/// A value where it stands.
pub(super) enum Operand<'a> {
    Json(&'a Json<'a>),
    Const(&'a Const),
    Value(Value<'a>),
}

/// The value of an expression, left where it stands if it stands anywhere.
pub(super) fn operand<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Result<Operand<'a>> {
    match expr {
        Expr::Const(constant) => {
            scope.fuel.spend(1)?;
            return Ok(Operand::Const(constant));
        }
        Expr::Slot(slot) => {
            scope.fuel.spend(1)?;
            return scope.slot(*slot).cloned().map(Operand::Value);
        }
        Expr::Select(..) => {
            if let Reached::Plain(json) = follow(expr, scope)? {
                return Ok(Operand::Json(json));
            }
        }
        Expr::Call(Func::OrValue, args) => {
            if let [optional @ Expr::OptSelect(..), alternative] = args.as_slice() {
                match follow(optional, scope)? {
                    Reached::Held(json) => return Ok(Operand::Json(json)),
                    Reached::Absent => return nested(scope, |scope| operand(alternative, scope)),
                    Reached::Plain(_) | Reached::Other => {}
                }
            }
        }
        _ => {}
    }
    node(expr, scope).map(Operand::Value)
}

impl<'a> Operand<'a> {
    fn as_str(&self) -> Option<&str> {
        match self {
            Operand::Json(Json::Str(text)) => Some(text),
            Operand::Const(Const::Str(text)) => Some(text),
            Operand::Value(value) => value.as_str(),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Operand::Json(Json::Bool(value)) | Operand::Const(Const::Bool(value)) => Some(*value),
            Operand::Value(Value::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    fn as_int(&self) -> Option<i64> {
        match self {
            Operand::Json(Json::Int(value)) | Operand::Const(Const::Int(value)) => Some(*value),
            Operand::Value(Value::Int(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn into_value(self) -> Value<'a> {
        match self {
            Operand::Json(json) => json.into(),
            Operand::Const(constant) => constant.into(),
            Operand::Value(value) => value,
        }
    }
}

/// `left == right`.
pub(super) fn equal<'a>(left: &'a Expr, right: &'a Expr, scope: &mut Scope<'a>) -> Result<bool> {
    let left = operand(left, scope)?;
    if let Expr::Const(right) = right {
        scope.fuel.spend(1)?;
        return equals(&left, right, scope);
    }
    let right = operand(right, scope)?;
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        scope.fuel.spend_bytes(left.len().min(right.len()))?;
        return Ok(left == right);
    }
    aggregate::equal(&left.into_value(), &right.into_value(), &mut scope.fuel)
}

/// `left == constant`.
fn equals<'a>(left: &Operand<'a>, right: &'a Const, scope: &mut Scope<'a>) -> Result<bool> {
    let known = match right {
        Const::Str(right) => match left.as_str() {
            Some(left) => {
                scope.fuel.spend_bytes(left.len().min(right.len()))?;
                Some(left == right)
            }
            None => None,
        },
        Const::Bool(right) => left.as_bool().map(|left| left == *right),
        Const::Int(right) => left.as_int().map(|left| left == *right),
        _ => None,
    };
    match (known, left) {
        (Some(same), _) => Ok(same),
        (None, Operand::Json(json)) => aggregate::equal(&(*json).into(), &right.into(), &mut scope.fuel),
        (None, Operand::Const(left)) => aggregate::equal(&(*left).into(), &right.into(), &mut scope.fuel),
        (None, Operand::Value(left)) => aggregate::equal(left, &right.into(), &mut scope.fuel),
    }
}

/// `expr in [constants]`.
pub(super) fn among<'a>(expr: &'a Expr, constants: &'a [Const], scope: &mut Scope<'a>) -> Result<bool> {
    let operand = operand(expr, scope)?;
    if let Some(text) = operand.as_str() {
        scope.fuel.spend((constants.len() / 4) as u64)?;
        return Ok(constants.iter().any(|constant| matches!(constant, Const::Str(known) if known == text)));
    }
    let list = super::value::List::Const(constants);
    let value = opaque::known(operand.into_value())?;
    aggregate::list_contains(&list, &value, &mut scope.fuel)
}
