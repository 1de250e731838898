//! The commonest values and conditions, evaluated in one step: the value at the end of an access path over
//! the request, and its comparison with constants, as in `!c.?securityContext.?privileged.orValue(false)`.
//!
//! Gives only what the general evaluator gives, and for exactly the same fuel. In any other case (an error, a
//! value of another kind, fuel that may not suffice) it returns `None` and spends nothing, and the general
//! evaluator starts from the beginning. A law in the tests compares the two.
//!
//! Terms. *Reading*: an access path over the request, perhaps with an alternative for a path that leads
//! nowhere. *Spot*: what a reading found.

use super::prepared::accesses;
use super::value::{Map, SHORT_KEY, Value};
use super::{Fuel, Scope};
use crate::ir::{Const, Expr, Func, Root};
use crate::json::{self, Json, Name};
use crate::same::same_text;

/// A condition of this form.
#[derive(Debug)]
pub(super) struct Test {
    reading: Reading,
    check: Check,
    /// Written with an odd number of `!`.
    negated: bool,
    /// Its cost, without alternatives that are taken and texts that are compared.
    cost: u64,
}

/// `start.a.?b.c`, `start.a.?b.orValue(…)`.
#[derive(Debug)]
pub(super) struct Reading {
    start: Start,
    steps: Box<[Step]>,
    otherwise: Otherwise,
    /// Its cost, without alternatives that are taken.
    cost: u64,
}

/// Where a path starts.
#[derive(Debug)]
enum Start {
    Root(Root),
    Slot(u16),
    Shared(u32),
}

#[derive(Debug)]
struct Step {
    name: Name,
    /// Whether it gives an optional, so that finding nothing gives an empty one; otherwise that is an error.
    held: bool,
}

/// The value of a reading that finds nothing.
#[derive(Debug)]
enum Otherwise {
    Nothing,
    Const(Const),
    Reading(Box<Reading>),
}

/// What is checked about a spot.
#[derive(Debug)]
enum Check {
    True,
    Present,
    Bool(bool),
    Int(i64),
    Text(Box<str>),
    Among(Box<[Box<str>]>),
}

/// Where a value is.
#[derive(Clone, Copy)]
enum Spot<'s, 'a> {
    Json(&'a Json<'a>),
    Const(&'a Const),
    Value(&'s Value<'a>),
    Absent,
}

impl Test {
    /// The condition in this form, if it has it.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Not(operand) => {
                let test = Self::of(operand)?;
                Some(Self { negated: !test.negated, cost: test.cost + 1, ..test })
            }
            Expr::Has(operand, field) => {
                let (start, mut steps) = path(operand).filter(|_| field.len() <= SHORT_KEY)?;
                steps.push(Step { name: Name::new(field), held: true });
                Some(Self::asking(Reading::new(start, steps, Otherwise::Nothing), Check::Present, 0))
            }
            Expr::InConst(operand, constants) => {
                let text = |constant: &Const| match constant {
                    Const::Str(text) => Some(text.as_str().into()),
                    // Not equal to any text.
                    _ => None,
                };
                let check = Check::Among(constants.iter().filter_map(text).collect());
                Some(Self::asking(Reading::of(operand)?, check, 1 + (constants.len() / 4) as u64))
            }
            Expr::Call(function @ (Func::Equal | Func::NotEqual), args) => {
                let [left, Expr::Const(right)] = args.as_slice() else { return None };
                let check = match right {
                    Const::Str(text) => Check::Text(text.as_str().into()),
                    Const::Bool(value) => Check::Bool(*value),
                    Const::Int(value) => Check::Int(*value),
                    _ => return None,
                };
                let test = Self::asking(Reading::of(left)?, check, 2);
                Some(Self { negated: *function == Func::NotEqual, ..test })
            }
            _ => Some(Self::asking(Reading::of(expr)?, Check::True, 0)),
        }
    }

    /// `more`: the cost in addition to the reading.
    const fn asking(reading: Reading, check: Check, more: u64) -> Self {
        let cost = reading.cost + more;
        Self { reading, check, negated: false, cost }
    }

    /// Whether the condition holds.
    #[inline]
    pub(super) fn take(&self, scope: &mut Scope<'_>) -> Option<bool> {
        #[cfg(test)]
        if scope.takes_the_long_way {
            return None;
        }
        let mut cost = self.cost;
        let spot = self.reading.spot(scope, &mut cost)?;
        let holds = self.check.holds(spot, &mut cost)?;
        scope.fuel.spend_exactly(cost).then_some(holds != self.negated)
    }
}

/// The start and the steps of an access path.
fn path(expr: &Expr) -> Option<(Start, Vec<Step>)> {
    let (base, accesses) = accesses(expr);
    // Longer names have a price of their own.
    if accesses.iter().any(|access| access.name.as_str().len() > SHORT_KEY) {
        return None;
    }
    let start = match base {
        Expr::Root(root) => Start::Root(*root),
        Expr::Slot(slot) => Start::Slot(*slot),
        Expr::Shared(index) => Start::Shared(*index),
        _ => return None,
    };
    let mut held = false;
    let steps = accesses.into_iter().map(|access| {
        held |= access.optional;
        Step { name: access.name, held }
    });
    Some((start, steps.collect()))
}

impl Reading {
    /// One unit for the start and one for each step.
    fn new(start: Start, steps: Vec<Step>, otherwise: Otherwise) -> Self {
        let cost = 1 + steps.len() as u64;
        Self { start, steps: steps.into(), otherwise, cost }
    }

    /// The expression in this form, if it has it.
    fn of(expr: &Expr) -> Option<Self> {
        let is_held = |steps: &[Step]| steps.last().is_some_and(|last| last.held);
        let Expr::Call(Func::OrValue, args) = expr else {
            let (start, steps) = path(expr)?;
            return (!is_held(&steps)).then(|| Self::new(start, steps, Otherwise::Nothing));
        };
        let [optional, alternative] = args.as_slice() else { return None };
        let (start, steps) = path(optional)?;
        let otherwise = match alternative {
            Expr::Const(constant) => Otherwise::Const(constant.clone()),
            other => Otherwise::Reading(Box::new(Self::of(other)?)),
        };
        let reading = is_held(&steps).then(|| Self::new(start, steps, otherwise))?;
        // And one for the call.
        Some(Self { cost: reading.cost + 1, ..reading })
    }

    /// Like [`Reading::of`], but only for more than a variable.
    pub(super) fn of_path(expr: &Expr) -> Option<Self> {
        Self::of(expr).filter(|reading| !reading.steps.is_empty())
    }

    /// The value that is found.
    #[inline]
    pub(super) fn value<'a>(&'a self, scope: &mut Scope<'a>) -> Option<Value<'a>> {
        #[cfg(test)]
        if scope.takes_the_long_way {
            return None;
        }
        let mut cost = self.cost;
        let value = match self.spot(scope, &mut cost)? {
            Spot::Json(json) => json.into(),
            Spot::Const(constant) => constant.into(),
            Spot::Value(_) | Spot::Absent => return None,
        };
        scope.fuel.spend_exactly(cost).then_some(value)
    }

    #[inline]
    fn spot<'s, 'a>(&'a self, scope: &'s Scope<'a>, cost: &mut u64) -> Option<Spot<'s, 'a>> {
        let Some((last, before)) = self.steps.split_last() else {
            return self.start.value(scope).map(Spot::Value);
        };
        let mut map = self.start.object(scope)?;
        for step in before {
            map = match map.get_named(&step.name) {
                Some(Json::Map(inner)) => inner,
                None if step.held => return self.otherwise.spot(scope, cost),
                _ => return None,
            };
        }
        match map.get_named(&last.name) {
            Some(json) => Some(Spot::Json(json)),
            None if last.held => self.otherwise.spot(scope, cost),
            None => None,
        }
    }
}

impl Otherwise {
    fn spot<'s, 'a>(&'a self, scope: &'s Scope<'a>, cost: &mut u64) -> Option<Spot<'s, 'a>> {
        match self {
            Otherwise::Nothing => Some(Spot::Absent),
            Otherwise::Const(constant) => {
                *cost += 1;
                Some(Spot::Const(constant))
            }
            Otherwise::Reading(reading) => {
                *cost += reading.cost;
                reading.spot(scope, cost)
            }
        }
    }
}

impl Start {
    /// The variable, if it already has a value.
    fn value<'s, 'a>(&self, scope: &'s Scope<'a>) -> Option<&'s Value<'a>> {
        match self {
            Start::Slot(slot) => scope.slot(*slot).ok(),
            Start::Shared(index) => scope.known(*index),
            Start::Root(_) => None,
        }
    }

    /// The object of the request that the variable is bound to.
    #[inline]
    fn object<'a>(&self, scope: &Scope<'a>) -> Option<&'a json::Map<'a>> {
        if let Start::Root(root) = self {
            return scope.json(*root).and_then(Json::as_map);
        }
        match self.value(scope)? {
            Value::Map(Map::Json(map)) => Some(map),
            _ => None,
        }
    }
}

impl Check {
    /// `None`: the spot holds a value of another kind.
    #[inline]
    fn holds(&self, spot: Spot<'_, '_>, cost: &mut u64) -> Option<bool> {
        match self {
            Check::True => spot.as_bool(),
            Check::Present => Some(!matches!(spot, Spot::Absent)),
            Check::Bool(right) => spot.as_bool().map(|left| left == *right),
            Check::Int(right) => spot.as_int().map(|left| left == *right),
            Check::Text(right) => {
                let left = spot.as_str()?;
                *cost += Fuel::of_bytes(left.len().min(right.len()));
                Some(same_text(left, right))
            }
            Check::Among(texts) => {
                let text = spot.as_str()?;
                Some(texts.iter().any(|known| same_text(known, text)))
            }
        }
    }
}

impl<'s> Spot<'s, '_> {
    #[inline]
    fn as_str(&self) -> Option<&'s str> {
        match self {
            Spot::Json(Json::Str(text)) => Some(text),
            Spot::Const(Const::Str(text)) => Some(text),
            Spot::Value(value) => value.as_str(),
            _ => None,
        }
    }

    #[inline]
    fn as_bool(self) -> Option<bool> {
        match self {
            Spot::Json(Json::Bool(value)) | Spot::Const(Const::Bool(value)) => Some(*value),
            Spot::Value(value) => value.as_bool(),
            _ => None,
        }
    }

    #[inline]
    fn as_int(self) -> Option<i64> {
        match self {
            Spot::Json(Json::Int(value)) | Spot::Const(Const::Int(value)) => Some(*value),
            Spot::Value(Value::Int(value)) => Some(*value),
            _ => None,
        }
    }
}
