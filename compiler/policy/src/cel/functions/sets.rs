//! The sets extension: lists treated as sets.

use super::super::value::{List, Value};
use super::super::{EvalError, Fuel, aggregate};
use super::{Outcome, no_overload};
use crate::ir::Func;

pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    let [Value::List(left), Value::List(right)] = args else {
        return no_overload(function);
    };
    Ok(Value::Bool(match function {
        Func::SetsContains => contains_all(left, right, fuel)?,
        Func::SetsEquivalent => contains_all(left, right, fuel)? && contains_all(right, left, fuel)?,
        Func::SetsIntersects => {
            for item in right.iter() {
                if aggregate::list_contains(left, &item, fuel)? {
                    return Ok(Value::Bool(true));
                }
            }
            false
        }
        _ => return no_overload(function),
    }))
}

/// Whether every element of `subset` is in `list`.
fn contains_all(list: &List<'_>, subset: &List<'_>, fuel: &mut Fuel) -> Result<bool, EvalError> {
    for item in subset.iter() {
        if !aggregate::list_contains(list, &item, fuel)? {
            return Ok(false);
        }
    }
    Ok(true)
}
