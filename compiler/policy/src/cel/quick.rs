//! The commonest values and conditions, evaluated in one step: the value at the end of an access path, and its
//! comparison with constants, as in `!c.?securityContext.?privileged.orValue(false)`.
//!
//! Gives only what the general evaluator gives, and for exactly the same fuel. In any other case (an error, a
//! value of another kind, fuel that may not suffice) it returns `None` and spends nothing, and the general
//! evaluator starts from the beginning. A law in the tests compares the two.
//!
//! Terms. *Test*: a reading, and what is checked about it. *Reading*: an access path, perhaps with an alternative for a path that leads nowhere. *Spot*: what a
//! reading found. *Sight*: what tests see while nothing is spent yet.

use super::prepared::accesses;
use super::value::{Map, SHORT_KEY, Value};
use super::{Fuel, Scope};
use crate::ir::{Const, Expr, Func, Root};
use crate::json::{Json, Name};
use crate::same::same_text;

/// A reading, and what is checked about it.
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
    /// A slot that the condition itself binds, and its place among those.
    Bound(u16, usize),
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
pub(super) enum Spot<'s, 'a> {
    Json(&'a Json<'a>),
    Const(&'a Const),
    Value(&'s Value<'a>),
    Absent,
}

/// The most variables that one condition binds.
pub(super) const MAX_BOUND: usize = 4;

/// What a condition is evaluated over, what it has bound, and what would be left of the budget. The scope
/// itself changes when the whole condition has its value.
pub(super) struct Sight<'s, 'a> {
    pub(super) scope: &'s Scope<'a>,
    elements: [Option<Spot<'s, 'a>>; MAX_BOUND],
    left: u64,
}

impl<'s, 'a> Sight<'s, 'a> {
    pub(super) fn of(scope: &'s Scope<'a>) -> Option<Self> {
        #[cfg(test)]
        if scope.takes_the_long_way {
            return None;
        }
        Some(Self { scope, elements: [None; MAX_BOUND], left: scope.fuel.left() })
    }

    #[inline]
    pub(super) const fn spend(&mut self, units: u64) -> Option<()> {
        match self.left.checked_sub(units) {
            Some(left) => {
                self.left = left;
                Some(())
            }
            None => None,
        }
    }

    /// Gives a bound variable its next value.
    #[inline]
    pub(super) fn bind(&mut self, place: usize, element: Spot<'s, 'a>) -> Option<()> {
        *self.elements.get_mut(place)? = Some(element);
        Some(())
    }

    /// What is left, and the last values of the bound variables.
    pub(super) fn into_parts(self) -> (u64, [Option<Value<'a>>; MAX_BOUND]) {
        (self.left, self.elements.map(|element| element.and_then(Spot::into_value)))
    }
}

impl Test {
    /// The condition in this form, if it has it; `bound`: the slots that the condition around it binds.
    pub(super) fn of(expr: &Expr, bound: &[u16]) -> Option<Self> {
        match expr {
            Expr::Not(operand) => {
                let test = Self::of(operand, bound)?;
                Some(Self { negated: !test.negated, cost: test.cost + 1, ..test })
            }
            Expr::Has(operand, field) => {
                let (start, mut steps) = path(operand, bound).filter(|_| field.len() <= SHORT_KEY)?;
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
                Some(Self::asking(Reading::of(operand, bound)?, check, 1 + (constants.len() / 4) as u64))
            }
            Expr::Call(function @ (Func::Equal | Func::NotEqual), args) => {
                let [left, Expr::Const(right)] = args.as_slice() else { return None };
                let check = match right {
                    Const::Str(text) => Check::Text(text.as_str().into()),
                    Const::Bool(value) => Check::Bool(*value),
                    Const::Int(value) => Check::Int(*value),
                    _ => return None,
                };
                let test = Self::asking(Reading::of(left, bound)?, check, 2);
                Some(Self { negated: *function == Func::NotEqual, ..test })
            }
            _ => Some(Self::asking(Reading::of(expr, bound)?, Check::True, 0)),
        }
    }

    /// `more`: the cost in addition to the reading.
    const fn asking(reading: Reading, check: Check, more: u64) -> Self {
        let cost = reading.cost + more;
        Self { reading, check, negated: false, cost }
    }

    /// Whether the condition holds.
    #[inline]
    pub(super) fn holds<'a>(&'a self, sight: &mut Sight<'_, 'a>) -> Option<bool> {
        let mut cost = self.cost;
        let spot = self.reading.spot(sight, &mut cost)?;
        let holds = self.check.holds(spot, &mut cost)?;
        sight.spend(cost)?;
        Some(holds != self.negated)
    }
}

/// The start and the steps of an access path.
fn path(expr: &Expr, bound: &[u16]) -> Option<(Start, Vec<Step>)> {
    let (base, accesses) = accesses(expr);
    // Longer names have a price of their own.
    if accesses.iter().any(|access| access.name.as_str().len() > SHORT_KEY) {
        return None;
    }
    let start = match base {
        Expr::Root(root) => Start::Root(*root),
        Expr::Slot(slot) => match bound.iter().position(|one| one == slot) {
            Some(place) => Start::Bound(*slot, place),
            None => Start::Slot(*slot),
        },
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
    pub(super) fn of(expr: &Expr, bound: &[u16]) -> Option<Self> {
        let is_held = |steps: &[Step]| steps.last().is_some_and(|last| last.held);
        let Expr::Call(Func::OrValue, args) = expr else {
            let (start, steps) = path(expr, bound)?;
            return (!is_held(&steps)).then(|| Self::new(start, steps, Otherwise::Nothing));
        };
        let [optional, alternative] = args.as_slice() else { return None };
        let (start, steps) = path(optional, bound)?;
        let otherwise = match alternative {
            Expr::Const(constant) => Otherwise::Const(constant.clone()),
            other => Otherwise::Reading(Box::new(Self::of(other, bound)?)),
        };
        let reading = is_held(&steps).then(|| Self::new(start, steps, otherwise))?;
        // And one for the call.
        Some(Self { cost: reading.cost + 1, ..reading })
    }

    /// Like [`Reading::of`], but only for more than a variable.
    pub(super) fn of_path(expr: &Expr) -> Option<Self> {
        Self::of(expr, &[]).filter(|reading| !reading.steps.is_empty())
    }

    /// The value that is found.
    #[inline]
    pub(super) fn value<'a>(&'a self, scope: &mut Scope<'a>) -> Option<Value<'a>> {
        let mut sight = Sight::of(scope)?;
        let value = self.find(&mut sight)?.into_value()?;
        let left = sight.left;
        scope.fuel.spend_down_to(left);
        Some(value)
    }

    /// What it finds.
    #[inline]
    pub(super) fn find<'s, 'a>(&'a self, sight: &mut Sight<'s, 'a>) -> Option<Spot<'s, 'a>> {
        let mut cost = self.cost;
        let spot = self.spot(sight, &mut cost)?;
        sight.spend(cost)?;
        Some(spot)
    }

    #[inline]
    fn spot<'s, 'a>(&'a self, sight: &Sight<'s, 'a>, cost: &mut u64) -> Option<Spot<'s, 'a>> {
        let mut here = self.start.spot(sight)?;
        for step in &self.steps {
            here = match here.member(&step.name, cost)? {
                Spot::Absent if step.held => return self.otherwise.spot(sight, cost),
                Spot::Absent => return None,
                found => found,
            };
        }
        Some(here)
    }
}

impl Otherwise {
    fn spot<'s, 'a>(&'a self, sight: &Sight<'s, 'a>, cost: &mut u64) -> Option<Spot<'s, 'a>> {
        match self {
            Otherwise::Nothing => Some(Spot::Absent),
            Otherwise::Const(constant) => {
                *cost += 1;
                Some(Spot::Const(constant))
            }
            Otherwise::Reading(reading) => {
                *cost += reading.cost;
                reading.spot(sight, cost)
            }
        }
    }
}

impl Start {
    /// The variable, if it already has a value.
    #[inline]
    fn spot<'s, 'a>(&self, sight: &Sight<'s, 'a>) -> Option<Spot<'s, 'a>> {
        let value = match self {
            Start::Root(root) => match sight.scope.json(*root) {
                Some(json) => return Some(Spot::Json(json)),
                None => sight.scope.root_value(*root)?,
            },
            Start::Slot(slot) => sight.scope.slot(*slot).ok()?,
            Start::Bound(slot, place) => match sight.elements.get(*place) {
                Some(Some(element)) => return Some(*element),
                _ => sight.scope.slot(*slot).ok()?,
            },
            Start::Shared(index) => sight.scope.known(*index)?,
        };
        Spot::of(value)
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

impl<'s, 'a> Spot<'s, 'a> {
    /// Where a value is that is neither opaque nor an optional: those have rules of their own.
    #[inline]
    pub(super) const fn of(value: &'s Value<'a>) -> Option<Self> {
        match value {
            Value::Opaque | Value::Optional(_) => None,
            value => Some(Spot::Value(value)),
        }
    }

    fn into_value(self) -> Option<Value<'a>> {
        match self {
            Spot::Json(json) => Some(json.into()),
            Spot::Const(constant) => Some(constant.into()),
            Spot::Value(value) => Some(value.clone()),
            Spot::Absent => None,
        }
    }

    /// The member of this name. A map that is not of the request costs what walking it does.
    #[inline]
    fn member(self, name: &Name, cost: &mut u64) -> Option<Self> {
        match self {
            Spot::Json(Json::Map(map)) => Some(map.get_named(name).map_or(Spot::Absent, Spot::Json)),
            Spot::Value(Value::Map(Map::Json(map))) => {
                Some(map.get_named(name).map_or(Spot::Absent, Spot::Json))
            }
            Spot::Value(Value::Map(map @ Map::Owned(entries))) => {
                *cost += map.lookup_cost(Some(name.as_str()));
                let found = entries.iter().find(|(key, _)| key.as_str() == Some(name.as_str()));
                found.map_or(Some(Spot::Absent), |(_, value)| Spot::of(value))
            }
            Spot::Value(Value::Map(Map::Const(entries))) => Some(Self::constant(entries, name, cost)),
            Spot::Const(Const::Map(entries)) => Some(Self::constant(entries, name, cost)),
            _ => None,
        }
    }

    fn constant(entries: &'a [(Const, Const)], name: &Name, cost: &mut u64) -> Self {
        *cost += Map::Const(entries).lookup_cost(Some(name.as_str()));
        let is_named = |key: &Const| matches!(key, Const::Str(key) if key == name.as_str());
        let found = entries.iter().find(|(key, _)| is_named(key));
        found.map_or(Spot::Absent, |(_, value)| Spot::Const(value))
    }

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
