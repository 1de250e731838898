//! Relations and arithmetic. Integers never wrap: overflow is an error.

use std::rc::Rc;

use jiff::SignedDuration;

use super::super::value::{List, Value};
use super::super::{EvalError, Fuel, aggregate};
use super::time::Timestamp;
use super::{Outcome, no_overload};
use crate::ir::Func;

/// `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`.
pub(super) fn relation<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    let [left, right] = args else {
        return no_overload(function);
    };
    let holds = match function {
        Func::Equal => aggregate::equal(left, right, fuel)?,
        Func::NotEqual => !aggregate::equal(left, right, fuel)?,
        Func::In => match right {
            Value::List(list) => aggregate::list_contains(list, left, fuel)?,
            Value::Map(map) => {
                fuel.spend(map.lookup_cost(left.as_str()))?;
                map.get(left).is_some()
            }
            _ => return no_overload(function),
        },
        _ => {
            let order = aggregate::compare(left, right, fuel, function.name())?;
            match function {
                Func::Less => order.is_lt(),
                Func::LessEqual => order.is_le(),
                Func::Greater => order.is_gt(),
                _ => order.is_ge(),
            }
        }
    };
    Ok(Value::Bool(holds))
}

/// `+`, `-`, `*`, `/`, `%`, unary `-`.
pub(super) fn arithmetic<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::Negate, [Value::Int(value)]) => {
            value.checked_neg().map(Value::Int).ok_or(EvalError::Overflow("integer"))
        }
        (Func::Negate, [Value::Double(value)]) => Ok(Value::Double(-value)),
        (_, [Value::Int(left), Value::Int(right)]) => integers(function, *left, *right),
        (_, [Value::Uint(left), Value::Uint(right)]) => unsigned(function, *left, *right),
        (_, [Value::Double(left), Value::Double(right)]) => doubles(function, *left, *right),
        (Func::Add, [left, right]) => add(left, right, fuel),
        (Func::Subtract, [left, right]) => subtract(left, right),
        _ => no_overload(function),
    }
}

fn integers<'a>(function: Func, left: i64, right: i64) -> Outcome<'a> {
    let result = match function {
        Func::Add => left.checked_add(right),
        Func::Subtract => left.checked_sub(right),
        Func::Multiply => left.checked_mul(right),
        Func::Divide if right == 0 => return Err(EvalError::DivisionByZero),
        Func::Divide => left.checked_div(right),
        Func::Modulo if right == 0 => return Err(EvalError::ModulusByZero),
        Func::Modulo => left.checked_rem(right),
        _ => return no_overload(function),
    };
    result.map(Value::Int).ok_or(EvalError::Overflow("integer"))
}

fn unsigned<'a>(function: Func, left: u64, right: u64) -> Outcome<'a> {
    let result = match function {
        Func::Add => left.checked_add(right),
        Func::Subtract => left.checked_sub(right),
        Func::Multiply => left.checked_mul(right),
        Func::Divide if right == 0 => return Err(EvalError::DivisionByZero),
        Func::Divide => left.checked_div(right),
        Func::Modulo if right == 0 => return Err(EvalError::ModulusByZero),
        Func::Modulo => left.checked_rem(right),
        _ => return no_overload(function),
    };
    result.map(Value::Uint).ok_or(EvalError::Overflow("unsigned integer"))
}

fn doubles<'a>(function: Func, left: f64, right: f64) -> Outcome<'a> {
    Ok(Value::Double(match function {
        Func::Add => left + right,
        Func::Subtract => left - right,
        Func::Multiply => left * right,
        Func::Divide => left / right,
        _ => return no_overload(function),
    }))
}

/// `+` of operands that are not a pair of numbers.
pub(super) fn add<'a>(left: &Value<'a>, right: &Value<'a>, fuel: &mut Fuel) -> Outcome<'a> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        fuel.spend_bytes(left.len().saturating_add(right.len()))?;
        return Ok(Value::string([left, right].concat()));
    }
    if let (Some(left), Some(right)) = (left.as_bytes(), right.as_bytes()) {
        fuel.spend_bytes(left.len().saturating_add(right.len()))?;
        return Ok(Value::OwnedBytes([left, right].concat().into()));
    }
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            fuel.spend_elements(left.len().saturating_add(right.len()))?;
            let items: Rc<[Value<'a>]> = left.iter().chain(right.iter()).collect();
            Ok(Value::List(List::Owned(items)))
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_add(*right).map(Value::Duration).ok_or(EvalError::Overflow("duration"))
        }
        (Value::Timestamp(at), Value::Duration(by)) | (Value::Duration(by), Value::Timestamp(at)) => {
            shift(*at, SignedDuration::from_nanos(*by))
        }
        _ => no_overload(Func::Add),
    }
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_sub(*right).map(Value::Duration).ok_or(EvalError::Overflow("duration"))
        }
        (Value::Timestamp(at), Value::Duration(by)) => shift(*at, -SignedDuration::from_nanos(*by)),
        (Value::Timestamp(left), Value::Timestamp(right)) => left
            .since_epoch()
            .checked_sub(right.since_epoch())
            .and_then(|between| i64::try_from(between.as_nanos()).ok())
            .map(Value::Duration)
            .ok_or(EvalError::Overflow("duration")),
        _ => no_overload(Func::Subtract),
    }
}

fn shift<'a>(at: Timestamp, by: SignedDuration) -> Outcome<'a> {
    let shifted = at.since_epoch().checked_add(by).ok_or(EvalError::Overflow("timestamp"))?;
    Timestamp::from_epoch(shifted).map(Value::Timestamp)
}
