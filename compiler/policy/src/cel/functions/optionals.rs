//! Optionals. `or` and `orValue` are in the evaluator itself, because their second argument is lazy.

use std::rc::Rc;

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// `optional.of`, `optional.none`, `optional.ofNonZeroValue`, `hasValue`, `value`, `unwrapOpt`.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::OptionalNone, []) => Ok(Value::Optional(None)),
        (Func::OptionalOf, [value]) => Ok(Value::Optional(Some(Rc::new(value.clone())))),
        (Func::OptionalOfNonZero, [value]) => {
            Ok(Value::Optional((!is_zero(value)).then(|| Rc::new(value.clone()))))
        }
        (Func::HasValue, [Value::Optional(inner)]) => Ok(Value::Bool(inner.is_some())),
        (Func::Value, [Value::Optional(inner)]) => inner
            .as_ref()
            .map(|inner| (**inner).clone())
            .ok_or_else(|| EvalError::invalid("optional.none() dereference")),
        (Func::OptionalUnwrap, [Value::List(list)]) => {
            fuel.spend_elements(list.len())?;
            let mut present = Vec::new();
            for item in list.iter() {
                let Value::Optional(inner) = item else {
                    return no_overload(function);
                };
                present.extend(inner.map(|inner| (*inner).clone()));
            }
            Ok(Value::list(present))
        }
        _ => no_overload(function),
    }
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(value) | Value::Duration(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Double(value) => *value == 0.0,
        Value::Str(text) => text.is_empty(),
        Value::OwnedStr(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::OwnedBytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Optional(inner) => inner.is_none(),
        // Go's zero time is the first second of year 1.
        Value::Timestamp(at) => at.as_second() == super::time::FIRST_SECOND && at.subsec_nanos() == 0,
        Value::Type(_) | Value::Quantity(_) | Value::Ip(_) | Value::Cidr(_) => false,
        Value::Url(_) | Value::Semver(_) | Value::NamedFormat(_) | Value::Authorization(_) => false,
        Value::Shell(_) | Value::Opaque => false,
    }
}
