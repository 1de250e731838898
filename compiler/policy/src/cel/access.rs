//! Fields, keys and indices. As in cel-go (`refQualify`): selecting from an optional gives an optional, a
//! presence test on a value without fields is "absent", and reading a field of a value without fields is `no
//! such key`.

use std::rc::Rc;

use super::value::{List, Map, SHORT_KEY, Value};
use super::{EvalError, Fuel, opaque};
use crate::json::Name;

/// A value found in another, or why not. `None`: absent.
pub(super) type Found<'a> = Result<Option<Value<'a>>, EvalError>;

/// `operand.field`.
pub(super) fn select<'a>(operand: &Value<'a>, field: &Name, fuel: &mut Fuel) -> Result<Value<'a>, EvalError> {
    match operand {
        Value::Optional(_) => Ok(optional(find_field(operand, field, fuel)?)),
        _ => find_field(operand, field, fuel)?.ok_or_else(|| EvalError::no_such_key(field.as_str())),
    }
}

/// `operand.?field`, not yet made an optional.
pub(super) fn opt_select<'a>(operand: &Value<'a>, field: &Name, fuel: &mut Fuel) -> Found<'a> {
    match find_field(operand, field, fuel)? {
        Some(Value::Opaque) => Err(EvalError::Opaque),
        found => Ok(found),
    }
}

/// `has(operand.field)`.
pub(super) fn has(operand: &Value<'_>, field: &Name, fuel: &mut Fuel) -> Result<bool, EvalError> {
    match find_field(operand, field, fuel)? {
        // Testing an opaque value for presence is an error too.
        Some(Value::Opaque) => Err(EvalError::Opaque),
        found => Ok(found.is_some()),
    }
}

/// `operand[index]`.
pub(super) fn index<'a>(
    operand: &Value<'a>,
    index: &Value<'a>,
    fuel: &mut Fuel,
) -> Result<Value<'a>, EvalError> {
    match (operand, find_index(operand, index, fuel)?) {
        (Value::Optional(_), found) => Ok(optional(found)),
        (_, Some(value)) => Ok(value),
        (Value::List(_), None) => Err(EvalError::IndexOutOfBounds(match index {
            Value::Int(index) => *index,
            _ => i64::MAX,
        })),
        (_, None) => Err(match super::functions::convert::display(index) {
            Some(key) => EvalError::NoSuchKey(key.into()),
            None => EvalError::NoSuchOverload("_[_]"),
        }),
    }
}

/// `operand[?index]`.
pub(super) fn opt_index<'a>(
    operand: &Value<'a>,
    index: &Value<'a>,
    fuel: &mut Fuel,
) -> Result<Value<'a>, EvalError> {
    match find_index(operand, index, fuel)? {
        Some(Value::Opaque) => Err(EvalError::Opaque),
        found => Ok(optional(found)),
    }
}

/// An optional of what was found. A value that is already an optional stays one: optionals do not nest by
/// access.
pub(super) fn optional(found: Option<Value<'_>>) -> Value<'_> {
    match found {
        Some(Value::Optional(inner)) => Value::Optional(inner),
        found => Value::Optional(found.map(Rc::new)),
    }
}

/// The value under a name, inside an optional too.
pub(super) fn find_field<'a>(operand: &Value<'a>, field: &Name, fuel: &mut Fuel) -> Found<'a> {
    match operand {
        // Objects have this price too; most names are so short that it is nothing.
        Value::Map(Map::Json(map)) if field.as_str().len() <= SHORT_KEY => {
            Ok(map.get_named(field).map(Value::from))
        }
        Value::Map(map) => {
            fuel.spend(map.lookup_cost(Some(field.as_str())))?;
            Ok(map.get_str(field.as_str()))
        }
        Value::Optional(None) => Ok(None),
        Value::Optional(Some(inner)) => find_field(inner, field, fuel),
        Value::List(_) => {
            Err(EvalError::invalid(format!("unsupported index type 'string' in list: {}", field.as_str())))
        }
        Value::Opaque => Err(EvalError::Opaque),
        _ => Ok(None),
    }
}

fn find_index<'a>(operand: &Value<'a>, index: &Value<'a>, fuel: &mut Fuel) -> Found<'a> {
    match (operand, index) {
        (Value::Opaque, _) | (_, Value::Opaque) => Err(EvalError::Opaque),
        (Value::Optional(None), _) => Ok(None),
        (Value::Optional(Some(inner)), _) => find_index(inner, index, fuel),
        (_, Value::Optional(Some(inner))) => find_index(operand, inner, fuel),
        (Value::Map(map), _) => {
            fuel.spend(map.lookup_cost(index.as_str()))?;
            Ok(map.get(index))
        }
        (Value::List(list), _) => find_element(list, index, fuel),
        _ => Ok(None),
    }
}

fn find_element<'a>(list: &List<'a>, index: &Value<'_>, fuel: &mut Fuel) -> Found<'a> {
    let position = match index {
        Value::Int(index) => usize::try_from(*index).ok(),
        Value::Uint(index) => usize::try_from(*index).ok(),
        // Doubles with integral values index lists, as in cel-go's `IndexOrError`.
        Value::Double(index) if index.fract() == 0.0 && *index >= 0.0 && *index < 9e15 => {
            Some(*index as usize)
        }
        _ => {
            return Err(EvalError::invalid(format!(
                "unsupported index type '{}' in list",
                index.type_name()
            )));
        }
    };
    let Some(position) = position else {
        return Ok(None);
    };
    opaque::refuse_before(list, position, fuel)?;
    Ok(list.get(position))
}
