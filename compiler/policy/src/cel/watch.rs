//! The values of the boolean parts of an expression, over all its evaluations: what tests cover of a policy.
//!
//! For tests, not for production: an unwatched expression has no node of this kind, so watching costs nothing
//! where it is not used. A watched expression takes no shortcut of [`super::quick`], and has the same meaning
//! and fuel cost.
//!
//! Terms. *Part*: a node that gives a boolean, except constants and negations: a negation is its operand
//! inverted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::EvalError;
use super::prepared::Node;
use super::trace::{Traced, Values};
use crate::ir::{Expr, Func, MacroKind};

/// Whether expressions are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watching {
    /// Not: for production.
    #[default]
    Off,
    /// Each boolean part is.
    On,
    /// The value of each node is recorded, see [`super::Traced`]: for one decision.
    Values,
}

/// The outcomes of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes(u8);

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const FAILED: u8 = 4;

impl Outcomes {
    /// It was true at least once.
    #[must_use]
    pub const fn was_true(self) -> bool {
        self.0 & TRUE != 0
    }

    /// It was false at least once.
    #[must_use]
    pub const fn was_false(self) -> bool {
        self.0 & FALSE != 0
    }

    /// It was evaluated, even if to an error.
    #[must_use]
    pub const fn was_reached(self) -> bool {
        self.0 != 0
    }

    /// The outcomes of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The outcomes of a part so far. Policies are shared between threads, so it is atomic; nothing depends on
/// the order of its changes.
#[derive(Debug, Default)]
pub(super) struct Seen(AtomicU8);

impl Seen {
    pub(super) fn note(&self, came_to: &Result<bool, EvalError>) {
        let bit = match came_to {
            Ok(true) => TRUE,
            Ok(false) => FALSE,
            Err(_) => FAILED,
        };
        self.0.fetch_or(bit, Ordering::Relaxed);
    }
}

/// A watched part of an expression.
#[derive(Debug)]
pub struct Part {
    at: u32,
    seen: Arc<Seen>,
}

impl Part {
    /// Its position in the pre-order of the expression.
    #[must_use]
    pub const fn at(&self) -> u32 {
        self.at
    }

    /// Its outcomes so far.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        Outcomes(self.seen.0.load(Ordering::Relaxed))
    }
}

/// The parts of one expression while it is being prepared.
#[derive(Debug)]
pub(super) struct Watch {
    /// The position of each node, by its address: the expression does not move during this time.
    positions: BTreeMap<*const Expr, u32>,
    parts: RefCell<Vec<Part>>,
    /// `None`: only boolean parts are of interest.
    traced: Option<RefCell<Vec<Traced>>>,
}

impl Watch {
    /// `None` if nothing is watched.
    pub(super) fn over(expr: &Expr, watching: Watching) -> Option<Self> {
        let traced = match watching {
            Watching::Off => return None,
            Watching::On => None,
            Watching::Values => Some(RefCell::default()),
        };
        let mut positions = BTreeMap::new();
        expr.walk(&mut |node| {
            let at = u32::try_from(positions.len()).unwrap_or(u32::MAX);
            positions.insert(std::ptr::from_ref(node), at);
        });
        Some(Self { positions, parts: RefCell::default(), traced })
    }

    /// Whether every node is recorded, so that no node may represent several.
    pub(super) const fn is_tracing(&self) -> bool {
        self.traced.is_some()
    }

    /// A node made from `expr`, traced if all are.
    pub(super) fn value(&self, expr: &Expr, made: Node) -> Node {
        let at = self.positions.get(&std::ptr::from_ref(expr));
        let (Some(traced), Some(at)) = (&self.traced, at) else { return made };
        let values = Arc::new(Values::default());
        traced.borrow_mut().push(Traced { at: *at, values: Arc::clone(&values) });
        Node::Traced(Box::new((values, made)))
    }

    /// A node made from `expr`, which must give a boolean; watched if it is a part.
    pub(super) fn condition(&self, expr: &Expr, made: Node) -> Node {
        if self.is_tracing() {
            return self.value(expr, made);
        }
        let at = self.positions.get(&std::ptr::from_ref(expr));
        let Some(at) = at.filter(|_| !matches!(expr, Expr::Const(_) | Expr::Not(_))) else { return made };
        let seen = Arc::new(Seen::default());
        self.parts.borrow_mut().push(Part { at: *at, seen: Arc::clone(&seen) });
        Node::Watched(Box::new((seen, made)))
    }

    /// All parts and all traced nodes, in the order of their positions.
    pub(super) fn finish(self) -> (Vec<Part>, Vec<Traced>) {
        let mut parts = self.parts.into_inner();
        parts.sort_by_key(|part| part.at);
        let mut traced = self.traced.map(RefCell::into_inner).unwrap_or_default();
        traced.sort_by_key(|node| node.at);
        (parts, traced)
    }
}

/// Whether an expression gives a boolean wherever it occurs.
pub(super) fn gives_boolean(expr: &Expr) -> bool {
    match expr {
        Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Has(..) | Expr::InConst(..) | Expr::Matches(..) => {
            true
        }
        Expr::Macro(of) => matches!(of.kind, MacroKind::All | MacroKind::Exists | MacroKind::ExistsOne),
        Expr::Call(func, _) => is_predicate(*func),
        _ => false,
    }
}

const fn is_predicate(func: Func) -> bool {
    use Func::*;
    matches!(
        func,
        Equal
            | NotEqual
            | Less
            | LessEqual
            | Greater
            | GreaterEqual
            | In
            | ToBool
            | Contains
            | StartsWith
            | EndsWith
            | MatchesDynamic
            | HasValue
            | IsSorted
            | Includes
            | SetsContains
            | SetsEquivalent
            | SetsIntersects
            | IsQuantity
            | IsInteger
            | IsGreaterThan
            | IsLessThan
            | IsNan
            | IsInf
            | IsFinite
            | IsIp
            | IpIsCanonical
            | IsUnspecified
            | IsLoopback
            | IsLinkLocalMulticast
            | IsLinkLocalUnicast
            | IsGlobalUnicast
            | IsPrivate
            | IsCidr
            | ContainsIp
            | ContainsCidr
            | IsOpaque
            | OnlyRuns
            | IsUrl
            | IsSemver
    )
}
