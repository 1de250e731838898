//! Constant subtrees become constants.

use bailiwick_policy::ir::{Const, Expr, Func};

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

/// A map; constant if all its keys and values are. Equal keys are an error when evaluated, so such a map stays as it is.
pub(super) fn map(entries: Vec<(Expr, Expr, bool)>) -> Expr {
    let mut constants: Vec<(Const, Const)> = Vec::with_capacity(entries.len());
    for (key, value, optional) in &entries {
        let (Expr::Const(key), Expr::Const(value), false) = (key, value, optional) else {
            return Expr::Map(entries);
        };
        if constants.iter().any(|(known, _)| may_be_equal(known, key)) {
            return Expr::Map(entries);
        }
        constants.push((key.clone(), value.clone()));
    }
    Expr::Const(Const::Map(constants))
}

/// Keys of different number types may be equal; that is the evaluator's to say.
fn may_be_equal(a: &Const, b: &Const) -> bool {
    matches!((a, b), (Const::Int(_), Const::Uint(_)) | (Const::Uint(_), Const::Int(_))) || a == b
}

/// A function or operator; `in` a constant list has a form of its own.
pub(super) fn call(func: Func, mut arguments: Vec<Expr>) -> Expr {
    if func == Func::In
        && matches!(arguments.last(), Some(Expr::Const(Const::List(_))))
        && arguments.len() == 2
    {
        let list = arguments.pop();
        if let (Some(element), Some(Expr::Const(Const::List(constants)))) = (arguments.pop(), list) {
            return Expr::InConst(Box::new(element), constants);
        }
    }
    Expr::Call(func, arguments)
}
