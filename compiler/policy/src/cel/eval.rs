//! One node at a time. Each node costs one unit of fuel and one level of depth.

use super::path::{self, Reached};
use super::value::{Map, Value, is_key};
use super::{EvalError, Scope, access, comprehension, functions, opaque, quick};
use crate::ir::{Cel, Expr, Func, MAX_EVAL_DEPTH, MacroKind};

type Result<T> = std::result::Result<T, EvalError>;

/// Evaluates an expression.
///
/// # Errors
/// What CEL says is an error; and whatever the value would have been, [`EvalError::FuelExhausted`] or [`EvalError::TooDeep`]
/// if a limit was met on the way: `endless || true` is an error here, since an absorbed limit would let an author (or an
/// attacker who chooses the input) turn a check off.
pub fn eval<'a>(cel: &'a Cel, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let value = scope.with_frame(cel.slots, |scope| node(&cel.expr, scope));
    if scope.fuel.exhausted() {
        return Err(match value {
            Err(limit) if limit.is_limit() => limit,
            _ => EvalError::FuelExhausted,
        });
    }
    value
}

/// The value of a node.
pub(super) fn node<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    nested(scope, |scope| dispatch(expr, scope))
}

/// Pays for a node and goes one level deeper.
pub(super) fn nested<'a, T>(
    scope: &mut Scope<'a>,
    body: impl FnOnce(&mut Scope<'a>) -> Result<T>,
) -> Result<T> {
    scope.fuel.spend(1)?;
    if scope.depth >= MAX_EVAL_DEPTH {
        scope.fuel.exhaust();
        return Err(EvalError::TooDeep);
    }
    scope.depth += 1;
    let result = body(scope);
    scope.depth -= 1;
    result
}

/// The value of a node that must be a boolean.
pub(super) fn boolean<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Result<bool> {
    if let Some(value) = quick::test(expr, scope) {
        return Ok(value);
    }
    nested(scope, |scope| {
        if let Some(value) = truth(expr, scope)? {
            return Ok(value);
        }
        let value = match expr {
            Expr::Select(..) | Expr::Call(Func::OrValue, _) => path::operand(expr, scope)?.into_value(),
            _ => dispatch(expr, scope)?,
        };
        match value {
            Value::Bool(value) => Ok(value),
            other => Err(EvalError::misused(&other, "bool")),
        }
    })
}

/// The value of a node that cannot be but a boolean; `None` for other nodes.
fn truth<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Result<Option<bool>> {
    match expr {
        Expr::And(operands) => absorbing(operands, Stop::AtFalse, scope).map(Some),
        Expr::Or(operands) => absorbing(operands, Stop::AtTrue, scope).map(Some),
        Expr::Not(operand) => boolean(operand, scope).map(|value| Some(!value)),
        Expr::Has(operand, field) => has(operand, field, scope).map(Some),
        Expr::InConst(operand, constants) => path::among(operand, constants, scope).map(Some),
        Expr::Call(function @ (Func::Equal | Func::NotEqual), args) => match args.as_slice() {
            [left, right] => {
                path::equal(left, right, scope).map(|same| Some(same == (*function == Func::Equal)))
            }
            _ => Ok(None),
        },
        Expr::Macro(of) if matches!(of.kind, MacroKind::All | MacroKind::Exists) => {
            comprehension::quantifier(of, scope).map(Some)
        }
        _ => Ok(None),
    }
}

fn dispatch<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    match expr {
        Expr::Const(constant) => Ok(constant.into()),
        Expr::Root(root) => scope.root(*root),
        Expr::Slot(slot) => scope.slot(*slot).cloned(),
        Expr::Shared(index) => scope.shared(*index),
        Expr::PodContainers(which) => scope.containers(*which).map(Value::List),
        Expr::Select(operand, field) => match path::follow(expr, scope)? {
            Reached::Plain(json) => Ok(json.into()),
            Reached::Held(json) => Ok(access::optional(Some(json.into()))),
            Reached::Absent => Ok(access::optional(None)),
            Reached::Other => {
                let operand = node(operand, scope)?;
                access::select(&operand, field, &mut scope.fuel)
            }
        },
        Expr::OptSelect(operand, field) => opt_select(expr, operand, field, scope).map(access::optional),
        Expr::Index(operand, index) => {
            let operand = node(operand, scope)?;
            let index = node(index, scope)?;
            access::index(&operand, &index, &mut scope.fuel)
        }
        Expr::OptIndex(operand, index) => {
            let operand = node(operand, scope)?;
            let index = node(index, scope)?;
            access::opt_index(&operand, &index, &mut scope.fuel)
        }
        Expr::Cond(condition, then, otherwise) => {
            if boolean(condition, scope)? {
                node(then, scope)
            } else {
                node(otherwise, scope)
            }
        }
        Expr::List(items) => list(items, scope),
        Expr::Map(entries) => map(entries, scope),
        Expr::Macro(of) if !matches!(of.kind, MacroKind::All | MacroKind::Exists) => {
            comprehension::eval(of, scope)
        }
        Expr::Bind(bind) => {
            let value = node(&bind.init, scope)?;
            scope.set_slot(bind.slot, value)?;
            node(&bind.body, scope)
        }
        Expr::Call(function, args) => call(*function, args, expr, scope),
        Expr::Matches(operand, regex) => matches(operand, *regex, scope),
        Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Has(..) | Expr::InConst(..) | Expr::Macro(_) => {
            match truth(expr, scope)? {
                Some(value) => Ok(Value::Bool(value)),
                None => Err(EvalError::NoSuchOverload("bool")),
            }
        }
    }
}

/// What an optional expression holds, without making the optional.
fn held<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> access::Found<'a> {
    if let Expr::OptSelect(operand, field) = expr {
        return nested(scope, |scope| opt_select(expr, operand, field, scope));
    }
    match node(expr, scope)? {
        Value::Optional(inner) => Ok(inner.map(|inner| (*inner).clone())),
        other => Err(EvalError::misused(&other, "optional")),
    }
}

/// `operand.?field`, absent if the operand is.
fn opt_select<'a>(
    expr: &'a Expr,
    operand: &'a Expr,
    field: &str,
    scope: &mut Scope<'a>,
) -> access::Found<'a> {
    match path::follow(expr, scope)? {
        Reached::Plain(json) | Reached::Held(json) => Ok(Some(json.into())),
        Reached::Absent => Ok(None),
        Reached::Other => {
            let operand = node(operand, scope)?;
            access::opt_select(&operand, field, &mut scope.fuel)
        }
    }
}

fn has<'a>(operand: &'a Expr, field: &str, scope: &mut Scope<'a>) -> Result<bool> {
    match path::has(operand, field, scope)? {
        Some(present) => Ok(present),
        None => {
            let operand = node(operand, scope)?;
            access::has(&operand, field, &mut scope.fuel)
        }
    }
}

/// At which operand `&&` and `||` know their value.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    AtFalse,
    AtTrue,
}

/// `&&` and `||`: the deciding value wins over errors on either side of it; without one, the first error stands.
fn absorbing<'a>(operands: &'a [Expr], stop: Stop, scope: &mut Scope<'a>) -> Result<bool> {
    let deciding = stop == Stop::AtTrue;
    let mut first_error = None;
    for operand in operands {
        match boolean(operand, scope) {
            Ok(value) if value == deciding => return Ok(deciding),
            Ok(_) => {}
            Err(error) if error.is_limit() => return Err(error),
            Err(error) => {
                scope.note(&error);
                first_error = first_error.or(Some(error));
            }
        }
    }
    first_error.map_or(Ok(!deciding), Err)
}

fn list<'a>(items: &'a [(Expr, bool)], scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut values = Vec::with_capacity(items.len());
    for (item, optional) in items {
        let value = node(item, scope)?;
        if let Some(value) = unwrap_entry(value, *optional)? {
            values.push(value);
        }
    }
    Ok(Value::list(values))
}

fn map<'a>(entries: &'a [(Expr, Expr, bool)], scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut values: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
    for (key, value, optional) in entries {
        let key = node(key, scope)?;
        let value = node(value, scope)?;
        if let Some(value) = unwrap_entry(value, *optional)? {
            insert(&mut values, key, value, scope)?;
        }
    }
    Ok(Value::Map(Map::Owned(values.into())))
}

/// Adds an entry to a map that is being made.
pub(super) fn insert<'a>(
    entries: &mut Vec<(Value<'a>, Value<'a>)>,
    key: Value<'a>,
    value: Value<'a>,
    scope: &mut Scope<'a>,
) -> Result<()> {
    if !is_key(&key) {
        opaque::known_ref(&key)?;
        return Err(EvalError::invalid(format!("unsupported key type: {}", key.type_name())));
    }
    scope.fuel.spend_elements(entries.len() / 8)?;
    if entries.iter().any(|(known, _)| super::value::scalar_eq(known, &key)) {
        let shown = functions::convert::display(&key).unwrap_or_default();
        return Err(EvalError::invalid(format!("insert failed: key {shown} already exists")));
    }
    entries.push((key, value));
    Ok(())
}

/// The value of an element written `?element`: nothing when the optional is empty.
fn unwrap_entry(value: Value<'_>, optional: bool) -> Result<Option<Value<'_>>> {
    match (optional, value) {
        (_, Value::Opaque) => Err(EvalError::Opaque),
        (false, value) => Ok(Some(value)),
        (true, Value::Optional(inner)) => Ok(inner.map(|inner| (*inner).clone())),
        (true, value) => Err(EvalError::invalid(format!(
            "cannot initialize optional entry from non-optional value of type {}",
            value.type_name()
        ))),
    }
}

fn matches<'a>(operand: &'a Expr, regex: u32, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let operand = node(operand, scope)?;
    let text = operand.as_str().ok_or_else(|| EvalError::misused(&operand, "matches"))?;
    functions::regexes::charge(text, &mut scope.fuel)?;
    let regex = scope
        .loaded
        .regexes
        .get(regex as usize)
        .ok_or_else(|| EvalError::invalid(format!("pattern {regex} is not there")))?;
    Ok(Value::Bool(regex.is_match(text)))
}

fn call<'a>(function: Func, args: &'a [Expr], expr: &'a Expr, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    match (function, args) {
        (Func::Equal | Func::NotEqual, [_, _]) => match truth(expr, scope)? {
            Some(value) => Ok(Value::Bool(value)),
            None => Err(EvalError::NoSuchOverload(function.name())),
        },
        // The alternative of an optional is evaluated only when it is needed.
        (Func::OrValue, [optional, alternative]) => match held(optional, scope)? {
            Some(value) => Ok(value),
            None => opaque::known(node(alternative, scope)?),
        },
        (Func::Or, [optional, alternative]) => match held(optional, scope)? {
            Some(value) => Ok(access::optional(Some(value))),
            None => opaque::known(node(alternative, scope)?),
        },
        (Func::HasValue, [optional]) => held(optional, scope).map(|held| Value::Bool(held.is_some())),
        (_, []) => functions::call(function, &[], scope),
        (_, [only]) => {
            let only = node(only, scope)?;
            functions::call(function, &[only], scope)
        }
        (_, [first, second]) => {
            let first = node(first, scope)?;
            let second = node(second, scope)?;
            functions::call(function, &[first, second], scope)
        }
        _ => {
            let values = args.iter().map(|arg| node(arg, scope)).collect::<Result<Vec<_>>>()?;
            functions::call(function, &values, scope)
        }
    }
}
