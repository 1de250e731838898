//! Constant subtrees become constants, computed by the evaluator itself.
//!
//! A subtree that gives an error stays as it is, because `||` and `&&` may absorb the error when the rule is
//! evaluated. So do large values, and values that no constant can hold (times, quantities, addresses).

use bailiwick_policy::cel::{Env, Fuel, Loaded, Scope, Value, eval};
use bailiwick_policy::ir::{Cel, Const, Expr, Func};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Admission;

/// Fuel for computing one constant.
const FUEL: u64 = 10_000;
/// The longest string and list that is folded: folded values are part of the bundle.
const MAX_LENGTH: usize = 1024;
/// How much larger than its operands a folded value may be, where each value counts as one plus its bytes.
/// Otherwise `lists.range(1000)`, a few bytes of a pack, would be a thousand constants.
const MAX_GROWTH: usize = 8;

/// A list; constant if all its elements are.
pub(super) fn list(items: Vec<(Expr, bool)>) -> Expr {
    let constants = items.iter().map(|(item, optional)| match item {
        Expr::Const(value) if !optional => Some(value.clone()),
        _ => None,
    });
    match constants.collect() {
        Some(constants) => Expr::Const(Const::List(constants)),
        None => Expr::List(items),
    }
}

/// A map; constant if all its keys and values are. Equal keys are an error at evaluation, and so are keys of
/// an invalid type, so such a map stays as it is.
pub(super) fn map(entries: Vec<(Expr, Expr, bool)>) -> Expr {
    let mut constants: Vec<(Const, Const)> = Vec::with_capacity(entries.len());
    for (key, value, optional) in &entries {
        let (Expr::Const(key), Expr::Const(value), false) = (key, value, optional) else {
            return Expr::Map(entries);
        };
        if !is_key(key) || constants.iter().any(|(known, _)| may_be_equal(known, key)) {
            return Expr::Map(entries);
        }
        constants.push((key.clone(), value.clone()));
    }
    Expr::Const(Const::Map(constants))
}

const fn is_key(key: &Const) -> bool {
    matches!(key, Const::Bool(_) | Const::Int(_) | Const::Uint(_) | Const::Str(_))
}

/// Keys of different number types may be equal; only the evaluator decides that.
fn may_be_equal(a: &Const, b: &Const) -> bool {
    matches!((a, b), (Const::Int(_), Const::Uint(_)) | (Const::Uint(_), Const::Int(_))) || a == b
}

/// A function or operator; `in` with a constant list has its own form.
pub(super) fn call(func: Func, mut arguments: Vec<Expr>) -> Expr {
    if func == Func::In && matches!(arguments.as_slice(), [_, Expr::Const(Const::List(_))]) {
        let list = arguments.pop();
        if let (Some(element), Some(Expr::Const(Const::List(constants)))) = (arguments.pop(), list) {
            return constant(Expr::InConst(Box::new(element), constants));
        }
    }
    constant(Expr::Call(func, arguments))
}

/// The constant value of the expression, if its operands are constants; else the expression.
pub(super) fn constant(expr: Expr) -> Expr {
    if !expr.operands().iter().all(|operand| matches!(operand, Expr::Const(_))) {
        return expr;
    }
    let operands = expr.operands();
    let size =
        operands.iter().map(|operand| if let Expr::Const(value) = operand { size(value) } else { 1 }).sum();
    let cel = Cel { source: String::new(), expr, slots: 0 };
    match computed(&cel, size) {
        Some(value) => Expr::Const(value),
        None => cel.expr,
    }
}

/// The size of a constant: each value in it counts as one, and so does each byte.
fn size(constant: &Const) -> usize {
    1 + match constant {
        Const::Str(text) | Const::Type(text) => text.len(),
        Const::Bytes(bytes) => bytes.len(),
        Const::List(items) => items.iter().map(size).sum(),
        Const::Map(entries) => entries.iter().map(|(key, value)| size(key) + size(value)).sum(),
        Const::Null | Const::Bool(_) | Const::Int(_) | Const::Uint(_) | Const::Double(_) => 0,
    }
}

/// `operands`: their total size.
fn computed(cel: &Cel, operands: usize) -> Option<Const> {
    let admission = Admission::default();
    let loaded = Loaded::new(&admission).ok()?;
    let nothing = Json::Null;
    let env = Env::of(&nothing, &nothing);
    let prepared = loaded.prepare(cel);
    let mut scope = Scope::new(&loaded, env, Fuel::new(FUEL));
    to_constant(&eval(&prepared, &mut scope).ok()?, &mut (operands + MAX_GROWTH))
}

/// `left`: the remaining size; see [`size`].
fn to_constant(value: &Value<'_>, left: &mut usize) -> Option<Const> {
    let bytes = value.as_str().map(str::len).or_else(|| value.as_bytes().map(<[u8]>::len)).unwrap_or(0);
    if bytes > MAX_LENGTH {
        return None;
    }
    *left = left.checked_sub(1 + bytes)?;
    Some(match value {
        Value::Null => Const::Null,
        Value::Bool(value) => Const::Bool(*value),
        Value::Int(value) => Const::Int(*value),
        Value::Uint(value) => Const::Uint(*value),
        Value::Double(value) if value.is_finite() => Const::Double(*value),
        Value::Str(_) | Value::OwnedStr(_) => Const::Str(value.as_str()?.to_owned()),
        Value::Bytes(_) | Value::OwnedBytes(_) => Const::Bytes(value.as_bytes()?.to_vec()),
        Value::Type(name) => Const::Type((*name).to_owned()),
        Value::List(list) if list.len() <= MAX_LENGTH => {
            Const::List(list.iter().map(|item| to_constant(&item, left)).collect::<Option<_>>()?)
        }
        Value::Map(map) if map.len() <= MAX_LENGTH => {
            let entry = |(key, value): (Value<'_>, Value<'_>)| {
                Some((to_constant(&key, left)?, to_constant(&value, left)?))
            };
            Const::Map(map.iter().map(entry).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
