//! The math extension.

use std::cmp::Ordering;

use super::super::value::{List, Value};
use super::super::{EvalError, Fuel, aggregate};
use super::{Outcome, no_overload};
use crate::ir::Func;

pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::Greatest | Func::Least, [Value::List(list)]) => extreme(function, list, fuel),
        (Func::Greatest | Func::Least, values) => extreme(function, &List::Owned(values.into()), fuel),
        (_, [Value::Double(value)]) => of_double(function, *value),
        (_, [Value::Int(value)]) => of_int(function, *value),
        (_, [Value::Uint(value)]) => of_uint(function, *value),
        (_, [Value::Int(left), Value::Int(right)]) => bits(function, *left, *right),
        (_, [Value::Uint(left), Value::Uint(right)]) => unsigned_bits(function, *left, *right),
        (Func::BitShiftLeft | Func::BitShiftRight, [Value::Uint(left), Value::Int(right)]) => {
            match u64::try_from(*right) {
                Ok(right) => unsigned_bits(function, *left, right),
                Err(_) => Err(negative_offset(*right)),
            }
        }
        _ => no_overload(function),
    }
}

fn extreme<'a>(function: Func, list: &List<'a>, fuel: &mut Fuel) -> Outcome<'a> {
    fuel.spend_elements(list.len())?;
    let wanted = if function == Func::Greatest { Ordering::Greater } else { Ordering::Less };
    let mut best: Option<Value<'a>> = None;
    for item in list.iter() {
        let Some(known) = &best else {
            if !matches!(item, Value::Int(_) | Value::Uint(_) | Value::Double(_)) {
                return no_overload(function);
            }
            best = Some(item);
            continue;
        };
        if aggregate::compare(&item, known, fuel, function.name())? == wanted {
            best = Some(item);
        }
    }
    best.ok_or_else(|| EvalError::invalid(format!("{} of an empty list", function.name())))
}

fn of_double<'a>(function: Func, value: f64) -> Outcome<'a> {
    Ok(match function {
        Func::Ceil => Value::Double(value.ceil()),
        Func::Floor => Value::Double(value.floor()),
        Func::Round => Value::Double(value.round()),
        Func::Trunc => Value::Double(value.trunc()),
        Func::Abs => Value::Double(value.abs()),
        Func::MathSign if value == 0.0 || value.is_nan() => Value::Double(value),
        Func::MathSign => Value::Double(value.signum()),
        Func::Sqrt => Value::Double(value.sqrt()),
        Func::IsNan => Value::Bool(value.is_nan()),
        Func::IsInf => Value::Bool(value.is_infinite()),
        Func::IsFinite => Value::Bool(value.is_finite()),
        _ => return no_overload(function),
    })
}

fn of_int<'a>(function: Func, value: i64) -> Outcome<'a> {
    Ok(match function {
        Func::Abs => Value::Int(value.checked_abs().ok_or(EvalError::Overflow("integer"))?),
        Func::MathSign => Value::Int(value.signum()),
        Func::Sqrt => Value::Double((value as f64).sqrt()),
        Func::BitNot => Value::Int(!value),
        _ => return no_overload(function),
    })
}

fn of_uint<'a>(function: Func, value: u64) -> Outcome<'a> {
    Ok(match function {
        Func::Abs => Value::Uint(value),
        Func::MathSign => Value::Uint(value.min(1)),
        Func::Sqrt => Value::Double((value as f64).sqrt()),
        Func::BitNot => Value::Uint(!value),
        _ => return no_overload(function),
    })
}

fn negative_offset(by: i64) -> EvalError {
    EvalError::invalid(format!("negative offset: {by}"))
}

fn bits<'a>(function: Func, left: i64, right: i64) -> Outcome<'a> {
    let by = || u64::try_from(right).map_err(|_| negative_offset(right));
    Ok(Value::Int(match function {
        Func::BitAnd => left & right,
        Func::BitOr => left | right,
        Func::BitXor => left ^ right,
        Func::BitShiftLeft => u32::try_from(by()?).ok().and_then(|by| left.checked_shl(by)).unwrap_or(0),
        // A logical shift, as the extension defines it.
        Func::BitShiftRight => u32::try_from(by()?)
            .ok()
            .and_then(|by| left.cast_unsigned().checked_shr(by))
            .unwrap_or(0)
            .cast_signed(),
        _ => return no_overload(function),
    }))
}

fn unsigned_bits<'a>(function: Func, left: u64, right: u64) -> Outcome<'a> {
    let by = || u32::try_from(right).ok();
    Ok(Value::Uint(match function {
        Func::BitAnd => left & right,
        Func::BitOr => left | right,
        Func::BitXor => left ^ right,
        Func::BitShiftLeft => by().and_then(|by| left.checked_shl(by)).unwrap_or(0),
        Func::BitShiftRight => by().and_then(|by| left.checked_shr(by)).unwrap_or(0),
        _ => return no_overload(function),
    }))
}
