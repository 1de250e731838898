//! Evaluates one node at a time. Each node of the expression as written costs one unit of fuel.

use super::access_path::{self, Reached};
use super::prepared::{Bind, Node, Prepared};
use super::value::{List, Map, Value, comparing, is_key};
use super::{EvalError, Scope, access, aggregate, comprehension, functions, opaque};
use crate::ir::{Const, Func, MAX_EVAL_DEPTH};
use crate::same::same_text;

type Result<T> = std::result::Result<T, EvalError>;

/// Evaluates an expression.
///
/// # Errors
/// Whatever CEL defines as an error. Also [`EvalError::FuelExhausted`] or [`EvalError::TooDeep`] if a limit
/// was reached on the way, whatever the value would have been. `endless || true` is an error here, since an
/// absorbed limit would let an author (or an attacker who chooses the input) turn a check off.
pub fn eval<'a>(prepared: &'a Prepared, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    // The loader rejects such an expression; the stack must still hold whatever is evaluated.
    if prepared.depth > MAX_EVAL_DEPTH {
        scope.fuel.exhaust();
        return Err(EvalError::TooDeep);
    }
    let value = scope.with_frame(prepared.slots, |scope| node(&prepared.root, scope));
    if scope.fuel.exhausted() { Err(EvalError::FuelExhausted) } else { value }
}

/// The value of a node.
pub(super) fn node<'a>(of: &'a Node, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    match of {
        Node::Read(read) => {
            let (reading, at_large) = &**read;
            return match reading.value(scope) {
                Some(value) => Ok(value),
                None => node(at_large, scope),
            };
        }
        Node::Access(path) => return access_path::follow(path, scope).map(Reached::into_value),
        Node::Traced(traced) => {
            let (values, traced) = &**traced;
            let came_to = node(traced, scope);
            values.note(&came_to);
            return came_to;
        }
        Node::Condition(_) | Node::And(_) | Node::Or(_) | Node::Not(_) | Node::Has(_) | Node::InConst(..) => {
            return boolean(of, scope).map(Value::Bool);
        }
        Node::Equal(_) | Node::NotEqual(_) | Node::Quantifier(_) | Node::Watched(_) => {
            return boolean(of, scope).map(Value::Bool);
        }
        _ => {}
    }
    scope.fuel.spend(1)?;
    match of {
        Node::Const(constant) => Ok(constant.into()),
        Node::Root(root) => scope.root(*root),
        Node::Slot(slot) => scope.slot(*slot).cloned(),
        Node::Shared(index) => scope.shared(*index),
        Node::PodContainers(which) => scope.containers(*which).map(Value::List),
        Node::Index(both) => {
            let (operand, index) = pair(both, scope)?;
            access::index(&operand, &index, &mut scope.fuel)
        }
        Node::OptIndex(both) => {
            let (operand, index) = pair(both, scope)?;
            access::opt_index(&operand, &index, &mut scope.fuel)
        }
        Node::Cond(branches) => conditional(branches, scope),
        Node::List(items) => list(items, scope),
        Node::Map(entries) => map(entries, scope),
        Node::Macro(of) => comprehension::eval(of, scope),
        Node::Bind(of) => bind(of, scope),
        Node::Call(function, args) => call(*function, args, scope),
        Node::Matches(operand, regex) => matches(operand, *regex, scope),
        Node::IsOpaque(of) => is_opaque(of, scope).map(Value::Bool),
        _ => Err(EvalError::NoSuchOverload("bool")),
    }
}

/// The value of a node that must be a boolean.
pub(super) fn boolean<'a>(of: &'a Node, scope: &mut Scope<'a>) -> Result<bool> {
    match of {
        Node::Condition(condition) => {
            let (condition, at_large) = &**condition;
            match condition.holds(scope) {
                Some(value) => Ok(value),
                None => boolean(at_large, scope),
            }
        }
        Node::And(operands) => absorbing(operands, Stop::AtFalse, scope),
        Node::Or(operands) => absorbing(operands, Stop::AtTrue, scope),
        Node::Not(operand) => {
            scope.fuel.spend(1)?;
            boolean(operand, scope).map(|value| !value)
        }
        Node::Has(has) => {
            scope.fuel.spend(1)?;
            let (operand, field) = &**has;
            let operand = node(operand, scope)?;
            access::has(&operand, field, &mut scope.fuel)
        }
        Node::InConst(operand, constants) => {
            scope.fuel.spend(1)?;
            among(operand, constants, scope)
        }
        Node::Equal(both) => equal(both, scope),
        Node::Watched(watched) => {
            let (seen, watched) = &**watched;
            let came_to = boolean(watched, scope);
            seen.note(&came_to);
            came_to
        }
        Node::Traced(traced) => {
            let (values, traced) = &**traced;
            let came_to = boolean(traced, scope);
            values.note(&came_to.clone().map(Value::Bool));
            came_to
        }
        Node::NotEqual(both) => equal(both, scope).map(|same| !same),
        Node::Quantifier(of) => {
            scope.fuel.spend(1)?;
            comprehension::quantifier(of, scope)
        }
        _ => match node(of, scope)? {
            Value::Bool(value) => Ok(value),
            other => Err(EvalError::misused(&other, "bool")),
        },
    }
}

fn pair<'a>(both: &'a [Node; 2], scope: &mut Scope<'a>) -> Result<(Value<'a>, Value<'a>)> {
    let [left, right] = both;
    Ok((node(left, scope)?, node(right, scope)?))
}

fn equal<'a>(both: &'a [Node; 2], scope: &mut Scope<'a>) -> Result<bool> {
    scope.fuel.spend(1)?;
    let (left, right) = pair(both, scope)?;
    aggregate::equal(&left, &right, &mut scope.fuel)
}

/// `operand in [constants]`.
fn among<'a>(operand: &'a Node, constants: &'a [Const], scope: &mut Scope<'a>) -> Result<bool> {
    let operand = node(operand, scope)?;
    if let Some(text) = operand.as_str() {
        scope.fuel.spend((constants.len() / 4) as u64)?;
        let is_same = |constant: &Const| matches!(constant, Const::Str(known) if same_text(known, text));
        return Ok(constants.iter().any(is_same));
    }
    aggregate::list_contains(&List::Const(constants), &opaque::known(operand)?, &mut scope.fuel)
}

/// `condition ? then : otherwise`.
fn conditional<'a>(branches: &'a [Node; 3], scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let [condition, then, otherwise] = branches;
    match boolean(condition, scope) {
        Ok(holds) => node(if holds { then } else { otherwise }, scope),
        // Either branch gives the same boolean.
        Err(EvalError::Opaque) if scope.has_unknowns() => {
            scope.note(&EvalError::Opaque);
            match (node(then, scope), node(otherwise, scope)) {
                (Ok(Value::Bool(then)), Ok(Value::Bool(otherwise))) if then == otherwise => {
                    Ok(Value::Bool(then))
                }
                (Err(error), _) | (_, Err(error)) if error.is_limit() => Err(error),
                _ => Err(EvalError::Opaque),
            }
        }
        Err(error) => Err(error),
    }
}

/// `cel.bind(name, value, body)`. As in cel-go, an error of the value is one only where the body uses the name.
fn bind<'a>(of: &'a Bind, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    match node(&of.init, scope) {
        Ok(value) => scope.set_slot(of.slot, value)?,
        Err(error) if error.is_limit() => return Err(error),
        Err(error) => {
            // Any other error is none until the body uses the name.
            if error == EvalError::Opaque {
                scope.note(&error);
            }
            scope.fail_slot(of.slot, error)?;
        }
    }
    node(&of.body, scope)
}

/// At which operand `&&` and `||` know their value.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    AtFalse,
    AtTrue,
}

/// `&&` and `||`: the deciding value wins over errors on either side of it; without one, the first error is
/// the result.
fn absorbing<'a>(operands: &'a [Node], stop: Stop, scope: &mut Scope<'a>) -> Result<bool> {
    scope.fuel.spend(1)?;
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

fn list<'a>(items: &'a [(Node, bool)], scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut values = Vec::with_capacity(items.len());
    for (item, optional) in items {
        let value = node(item, scope)?;
        if let Some(value) = unwrap_entry(value, *optional)? {
            values.push(value);
        }
    }
    Ok(Value::list(values))
}

fn map<'a>(entries: &'a [(Node, Node, bool)], scope: &mut Scope<'a>) -> Result<Value<'a>> {
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

/// Adds an entry to a map under construction.
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
    scope.fuel.spend((entries.len() / 8) as u64 + comparing(key.as_str(), entries.len()))?;
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

fn is_opaque<'a>(of: &'a (Option<u16>, Node), scope: &mut Scope<'a>) -> Result<bool> {
    let (variable, only) = of;
    let only = node(only, scope)?;
    // An unknown value may or may not be opaque.
    if matches!(only, Value::Opaque) && scope.has_unknowns() {
        return Err(EvalError::Opaque);
    }
    if let Some(variable) = variable {
        scope.ask(*variable);
    }
    Ok(matches!(only, Value::Opaque))
}

fn matches<'a>(operand: &'a Node, regex: u32, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let operand = node(operand, scope)?;
    let text = operand.as_str().ok_or_else(|| EvalError::misused(&operand, "matches"))?;
    let pattern = scope
        .loaded
        .regexes
        .get(regex as usize)
        .ok_or_else(|| EvalError::invalid(format!("pattern {regex} is not there")))?;
    pattern.is_match(text, &mut scope.fuel).map(Value::Bool)
}

fn call<'a>(function: Func, args: &'a [Node], scope: &mut Scope<'a>) -> Result<Value<'a>> {
    match (function, args) {
        // The alternative of an optional is evaluated only when it is needed.
        (Func::OrValue, [optional, alternative]) => match access_path::held(optional, scope)? {
            Some(value) => Ok(value),
            None => opaque::known(node(alternative, scope)?),
        },
        (Func::Or, [optional, alternative]) => match access_path::held(optional, scope)? {
            Some(value) => Ok(access::optional(Some(value))),
            None => opaque::known(node(alternative, scope)?),
        },
        (Func::HasValue, [optional]) => {
            access_path::held(optional, scope).map(|held| Value::Bool(held.is_some()))
        }
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
