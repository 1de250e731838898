//! Lists: Kubernetes' lists library and cel-go's lists extension.

use std::cmp::Ordering;

use super::super::text::length;
use super::super::value::{List, Value};
use super::super::{EvalError, Fuel, aggregate};
use super::{Outcome, no_overload, operators};
use crate::ir::Func;

/// The longest list that `lists.range` makes, as in cel-go.
const MAX_RANGE: i64 = 1_000_000;

pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::Range, [Value::Int(size)]) => range(*size, fuel),
        (Func::Includes, [Value::List(list), item]) => {
            aggregate::list_contains(list, item, fuel).map(Value::Bool)
        }
        (Func::Includes, [value, item]) => aggregate::equal(value, item, fuel).map(Value::Bool),
        (_, [Value::List(list), rest @ ..]) => of_list(function, list, rest, fuel),
        _ => no_overload(function),
    }
}

fn of_list<'a>(function: Func, list: &List<'a>, rest: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, rest) {
        (Func::First, []) => Ok(optional(list.get(0))),
        (Func::Last, []) => Ok(optional(list.len().checked_sub(1).and_then(|last| list.get(last)))),
        (Func::IndexOf, [item]) => position(list, item, list.iter().enumerate(), fuel),
        (Func::LastIndexOf, [item]) => {
            let backwards = (0..list.len()).rev().filter_map(|at| Some((at, list.get(at)?)));
            position(list, item, backwards, fuel)
        }
        (Func::IsSorted, []) => is_sorted(list, fuel),
        (Func::Sum, []) => sum(list, fuel),
        (Func::Min, []) => extreme(function, list, Ordering::Less, fuel),
        (Func::Max, []) => extreme(function, list, Ordering::Greater, fuel),
        (Func::Slice, [Value::Int(start), Value::Int(end)]) => slice(list, *start, *end, fuel),
        (Func::Flatten, []) => flatten(list, 1, fuel),
        (Func::Flatten, [Value::Int(depth)]) => flatten(list, *depth, fuel),
        (Func::Reverse, []) => {
            fuel.spend_elements(list.len())?;
            Ok(Value::list(list.iter().rev().collect()))
        }
        (Func::Distinct, []) => distinct(list, fuel),
        (Func::Sort, []) => {
            fuel.spend_elements(list.len())?;
            let keys: Vec<_> = list.iter().collect();
            sort_by_keys(list, &keys, fuel)
        }
        _ => no_overload(function),
    }
}

fn optional(value: Option<Value<'_>>) -> Value<'_> {
    Value::Optional(value.map(std::rc::Rc::new))
}

fn position<'a>(
    list: &List<'a>,
    item: &Value<'a>,
    candidates: impl Iterator<Item = (usize, Value<'a>)>,
    fuel: &mut Fuel,
) -> Outcome<'a> {
    fuel.spend_elements(list.len())?;
    for (at, candidate) in candidates {
        if aggregate::equal(&candidate, item, fuel)? {
            return Ok(Value::Int(length(at)));
        }
    }
    Ok(Value::Int(-1))
}

fn range<'a>(size: i64, fuel: &mut Fuel) -> Outcome<'a> {
    if !(0..=MAX_RANGE).contains(&size) {
        return Err(EvalError::invalid(format!(
            "lists.range: size must be within 0 and {MAX_RANGE}, got {size}"
        )));
    }
    fuel.spend(size.unsigned_abs())?;
    Ok(Value::list((0..size).map(Value::Int).collect()))
}

fn is_sorted<'a>(list: &List<'a>, fuel: &mut Fuel) -> Outcome<'a> {
    let mut previous: Option<Value<'a>> = None;
    for item in list.iter() {
        fuel.spend(1)?;
        if let Some(previous) = &previous
            && aggregate::compare(previous, &item, fuel, "isSorted")? == Ordering::Greater
        {
            return Ok(Value::Bool(false));
        }
        previous = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(list: &List<'a>, fuel: &mut Fuel) -> Outcome<'a> {
    fuel.spend_elements(list.len())?;
    let mut items = list.iter();
    let Some(first) = items.next() else {
        return Ok(Value::Int(0));
    };
    if !matches!(first, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) {
        return no_overload(Func::Sum);
    }
    items.try_fold(first, |sum, item| operators::arithmetic(Func::Add, &[sum, item], fuel))
}

fn extreme<'a>(function: Func, list: &List<'a>, wanted: Ordering, fuel: &mut Fuel) -> Outcome<'a> {
    fuel.spend_elements(list.len())?;
    let mut best: Option<Value<'a>> = None;
    for item in list.iter() {
        let better = match &best {
            None => true,
            Some(best) => aggregate::compare(&item, best, fuel, function.name())? == wanted,
        };
        if better {
            best = Some(item);
        }
    }
    best.ok_or_else(|| EvalError::invalid(format!("{} called on empty list", function.name())))
}

fn slice<'a>(list: &List<'a>, start: i64, end: i64, fuel: &mut Fuel) -> Outcome<'a> {
    let wrong = |why: &str| Err(EvalError::invalid(format!("cannot slice({start}, {end}), {why}")));
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
        return wrong("negative indexes not supported");
    };
    if from > to {
        return wrong("start index must be less than or equal to end index");
    }
    if to > list.len() {
        return wrong(&format!("list is length {}", list.len()));
    }
    fuel.spend_elements(to - from)?;
    Ok(Value::list((from..to).filter_map(|at| list.get(at)).collect()))
}

fn flatten<'a>(list: &List<'a>, depth: i64, fuel: &mut Fuel) -> Outcome<'a> {
    if depth < 0 {
        return Err(EvalError::invalid("level must be non-negative"));
    }
    let mut flat = Vec::new();
    flatten_into(list, depth, &mut flat, fuel)?;
    Ok(Value::list(flat))
}

fn flatten_into<'a>(
    list: &List<'a>,
    depth: i64,
    flat: &mut Vec<Value<'a>>,
    fuel: &mut Fuel,
) -> Result<(), EvalError> {
    for item in list.iter() {
        fuel.spend(1)?;
        match item {
            Value::List(inner) if depth > 0 => flatten_into(&inner, depth - 1, flat, fuel)?,
            item => flat.push(item),
        }
    }
    Ok(())
}

fn distinct<'a>(list: &List<'a>, fuel: &mut Fuel) -> Outcome<'a> {
    let mut kept: Vec<Value<'a>> = Vec::new();
    'items: for item in list.iter() {
        fuel.spend(1)?;
        for known in &kept {
            fuel.spend(1)?;
            if aggregate::equal(known, &item, fuel)? {
                continue 'items;
            }
        }
        kept.push(item);
    }
    Ok(Value::list(kept))
}

/// The elements in the order of their keys; equal keys keep their order. Keys must all be of one ordered
/// type.
pub(in crate::cel) fn sort_by_keys<'a>(list: &List<'a>, keys: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    fuel.spend_elements(keys.len())?;
    if let Some(first) = keys.first() {
        if keys.iter().any(|key| key.type_name() != first.type_name()) {
            return Err(EvalError::invalid("list elements must have the same type"));
        }
        aggregate::compare(first, first, fuel, "sort")?;
    }
    let order = sorted(keys.iter().enumerate().collect(), &mut |(_, left), (_, right)| {
        fuel.spend(1)?;
        aggregate::compare(left, right, fuel, "sort")
    })?;
    Ok(Value::list(order.iter().filter_map(|(at, _)| list.get(*at)).collect()))
}

/// A stable merge sort that ends when a comparison fails. The standard library's sort needs an answer to each
/// comparison, and may panic when the answers after a failure are not a total order. Sorted input costs one
/// comparison for each element.
fn sorted<T: Copy>(
    items: Vec<T>,
    compare: &mut impl FnMut(T, T) -> Result<Ordering, EvalError>,
) -> Result<Vec<T>, EvalError> {
    let mut runs: Vec<Vec<T>> = Vec::new();
    for item in items {
        match runs.last_mut().and_then(|run| run.last().copied().map(|last| (run, last))) {
            Some((run, last)) if compare(last, item)? != Ordering::Greater => run.push(item),
            _ => runs.push(vec![item]),
        }
    }
    while runs.len() > 1 {
        let mut halved = Vec::with_capacity(runs.len().div_ceil(2));
        let mut waiting = runs.into_iter();
        while let Some(left) = waiting.next() {
            halved.push(match waiting.next() {
                Some(right) => merged(left, right, compare)?,
                None => left,
            });
        }
        runs = halved;
    }
    Ok(runs.pop().unwrap_or_default())
}

/// Merges two sorted runs; of equal elements those of the left come first.
fn merged<T: Copy>(
    left: Vec<T>,
    right: Vec<T>,
    compare: &mut impl FnMut(T, T) -> Result<Ordering, EvalError>,
) -> Result<Vec<T>, EvalError> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        let next = if compare(*one, *other)? == Ordering::Greater { right.next() } else { left.next() };
        out.extend(next);
    }
    out.extend(left);
    out.extend(right);
    Ok(out)
}
