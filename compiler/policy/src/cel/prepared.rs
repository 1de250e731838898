//! Expressions prepared for evaluation, once, when a policy is loaded.
//!
//! Not another language: every node represents nodes of the [`crate::ir`] expression, with the same meaning
//! and the same cost. The differences: chained accesses are one [`AccessPath`], names carry what a lookup
//! needs, and the commonest conditions and values also have a [`Condition`] or a [`Reading`], which evaluates
//! them in one go.
//!
//! Terms. *Access path*: `base.a.?b.c`. *Condition*: a node that must be a boolean.

use std::sync::Arc;

use super::condition::Condition;
use super::quick::Reading;
use super::trace::{Traced, Values};
use super::watch::{Part, Seen, Watch, Watching, gives_boolean};
use crate::ir::{self, Cel, Const, Expr, Func, MacroKind, PodContainers, Root};
use crate::json::Name;

/// A prepared expression.
#[derive(Debug)]
pub struct Prepared {
    pub(super) root: Node,
    pub(super) slots: u16,
    /// How deep its evaluation nests, including the shared expressions that it uses.
    pub(super) depth: u32,
    /// Its watched parts; empty unless it was prepared for watching.
    parts: Vec<Part>,
    /// Its traced nodes, likewise.
    traced: Vec<Traced>,
}

/// A node; see [`Expr`] for what each means.
#[derive(Debug)]
pub(super) enum Node {
    Const(Const),
    Root(Root),
    Slot(u16),
    Shared(u32),
    PodContainers(PodContainers),
    Access(Box<AccessPath>),
    Has(Box<(Node, Name)>),
    Index(Box<[Node; 2]>),
    OptIndex(Box<[Node; 2]>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Cond(Box<[Node; 3]>),
    List(Box<[(Node, bool)]>),
    Map(Box<[(Node, Node, bool)]>),
    /// `all`, `exists`.
    Quantifier(Box<Macro>),
    /// Any other macro.
    Macro(Box<Macro>),
    Bind(Box<Bind>),
    Equal(Box<[Node; 2]>),
    NotEqual(Box<[Node; 2]>),
    Call(Func, Box<[Node]>),
    Matches(Box<Node>, u32),
    InConst(Box<Node>, Box<[Const]>),
    /// `isOpaque`: the variable that it asks about, if it is one, and what is asked about.
    IsOpaque(Box<(Option<u16>, Node)>),
    /// A condition that may be decided in one go, and the same condition for when it is not.
    Condition(Box<(Condition, Node)>),
    /// A value that may be found in one go, and the same for when it is not.
    Read(Box<(Reading, Node)>),
    /// A condition that is watched.
    Watched(Box<(Arc<Seen>, Node)>),
    /// A node whose values are recorded.
    Traced(Box<(Arc<Values>, Node)>),
}

/// Chained accesses.
#[derive(Debug)]
pub(super) struct AccessPath {
    pub(super) base: Node,
    pub(super) steps: Box<[Access]>,
}

/// `.name` or `.?name`.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) name: Name,
    pub(super) optional: bool,
}

/// [`ir::Macro`].
#[derive(Debug)]
pub(super) struct Macro {
    pub(super) kind: MacroKind,
    pub(super) range: Node,
    pub(super) slot: u16,
    pub(super) slot2: Option<u16>,
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
    /// Whether the body reads the place of an element too, and so decides by how many there are.
    pub(super) reads_place: bool,
}

/// [`ir::Bind`].
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) slot: u16,
    pub(super) init: Node,
    pub(super) body: Node,
}

impl Prepared {
    /// Prepares an expression. `shared`: the shared expressions that it may use.
    pub(super) fn new(cel: &Cel, shared: &[Prepared], watching: Watching) -> Self {
        let depth = cel.expr.depth_with(&|node| match node {
            // One that does not exist, or would use itself, nests without end.
            Expr::Shared(index) => shared.get(*index as usize).map_or(u32::MAX, |shared| shared.depth),
            _ => 0,
        });
        let watch = Watch::over(&cel.expr, watching);
        let root = value(&cel.expr, watch.as_ref().map_or(Making::Whole, Making::Watched));
        let (parts, traced) = watch.map(Watch::finish).unwrap_or_default();
        Self { root, slots: cel.slots, depth, parts, traced }
    }

    /// The watched parts, in the order of their positions.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The traced nodes, in the order of their positions.
    #[must_use]
    pub fn traced(&self) -> &[Traced] {
        &self.traced
    }
}

/// How nodes are made.
#[derive(Clone, Copy)]
enum Making<'w> {
    /// Conditions are decided in one go where they can be.
    Whole,
    /// Only single tests are: for the nodes of a condition that could not be.
    Tests,
    /// Nothing is.
    Watched(&'w Watch),
}

/// A node where a boolean is expected.
fn condition(expr: &Expr, making: Making<'_>) -> Node {
    let condition = match making {
        Making::Watched(watch) => return watch.condition(expr, plain(expr, making)),
        Making::Whole => Condition::of(expr),
        Making::Tests => Condition::of_test(expr),
    };
    match condition {
        Some(condition) => Node::Condition(Box::new((condition, plain(expr, Making::Tests)))),
        None => plain(expr, making),
    }
}

/// A node where any value is expected; that of a condition is still a boolean.
fn value(expr: &Expr, making: Making<'_>) -> Node {
    if gives_boolean(expr) {
        return condition(expr, making);
    }
    let made = plain(expr, making);
    if let Making::Watched(watch) = making {
        return watch.value(expr, made);
    }
    match Reading::of_path(expr) {
        Some(reading) => Node::Read(Box::new((reading, made))),
        None => made,
    }
}

/// A node without a [`Condition`] or a [`Reading`] of its own.
fn plain(expr: &Expr, making: Making<'_>) -> Node {
    let value = |expr: &Expr| value(expr, making);
    let condition = |expr: &Expr| condition(expr, making);
    let pair = |left: &Expr, right: &Expr| Box::new([value(left), value(right)]);
    let conditions = |operands: &[Expr]| operands.iter().map(condition).collect();
    match expr {
        Expr::Const(constant) => Node::Const(constant.clone()),
        Expr::Root(root) => Node::Root(*root),
        Expr::Slot(slot) => Node::Slot(*slot),
        Expr::Shared(index) => Node::Shared(*index),
        Expr::PodContainers(which) => Node::PodContainers(*which),
        Expr::Select(..) | Expr::OptSelect(..) => {
            let (base, steps) = match making {
                Making::Watched(watch) if watch.is_tracing() => one_access(expr),
                _ => accesses(expr),
            };
            Node::Access(Box::new(AccessPath { base: value(base), steps: steps.into() }))
        }
        Expr::Has(operand, field) => Node::Has(Box::new((value(operand), Name::new(field)))),
        Expr::Index(operand, index) => Node::Index(pair(operand, index)),
        Expr::OptIndex(operand, index) => Node::OptIndex(pair(operand, index)),
        Expr::And(operands) => Node::And(conditions(operands)),
        Expr::Or(operands) => Node::Or(conditions(operands)),
        Expr::Not(operand) => Node::Not(Box::new(condition(operand))),
        Expr::Cond(test, then, otherwise) => {
            Node::Cond(Box::new([condition(test), value(then), value(otherwise)]))
        }
        Expr::List(items) => {
            Node::List(items.iter().map(|(item, optional)| (value(item), *optional)).collect())
        }
        Expr::Map(entries) => {
            let entry = |(key, of, optional): &(Expr, Expr, bool)| (value(key), value(of), *optional);
            Node::Map(entries.iter().map(entry).collect())
        }
        Expr::Macro(of) => over(of, making),
        Expr::Bind(bind) => {
            Node::Bind(Box::new(Bind { slot: bind.slot, init: value(&bind.init), body: value(&bind.body) }))
        }
        Expr::Call(function, args) => match (function, args.as_slice()) {
            (Func::Equal, [left, right]) => Node::Equal(pair(left, right)),
            (Func::NotEqual, [left, right]) => Node::NotEqual(pair(left, right)),
            (Func::IsOpaque, [only @ Expr::Slot(slot)]) => {
                Node::IsOpaque(Box::new((Some(*slot), value(only))))
            }
            (Func::IsOpaque, [only]) => Node::IsOpaque(Box::new((None, value(only)))),
            _ => Node::Call(*function, args.iter().map(value).collect()),
        },
        Expr::Matches(operand, regex) => Node::Matches(Box::new(value(operand)), *regex),
        Expr::InConst(operand, constants) => {
            Node::InConst(Box::new(value(operand)), constants.as_slice().into())
        }
    }
}

fn over(of: &ir::Macro, making: Making<'_>) -> Node {
    let value = |expr: &Expr| value(expr, making);
    let condition = |expr: &Expr| condition(expr, making);
    let decides = matches!(of.kind, MacroKind::All | MacroKind::Exists);
    let tests = decides || matches!(of.kind, MacroKind::ExistsOne | MacroKind::Filter);
    let made = Box::new(Macro {
        kind: of.kind,
        range: value(&of.range),
        slot: of.slot,
        slot2: of.slot2,
        filter: of.filter.as_ref().map(condition),
        body: if tests { condition(&of.body) } else { value(&of.body) },
        reads_place: of.slot2.is_some() && reads(&of.body, of.slot),
    });
    if decides { Node::Quantifier(made) } else { Node::Macro(made) }
}

/// Whether an expression reads a variable.
fn reads(expr: &Expr, slot: u16) -> bool {
    let mut found = false;
    expr.walk(&mut |node| found |= matches!(node, Expr::Slot(known) if *known == slot));
    found
}

/// Only the last access of a path, so that the values of the others are also seen.
fn one_access(path: &Expr) -> (&Expr, Vec<Access>) {
    match path {
        Expr::Select(operand, field) => (operand, vec![Access { name: Name::new(field), optional: false }]),
        Expr::OptSelect(operand, field) => (operand, vec![Access { name: Name::new(field), optional: true }]),
        _ => (path, Vec::new()),
    }
}

/// Splits a path: its start, and its accesses in the order in which they are made.
pub(super) fn accesses(path: &Expr) -> (&Expr, Vec<Access>) {
    let mut steps = Vec::new();
    let mut here = path;
    while let Expr::Select(operand, field) | Expr::OptSelect(operand, field) = here {
        steps.push(Access { name: Name::new(field), optional: matches!(here, Expr::OptSelect(..)) });
        here = operand;
    }
    steps.reverse();
    (here, steps)
}
