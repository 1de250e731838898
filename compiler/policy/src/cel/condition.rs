//! Whole conditions in one go: tests under `!`, `&&`, `||`, `all` and `exists`, as in
//! `object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))`.
//!
//! Like the single tests ([`super::quick`]) that they are made of, they give only what the general evaluator
//! gives, for the same fuel and leaving the same variables. In any other case they change nothing, and the
//! general evaluator starts from the beginning: with single tests only, so that a list is not walked in vain
//! once for each condition around it. Elements are borrowed and never become values, and no operand has an
//! error.

use super::Scope;
use super::quick::{MAX_BOUND, Reading, Sight, Spot, Test};
use super::value::{List, Value};
use crate::ir::{self, Const, Expr, MacroKind, PodContainers};
use crate::json::Json;

/// A condition of this form.
#[derive(Debug)]
pub(super) struct Condition {
    root: Part,
    /// The variables that its quantifiers bind; no more than [`MAX_BOUND`].
    bound: Box<[u16]>,
}

#[derive(Debug)]
enum Part {
    Test(Test),
    Not(Box<Part>),
    /// `&&`, which a false decides, or `||`, which a true decides.
    Junction(Box<[Part]>, bool),
    Quantifier(Box<Quantifier>),
}

/// `all`, which a false decides, or `exists`, which a true decides.
#[derive(Debug)]
struct Quantifier {
    range: Range,
    /// Which of the bound variables it binds.
    variable: usize,
    body: Part,
    deciding: bool,
}

#[derive(Debug)]
enum Range {
    Read(Reading),
    PodContainers(PodContainers),
}

impl Condition {
    /// A single test, if the expression is one.
    pub(super) fn of_test(expr: &Expr) -> Option<Self> {
        let root = Part::Test(Test::of(expr, &[])?);
        Some(Self { root, bound: Box::default() })
    }

    /// The condition in this form, if it has it.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        let mut bound = Vec::new();
        expr.walk(&mut |node| match node {
            Expr::Macro(of) if !bound.contains(&of.slot) => bound.push(of.slot),
            _ => {}
        });
        if bound.len() > MAX_BOUND {
            return None;
        }
        Some(Self { root: Part::of(expr, &bound)?, bound: bound.into() })
    }

    /// Whether it holds.
    pub(super) fn holds<'a>(&'a self, scope: &mut Scope<'a>) -> Option<bool> {
        let mut sight = Sight::of(scope)?;
        let holds = self.root.holds(&mut sight)?;
        let (left, elements) = sight.into_parts();
        for (slot, element) in self.bound.iter().zip(elements) {
            if let Some(element) = element {
                scope.set_slot(*slot, element).ok()?;
            }
        }
        scope.fuel.spend_down_to(left);
        Some(holds)
    }
}

impl Part {
    fn of(expr: &Expr, bound: &[u16]) -> Option<Self> {
        if let Some(test) = Test::of(expr, bound) {
            return Some(Self::Test(test));
        }
        let junction = |operands: &[Expr], deciding| {
            let parts = operands.iter().map(|operand| Self::of(operand, bound));
            Some(Self::Junction(parts.collect::<Option<_>>()?, deciding))
        };
        match expr {
            Expr::Not(operand) => Some(Self::Not(Box::new(Self::of(operand, bound)?))),
            Expr::And(operands) => junction(operands, false),
            Expr::Or(operands) => junction(operands, true),
            Expr::Macro(of) => Some(Self::Quantifier(Box::new(Quantifier::of(of, bound)?))),
            _ => None,
        }
    }

    fn holds<'a>(&'a self, sight: &mut Sight<'_, 'a>) -> Option<bool> {
        match self {
            Self::Test(test) => test.holds(sight),
            Self::Not(operand) => {
                sight.spend(1)?;
                operand.holds(sight).map(|holds| !holds)
            }
            Self::Junction(operands, deciding) => {
                sight.spend(1)?;
                for operand in operands {
                    if operand.holds(sight)? == *deciding {
                        return Some(*deciding);
                    }
                }
                Some(!deciding)
            }
            Self::Quantifier(of) => of.holds(sight),
        }
    }
}

impl Quantifier {
    fn of(of: &ir::Macro, bound: &[u16]) -> Option<Self> {
        let deciding = match of.kind {
            MacroKind::All => false,
            MacroKind::Exists => true,
            _ => return None,
        };
        if of.slot2.is_some() || of.filter.is_some() {
            return None;
        }
        let range = match &of.range {
            Expr::PodContainers(which) => Range::PodContainers(*which),
            range => Range::Read(Reading::of(range, bound)?),
        };
        let variable = bound.iter().position(|slot| *slot == of.slot)?;
        Some(Self { range, variable, body: Part::of(&of.body, bound)?, deciding })
    }

    /// One unit for the node and one for each step.
    fn holds<'s, 'a>(&'a self, sight: &mut Sight<'s, 'a>) -> Option<bool> {
        sight.spend(1)?;
        let list = match &self.range {
            Range::PodContainers(which) => {
                sight.spend(1)?;
                sight.scope.known_containers(*which)?
            }
            Range::Read(reading) => match reading.find(sight)? {
                Spot::Json(Json::List(items)) => return self.decides(items.iter().map(Spot::Json), sight),
                Spot::Const(Const::List(items)) => return self.decides(items.iter().map(Spot::Const), sight),
                Spot::Value(Value::List(list)) => list,
                _ => return None,
            },
        };
        match list {
            List::Json(items) => self.decides(items.iter().map(Spot::Json), sight),
            List::Refs(items) => self.decides(items.iter().map(|item| Spot::Json(item)), sight),
            List::Const(items) => self.decides(items.iter().map(Spot::Const), sight),
            List::Owned(items) => self.decides(items.iter().map(Spot::Value), sight),
        }
    }

    fn decides<'s, 'a>(
        &'a self,
        items: impl Iterator<Item = Spot<'s, 'a>>,
        sight: &mut Sight<'s, 'a>,
    ) -> Option<bool> {
        for item in items {
            // The general evaluator knows what an opaque element decides.
            if matches!(item, Spot::Value(Value::Opaque)) {
                return None;
            }
            sight.spend(1)?;
            sight.bind(self.variable, item)?;
            if self.body.holds(sight)? == self.deciding {
                return Some(self.deciding);
            }
        }
        Some(!self.deciding)
    }
}
