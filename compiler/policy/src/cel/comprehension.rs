//! Macros over lists, maps and optionals.
//!
//! Absorption is that of the folds to which the CEL definition expands them: `all` and `exists` continue
//! after an error and let a deciding element win; every other macro ends at its first error.

use std::cell::Cell;
use std::rc::Rc;

use super::eval::{boolean, insert, node};
use super::prepared::Macro;
use super::text::length;
use super::value::{List, Map, Value};
use super::{EvalError, Scope, functions, opaque};
use crate::ir::MacroKind;

type Result<T> = std::result::Result<T, EvalError>;

/// The value of a macro other than a quantifier.
pub(super) fn eval<'a>(of: &'a Macro, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let range = node(&of.range, scope)?;
    match of.kind {
        MacroKind::OptMap | MacroKind::OptFlatMap => return over_optional(of, range, scope),
        _ => {}
    }
    let range = Range::new(range)?;
    match of.kind {
        MacroKind::ExistsOne => exists_one(of, &range, scope),
        MacroKind::Map => transform_list(of, &range, scope),
        MacroKind::Filter => filter(of, &range, scope),
        MacroKind::TransformMap => transform_map(of, &range, scope),
        MacroKind::TransformMapEntry => transform_map_entry(of, &range, scope),
        MacroKind::SortBy => sort_by(of, &range, scope),
        MacroKind::All | MacroKind::Exists => Err(EvalError::NoSuchOverload("all")),
        MacroKind::OptMap | MacroKind::OptFlatMap => Err(EvalError::NoSuchOverload("optMap")),
    }
}

/// What a comprehension iterates over, from its start on.
enum Range<'a> {
    /// The flag: whether an opaque element was passed, after which no element's position is known.
    List(List<'a>, Cell<bool>),
    Map(Map<'a>),
}

impl<'a> Range<'a> {
    fn new(value: Value<'a>) -> Result<Self> {
        match value {
            Value::List(list) => Ok(Self::List(list, Cell::new(false))),
            Value::Map(map) => Ok(Self::Map(map)),
            value => Err(EvalError::misused(&value, "comprehension")),
        }
    }

    /// Whether the element of a step is opaque: in its place may stand none or several.
    fn hides(&self, step: usize) -> bool {
        matches!(self, Range::List(List::Owned(items), _) if matches!(items.get(step), Some(Value::Opaque)))
    }

    fn len(&self) -> usize {
        match self {
            Range::List(list, _) => list.len(),
            Range::Map(map) => map.len(),
        }
    }

    /// Binds the variables for one step: (element) or (index, element) of a list, (key) or (key, value) of a
    /// map.
    #[inline]
    fn bind(&self, of: &Macro, step: usize, scope: &mut Scope<'a>) -> Result<()> {
        scope.fuel.spend(1)?;
        match (self, of.slot2) {
            (Range::List(list, _), None) => scope.set_slot(of.slot, element(list, step)?),
            (Range::List(list, passed_opaque), Some(second)) => {
                let position = if passed_opaque.get() { Value::Opaque } else { Value::Int(length(step)) };
                let element = element(list, step)?;
                passed_opaque.set(passed_opaque.get() || matches!(element, Value::Opaque));
                scope.set_slot(of.slot, position)?;
                scope.set_slot(second, element)
            }
            (Range::Map(map), second) => {
                let (key, value) = map.at(step).ok_or(EvalError::IndexOutOfBounds(-1))?;
                scope.set_slot(of.slot, key)?;
                second.map_or(Ok(()), |second| scope.set_slot(second, value))
            }
        }
    }
}

#[inline]
fn element<'a>(list: &List<'a>, step: usize) -> Result<Value<'a>> {
    list.get(step).ok_or(EvalError::IndexOutOfBounds(-1))
}

/// `all` or `exists`.
pub(super) fn quantifier<'a>(of: &'a Macro, scope: &mut Scope<'a>) -> Result<bool> {
    let range = Range::new(node(&of.range, scope)?)?;
    decide(of, &range, of.kind == MacroKind::Exists, scope)
}

/// A false decides `all`, a true decides `exists`.
fn decide<'a>(of: &'a Macro, range: &Range<'a>, deciding: bool, scope: &mut Scope<'a>) -> Result<bool> {
    let mut first_error = None;
    for step in 0..range.len() {
        range.bind(of, step, scope)?;
        let held = match boolean(&of.body, scope) {
            // That there is an element at all is not known, and so not what would decide it; except for a body that
            // has asked whether it is opaque.
            Ok(value) if value == deciding && range.hides(step) && !asked(of, scope) => {
                Err(EvalError::Opaque)
            }
            held => held,
        };
        match held {
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

/// Whether the body has asked if the element is opaque, and decides by nothing but elements.
fn asked(of: &Macro, scope: &Scope<'_>) -> bool {
    !of.reads_place && scope.was_asked(of.slot2.unwrap_or(of.slot))
}

fn exists_one<'a>(of: &'a Macro, range: &Range<'a>, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut count = 0_usize;
    for step in 0..range.len() {
        range.bind(of, step, scope)?;
        let holds = boolean(&of.body, scope)?;
        counted(holds, range, step)?;
        count += usize::from(holds);
    }
    Ok(Value::Bool(count == 1))
}

/// Whether the step passes the macro's filter; without a filter every step passes.
fn passes<'a>(of: &'a Macro, range: &Range<'a>, step: usize, scope: &mut Scope<'a>) -> Result<bool> {
    let passes = of.filter.as_ref().map_or(Ok(true), |filter| boolean(filter, scope))?;
    counted(passes, range, step).map(|()| passes)
}

/// A step whose element counts as one: an opaque one may be none or several.
fn counted(counts: bool, range: &Range<'_>, step: usize) -> Result<()> {
    if counts && range.hides(step) { Err(EvalError::Opaque) } else { Ok(()) }
}

fn transform_list<'a>(of: &'a Macro, range: &Range<'a>, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut out = Vec::new();
    for step in 0..range.len() {
        range.bind(of, step, scope)?;
        if passes(of, range, step, scope)? {
            out.push(opaque::known(node(&of.body, scope)?)?);
        }
    }
    Ok(Value::list(out))
}

fn filter<'a>(of: &'a Macro, range: &Range<'a>, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut out = Vec::new();
    for step in 0..range.len() {
        range.bind(of, step, scope)?;
        if boolean(&of.body, scope)? {
            // Elements of lists, keys of maps, as the macro is defined.
            out.push(match range {
                Range::List(list, _) => element(list, step)?,
                Range::Map(map) => map.at(step).ok_or(EvalError::IndexOutOfBounds(-1))?.0,
            });
        }
    }
    Ok(Value::list(out))
}

fn transform_map<'a>(of: &'a Macro, range: &Range<'a>, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut out = Vec::new();
    for step in 0..range.len() {
        range.bind(of, step, scope)?;
        if passes(of, range, step, scope)? {
            let key = scope.slot(of.slot)?.clone();
            let value = opaque::known(node(&of.body, scope)?)?;
            out.push((key, value));
        }
    }
    Ok(Value::Map(Map::Owned(out.into())))
}

fn transform_map_entry<'a>(of: &'a Macro, range: &Range<'a>, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let mut out = Vec::new();
    for step in 0..range.len() {
        range.bind(of, step, scope)?;
        if !passes(of, range, step, scope)? {
            continue;
        }
        let made = match node(&of.body, scope)? {
            Value::Map(made) => made,
            other => return Err(EvalError::misused(&other, "transformMapEntry")),
        };
        for (key, value) in made.iter() {
            scope.fuel.spend(1)?;
            insert(&mut out, key, value, scope)?;
        }
    }
    Ok(Value::Map(Map::Owned(out.into())))
}

fn sort_by<'a>(of: &'a Macro, range: &Range<'a>, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let Range::List(list, _) = range else {
        return Err(EvalError::NoSuchOverload("sortBy"));
    };
    opaque::refuse_list(list, &mut scope.fuel)?;
    let mut keys = Vec::new();
    for step in 0..range.len() {
        range.bind(of, step, scope)?;
        keys.push(opaque::known(node(&of.body, scope)?)?);
    }
    functions::lists::sort_by_keys(list, &keys, &mut scope.fuel)
}

fn over_optional<'a>(of: &'a Macro, range: Value<'a>, scope: &mut Scope<'a>) -> Result<Value<'a>> {
    let inner = match range {
        Value::Optional(Some(inner)) => inner,
        Value::Optional(None) => return Ok(Value::Optional(None)),
        other => return Err(EvalError::misused(&other, "optMap")),
    };
    scope.set_slot(of.slot, (*inner).clone())?;
    let made = opaque::known(node(&of.body, scope)?)?;
    match (of.kind, made) {
        (MacroKind::OptMap, made) => Ok(Value::Optional(Some(Rc::new(made)))),
        (_, made @ Value::Optional(_)) => Ok(made),
        _ => Err(EvalError::NoSuchOverload("optFlatMap")),
    }
}
