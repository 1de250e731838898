//! What an expression reads: the place of the input, or the constant, that it stands for, resolved through
//! variables and shared expressions.

use std::collections::BTreeMap;

use bailiwick_policy::ir::{Const, Expr, Func, Root};

use super::super::samples::{self, Samples};
use super::{MAX_STEPS, MAX_WAYS, Place, Reader, Step};

/// How deep expressions are read: evaluation nests no deeper.
const MAX_DEPTH: u32 = 200;

/// What a variable stands for.
#[derive(Clone, Debug)]
pub(super) enum Bound<'e> {
    Place(Place),
    Const(Const),
    Expr(&'e Expr),
}

pub(super) type Scope<'e> = BTreeMap<u16, Bound<'e>>;

/// The state of the reader.
#[derive(Clone)]
pub(super) struct At<'e> {
    pub(super) scope: Scope<'e>,
    pub(super) depth: u32,
}

impl<'e> At<'e> {
    /// Within a shared expression, which sees no variables of others.
    pub(super) const fn anew(&self) -> Self {
        Self { scope: Scope::new(), depth: self.depth }
    }

    pub(super) fn with(&self, slot: u16, bound: Bound<'e>) -> Self {
        let mut scope = self.scope.clone();
        scope.insert(slot, bound);
        Self { scope, depth: self.depth }
    }
}

impl<'p> Reader<'p> {
    /// One step deeper into an expression; `None` if it is too deep, or all steps are used up.
    pub(super) fn deeper<'e>(&self, at: &At<'e>) -> Option<At<'e>> {
        let left = self.left.get();
        if left == 0 || at.depth >= MAX_DEPTH {
            self.cut.set(true);
            return None;
        }
        self.left.set(left - 1);
        Some(At { scope: at.scope.clone(), depth: at.depth + 1 })
    }

    pub(super) fn share(&self, index: u32) -> Option<&'p Expr> {
        Some(&self.shared.get(usize::try_from(index).ok()?)?.expr)
    }

    pub(super) fn bound<'e>(&self, init: &'e Expr, at: &At<'e>) -> Bound<'e> {
        if let Some(place) = self.place(init, at) {
            return Bound::Place(place);
        }
        self.constant(init, at).map_or(Bound::Expr(init), Bound::Const)
    }

    /// The place that an expression reads, or makes a statement about.
    pub(super) fn place(&self, expr: &Expr, at: &At<'_>) -> Option<Place> {
        let at = &self.deeper(at)?;
        match expr {
            Expr::Root(root) => Some(Place { root: *root, steps: Vec::new() }),
            Expr::Slot(slot) => match at.scope.get(slot)? {
                Bound::Place(place) => Some(place.clone()),
                Bound::Const(_) => None,
                Bound::Expr(expr) => self.place(expr, at),
            },
            Expr::Shared(index) => self.place(self.share(*index)?, &at.anew()),
            Expr::PodContainers(_) => {
                let steps = ["spec", "containers"].map(|name| Step::Member(name.to_owned()));
                Some(Place { root: Root::Object, steps: steps.to_vec() })
            }
            Expr::Select(operand, field) | Expr::OptSelect(operand, field) => {
                Some(self.place(operand, at)?.member(field))
            }
            Expr::Index(operand, index) | Expr::OptIndex(operand, index) => {
                let place = self.place(operand, at)?;
                match self.constant(index, at) {
                    Some(Const::Str(name)) => Some(place.member(&name)),
                    Some(Const::Int(_)) => Some(place.element()),
                    _ => None,
                }
            }
            Expr::Call(func, operands) => {
                let first = operands.first()?;
                match func {
                    Func::Value
                    | Func::Or
                    | Func::OrValue
                    | Func::LowerAscii
                    | Func::UpperAscii
                    | Func::Trim
                    | Func::ToString
                    | Func::ToInt
                    | Func::ToDouble
                    | Func::Dyn
                    | Func::Quantity
                    | Func::ToDuration
                    | Func::ToTimestamp
                    | Func::Ip
                    | Func::OptionalOf => self.place(first, at),
                    Func::First | Func::Last => Some(self.place(first, at)?.element()),
                    Func::GetHours
                    | Func::GetDayOfWeek
                    | Func::GetDate
                    | Func::GetMonth
                    | Func::GetFullYear
                    | Func::GetMinutes => Some(self.place(first, at)?.member(func.name())),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The texts in an expression, including those that its patterns match and those of parameters.
    pub(in crate::diff) fn texts(&self, expr: &Expr) -> Vec<String> {
        self.left.set(MAX_STEPS);
        let at = At { scope: Scope::new(), depth: 0 };
        let mut found = Vec::new();
        expr.walk(&mut |node| match node {
            Expr::Matches(_, index) => {
                found.extend(self.matching(*index));
            }
            node => match self.constant(node, &at) {
                Some(Const::Str(text)) => found.push(text),
                Some(Const::List(items)) => found.extend(items.iter().filter_map(text_of)),
                _ => {}
            },
        });
        self.cut.set(self.cut.get() || found.len() > MAX_WAYS);
        found.truncate(MAX_WAYS);
        found
    }

    /// Texts that a pattern matches.
    pub(super) fn matching(&self, index: u32) -> Vec<String> {
        let pattern = usize::try_from(index).ok().and_then(|index| self.regexes.get(index));
        let Some(pattern) = pattern else { return Vec::new() };
        let mut known = self.samples.borrow_mut();
        let Samples { texts, is_cut } = known.entry(index).or_insert_with(|| samples::matching(pattern));
        self.cut.set(self.cut.get() || *is_cut);
        texts.clone()
    }

    /// The constant that an expression is.
    pub(super) fn constant(&self, expr: &Expr, at: &At<'_>) -> Option<Const> {
        let at = &self.deeper(at)?;
        match expr {
            Expr::Const(constant) => Some(constant.clone()),
            Expr::Slot(slot) => match at.scope.get(slot)? {
                Bound::Const(constant) => Some(constant.clone()),
                Bound::Place(_) => None,
                Bound::Expr(expr) => self.constant(expr, at),
            },
            Expr::Shared(index) => self.constant(self.share(*index)?, &at.anew()),
            Expr::Select(operand, field) | Expr::OptSelect(operand, field) => {
                match self.constant(operand, at)? {
                    Const::Map(entries) => {
                        let key = Const::Str(field.clone());
                        entries.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
                    }
                    _ => None,
                }
            }
            Expr::List(items) => items
                .iter()
                .map(|(item, _)| self.constant(item, at))
                .collect::<Option<Vec<_>>>()
                .map(Const::List),
            Expr::Call(
                Func::Quantity | Func::ToDuration | Func::ToTimestamp | Func::Ip | Func::Dyn | Func::Value,
                operands,
            ) => self.constant(operands.first()?, at),
            _ => None,
        }
    }
}

fn text_of(constant: &Const) -> Option<String> {
    match constant {
        Const::Str(text) => Some(text.clone()),
        _ => None,
    }
}
