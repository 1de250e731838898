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

/// How many accesses a chain has at most; longer ones are taken apart by the evaluator at large.
const MAX_STEPS: usize = 8;

/// One access: the field, and whether it was written `.?`.
type Step<'a> = (&'a str, bool);

/// Follows `root.a.?b.c`.
pub(super) fn follow<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Result<Reached<'a>> {
    let mut steps: [Step<'a>; MAX_STEPS] = [("", false); MAX_STEPS];
    let mut count = 0;
    let mut root = expr;
    loop {
        let (operand, step) = match root {
            Expr::Select(operand, field) => (operand, (field.as_str(), false)),
            Expr::OptSelect(operand, field) => (operand, (field.as_str(), true)),
            _ => break,
        };
        let Some(place) = steps.get_mut(count) else {
            return Ok(Reached::Other);
        };
        *place = step;
        count += 1;
        root = operand;
    }
    scope.fuel.spend(count as u64)?;
    let Some(map) = object(root, scope)? else {
        return Ok(Reached::Other);
    };
    walk(map, steps.get(..count).unwrap_or_default())
}

/// Takes the steps, which stand last first.
fn walk<'a>(mut map: &'a json::Map<'a>, steps: &[Step<'a>]) -> Result<Reached<'a>> {
    let mut held = false;
    let mut left = steps.len();
    for (field, optional) in steps.iter().rev() {
        held |= optional;
        left -= 1;
        match map.get(field) {
            None if held => return Ok(Reached::Absent),
            None => return Err(EvalError::no_such_key(field)),
            Some(json) if left == 0 => {
                return Ok(if held { Reached::Held(json) } else { Reached::Plain(json) });
            }
            Some(Json::Map(next)) => map = next,
            Some(_) => return Ok(Reached::Other),
        }
    }
    Ok(Reached::Other)
}

/// The object of the request that a chain starts at.
fn object<'a>(root: &'a Expr, scope: &Scope<'a>) -> Result<Option<&'a json::Map<'a>>> {
    Ok(match root {
        Expr::Slot(slot) => match scope.slot(*slot)? {
            Value::Map(Map::Json(map)) => Some(map),
            _ => None,
        },
        Expr::Root(root) => scope.json(*root).and_then(Json::as_map),
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
            Ok(Operand::Const(constant))
        }
        Expr::Select(..) => match follow(expr, scope)? {
            Reached::Plain(json) => Ok(Operand::Json(json)),
            _ => node(expr, scope).map(Operand::Value),
        },
        Expr::Call(Func::OrValue, args) => match args.as_slice() {
            [optional @ Expr::OptSelect(..), alternative] => match follow(optional, scope)? {
                Reached::Held(json) => Ok(Operand::Json(json)),
                Reached::Absent => nested(scope, |scope| operand(alternative, scope)),
                Reached::Plain(_) | Reached::Other => node(expr, scope).map(Operand::Value),
            },
            _ => node(expr, scope).map(Operand::Value),
        },
        _ => node(expr, scope).map(Operand::Value),
    }
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

    fn as_bool(&self) -> Option<bool> {
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
    let right = operand(right, scope)?;
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        scope.fuel.spend_bytes(left.len().min(right.len()))?;
        return Ok(left == right);
    }
    if let (Some(left), Some(right)) = (left.as_bool(), right.as_bool()) {
        return Ok(left == right);
    }
    if let (Some(left), Some(right)) = (left.as_int(), right.as_int()) {
        return Ok(left == right);
    }
    aggregate::equal(&left.into_value(), &right.into_value(), &mut scope.fuel)
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
