//! Equality and order of values, including deep ones. Both cost fuel in proportion to the data that they
//! visit.

use std::cmp::Ordering;

use super::value::{List, Map, Value, scalar_eq};
use super::{EvalError, Fuel, opaque};
use crate::same::same_text;

/// `left == right`: numbers by value across types; values of different types are otherwise unequal, never an
/// error.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>, fuel: &mut Fuel) -> Result<bool, EvalError> {
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Str(left), Value::Str(right)) => {
            fuel.spend_bytes(left.len().min(right.len()))?;
            same_text(left, right)
        }
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::List(left), Value::List(right)) => return lists_equal(left, right, fuel),
        (Value::Map(left), Value::Map(right)) => return maps_equal(left, right, fuel),
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(left)), Value::Optional(Some(right))) => return equal(left, right, fuel),
        (Value::Quantity(left), Value::Quantity(right)) => left.compare(right) == Ordering::Equal,
        (Value::Ip(left), Value::Ip(right)) => left == right,
        (Value::Cidr(left), Value::Cidr(right)) => left == right,
        (Value::Url(left), Value::Url(right)) => {
            fuel.spend_bytes(left.bytes().min(right.bytes()))?;
            left == right
        }
        (Value::Semver(left), Value::Semver(right)) => {
            fuel.spend_bytes(left.bytes().min(right.bytes()))?;
            left.compare(right) == Ordering::Equal
        }
        (Value::NamedFormat(left), Value::NamedFormat(right)) => left == right,
        (Value::Opaque, _) | (_, Value::Opaque) => return Err(EvalError::Opaque),
        // As in the API server: a type that only has methods can be compared only with null.
        (Value::Authorization(_), Value::Null) | (Value::Null, Value::Authorization(_)) => false,
        (Value::Authorization(_), _) | (_, Value::Authorization(_)) => {
            return Err(EvalError::NoSuchOverload("_==_"));
        }
        _ => {
            if let (Some(left), Some(right)) = (left.as_bytes(), right.as_bytes()) {
                fuel.spend_bytes(left.len().min(right.len()))?;
                return Ok(left == right);
            }
            if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
                fuel.spend_bytes(left.len().min(right.len()))?;
                return Ok(same_text(left, right));
            }
            scalar_eq(left, right)
        }
    })
}

fn lists_equal(left: &List<'_>, right: &List<'_>, fuel: &mut Fuel) -> Result<bool, EvalError> {
    opaque::refuse_list(left, fuel)?;
    opaque::refuse_list(right, fuel)?;
    if left.len() != right.len() {
        return Ok(false);
    }
    for (left, right) in left.iter().zip(right.iter()) {
        fuel.spend(1)?;
        if !equal(&left, &right, fuel)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps_equal(left: &Map<'_>, right: &Map<'_>, fuel: &mut Fuel) -> Result<bool, EvalError> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (key, left) in left.iter() {
        fuel.spend(1 + right.lookup_cost(key.as_str()))?;
        match right.get(&key) {
            Some(right) if equal(&left, &right, fuel)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether an element equal to `wanted` is in the list.
pub(super) fn list_contains(list: &List<'_>, wanted: &Value<'_>, fuel: &mut Fuel) -> Result<bool, EvalError> {
    let mut first_error = None;
    for item in list.iter() {
        fuel.spend(1)?;
        match equal(&item, wanted, fuel) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            // A match is a match, whatever an opaque element is.
            Err(EvalError::Opaque) => first_error = Some(EvalError::Opaque),
            Err(error) => return Err(error),
        }
    }
    first_error.map_or(Ok(false), Err)
}

/// Order of two numbers by value, whatever their types; `None` where one is not a number or is NaN.
///
/// Integers are compared with doubles as doubles, as in cel-go (`compareIntDouble`): beyond 2^53 neighbours
/// are equal.
pub(super) fn compare_numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Uint(left), Value::Uint(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Uint(right)) => {
            Some(u64::try_from(*left).map_or(Ordering::Less, |left| left.cmp(right)))
        }
        (Value::Uint(left), Value::Int(right)) => {
            Some(u64::try_from(*right).map_or(Ordering::Greater, |right| left.cmp(&right)))
        }
        (Value::Int(left), Value::Double(right)) => (*left as f64).partial_cmp(right),
        (Value::Double(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Uint(left), Value::Double(right)) => (*left as f64).partial_cmp(right),
        (Value::Double(left), Value::Uint(right)) => left.partial_cmp(&(*right as f64)),
        _ => None,
    }
}

/// The order of two values of an ordered type.
pub(super) fn compare(
    left: &Value<'_>,
    right: &Value<'_>,
    fuel: &mut Fuel,
    function: &'static str,
) -> Result<Ordering, EvalError> {
    if let Some(order) = compare_numbers(left, right) {
        return Ok(order);
    }
    Ok(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Duration(left), Value::Duration(right)) => left.cmp(right),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.cmp(right),
        (Value::Double(_), Value::Int(_) | Value::Uint(_) | Value::Double(_))
        | (Value::Int(_) | Value::Uint(_), Value::Double(_)) => {
            return Err(EvalError::invalid("NaN values cannot be ordered"));
        }
        _ => {
            if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
                fuel.spend_bytes(left.len().min(right.len()))?;
                return Ok(left.cmp(right));
            }
            if let (Some(left), Some(right)) = (left.as_bytes(), right.as_bytes()) {
                fuel.spend_bytes(left.len().min(right.len()))?;
                return Ok(left.cmp(right));
            }
            if let (Value::Opaque, _) | (_, Value::Opaque) = (left, right) {
                return Err(EvalError::Opaque);
            }
            return Err(EvalError::NoSuchOverload(function));
        }
    })
}
