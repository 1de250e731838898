//! Constant subtrees become constants, computed by the evaluator itself.
//!
//! What gives an error stays as it is, because `||` and `&&` may absorb the error when the rule is evaluated; so do values that no
//! constant can hold (times, quantities, addresses) and large ones.

use bailiwick_policy::cel::{Env, Fuel, Loaded, Scope, Value, eval};
use bailiwick_policy::ir::{Cel, Const, Expr, Func};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Admission;

/// What computing one constant may cost.
const FUEL: u64 = 10_000;
/// The longest string and list that is folded: a folded value travels in the bundle.
const MAX_LENGTH: usize = 1024;

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

/// A map; constant if all its keys and values are. Equal keys are an error when evaluated, and so are keys of a kind that is none, so such a map
/// stays as it is.
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

/// Keys of different number types may be equal; that is the evaluator's to say.
fn may_be_equal(a: &Const, b: &Const) -> bool {
    matches!((a, b), (Const::Int(_), Const::Uint(_)) | (Const::Uint(_), Const::Int(_))) || a == b
}

/// A function or operator; `in` a constant list has a form of its own.
pub(super) fn call(func: Func, mut arguments: Vec<Expr>) -> Expr {
    if func == Func::In && matches!(arguments.as_slice(), [_, Expr::Const(Const::List(_))]) {
        let list = arguments.pop();
        if let (Some(element), Some(Expr::Const(Const::List(constants)))) = (arguments.pop(), list) {
            return constant(Expr::InConst(Box::new(element), constants));
        }
    }
    constant(Expr::Call(func, arguments))
}

/// The constant that the expression always gives, if its operands are constants; else the expression.
pub(super) fn constant(expr: Expr) -> Expr {
    if !expr.operands().iter().all(|operand| matches!(operand, Expr::Const(_))) {
        return expr;
    }
    let cel = Cel { source: String::new(), expr, slots: 0 };
    match computed(&cel) {
        Some(value) => Expr::Const(value),
        None => cel.expr,
    }
}

fn computed(cel: &Cel) -> Option<Const> {
    let admission = Admission::default();
    let loaded = Loaded::new(&admission).ok()?;
    let nothing = Json::Null;
    let env = Env::of(&nothing, &nothing);
    let prepared = loaded.prepare(cel);
    let mut scope = Scope::new(&loaded, env, Fuel::new(FUEL));
    to_constant(&eval(&prepared, &mut scope).ok()?)
}

fn to_constant(value: &Value<'_>) -> Option<Const> {
    Some(match value {
        Value::Null => Const::Null,
        Value::Bool(value) => Const::Bool(*value),
        Value::Int(value) => Const::Int(*value),
        Value::Uint(value) => Const::Uint(*value),
        Value::Double(value) if value.is_finite() => Const::Double(*value),
        Value::Str(_) | Value::OwnedStr(_) => {
            let text = value.as_str().filter(|text| text.len() <= MAX_LENGTH)?;
            Const::Str(text.to_owned())
        }
        Value::Bytes(_) | Value::OwnedBytes(_) => {
            let bytes = value.as_bytes().filter(|bytes| bytes.len() <= MAX_LENGTH)?;
            Const::Bytes(bytes.to_vec())
        }
        Value::Type(name) => Const::Type((*name).to_owned()),
        Value::List(list) if list.len() <= MAX_LENGTH => {
            Const::List(list.iter().map(|item| to_constant(&item)).collect::<Option<_>>()?)
        }
        Value::Map(map) if map.len() <= MAX_LENGTH => {
            let entry =
                |(key, value): (Value<'_>, Value<'_>)| Some((to_constant(&key)?, to_constant(&value)?));
            Const::Map(map.iter().map(entry).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
