//! The walk over an expression. The cost of each node follows cel-go's `coster`, form by form; the costs of
//! calls are in [`super::functions`], those of macros in [`super::macros`].

use bailiwick_policy::ir::{Const, Func};

use super::super::ast::{Ast, Name, Node, Span};
use super::super::check::Types;
use super::super::types::Type;
use super::Sizes;
use super::functions::{self, Called};
use super::range::{LIST, MAP, MESSAGE, ONE, Range};

/// Sizes of the contents of a list or a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entries {
    /// The size of a map's keys; for a list's indices, one.
    pub(super) key: Range,
    /// The size of elements or values.
    pub(super) value: Range,
}

impl Entries {
    fn union(self, other: Self) -> Self {
        Self { key: self.key.union(other.key), value: self.value.union(other.value) }
    }
}

/// The entries of both, if both are known.
pub(super) fn both(one: Option<Entries>, other: Option<Entries>) -> Option<Entries> {
    Some(one?.union(other?))
}

/// What is known about a node.
#[derive(Clone, Debug)]
pub(super) struct Costed {
    pub(super) cost: Range,
    /// `None` if unlimited.
    pub(super) size: Option<Range>,
    pub(super) entries: Option<Entries>,
    pub(super) place: Option<Vec<String>>,
    pub(super) of: Type,
}

impl Costed {
    pub(super) fn size(&self) -> Range {
        self.size.unwrap_or(Range::ANY)
    }

    /// The place of something within it.
    pub(super) fn within(&self, step: &str) -> Option<Vec<String>> {
        let mut place = self.place.clone()?;
        place.push(step.to_owned());
        Some(place)
    }
}

/// A variable that a macro binds.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) place: Option<Vec<String>>,
    pub(super) size: Option<Range>,
    pub(super) entries: Option<Entries>,
}

/// A loop or a call, which may cost much.
#[derive(Clone, Debug)]
pub(super) struct Heavy {
    pub(super) span: Span,
    pub(super) is_loop: bool,
    /// The number of loops around it.
    pub(super) depth: usize,
    /// The most that it costs; for a call without its operands.
    pub(super) cost: u64,
    /// What makes it cost by its size.
    pub(super) over: Span,
    pub(super) place: Option<Vec<String>>,
    pub(super) of: Type,
}

/// The state of a walk.
pub(super) struct Walk<'w> {
    types: &'w Types,
    pub(super) sizes: &'w dyn Sizes,
    pub(super) variables: Vec<Variable>,
    /// Each loop over a range and each call, if they are asked for.
    heavy: Option<Vec<Heavy>>,
    /// The number of loops around the current node.
    pub(super) depth: usize,
}

impl<'w> Walk<'w> {
    pub(super) fn new(types: &'w Types, sizes: &'w dyn Sizes) -> Self {
        Self { types, sizes, variables: Vec::new(), heavy: None, depth: 0 }
    }

    /// Walks over an expression and returns its loops and calls.
    pub(super) fn heavy(mut self, ast: &Ast) -> Vec<Heavy> {
        self.heavy = Some(Vec::new());
        self.node(ast);
        self.heavy.unwrap_or_default()
    }

    /// Keeps a loop or a call, if they are asked for.
    pub(super) fn note(&mut self, one: impl FnOnce(usize) -> Heavy) {
        let depth = self.depth;
        if let Some(heavy) = &mut self.heavy {
            heavy.push(one(depth));
        }
    }

    pub(super) fn of(&self, ast: &Ast) -> Type {
        self.types.of(ast)
    }

    /// The size of a value that has none of its own: by its place, then by its type.
    pub(super) fn known(&self, place: Option<&[String]>, of: &Type) -> Option<Range> {
        self.sizes.of(place, of).or_else(|| is_scalar(of).then_some(ONE))
    }

    fn costed(&self, ast: &Ast, cost: Range, size: Option<Range>) -> Costed {
        let of = self.of(ast);
        let size = size.or_else(|| self.known(None, &of));
        Costed { cost, size, entries: None, place: None, of }
    }

    pub(super) fn node(&mut self, ast: &Ast) -> Costed {
        match &ast.node {
            Node::Literal(value) => self.costed(ast, Range::ZERO, size_of(value)),
            Node::Ident(name) => self.ident(ast, name),
            Node::Select(operand, field) => self.select(ast, operand, field),
            Node::OptSelect(operand, _) => {
                let operand = self.node(operand);
                self.costed(ast, operand.cost.add(ONE), None)
            }
            Node::Index(operand, index) => self.index(ast, operand, index),
            Node::OptIndex(operand, index) => {
                let cost = self.node(operand).cost.add(self.node(index).cost);
                self.costed(ast, cost.add(ONE), None)
            }
            Node::And(parts) | Node::Or(parts) => self.parts(ast, parts),
            Node::Not(operand) => {
                let operand = self.node(operand);
                self.costed(ast, operand.cost.add(ONE), None)
            }
            Node::Cond(condition, then, otherwise) => self.cond(ast, condition, then, otherwise),
            Node::List(items) => self.list(ast, items),
            Node::Map(entries) => self.map(ast, entries),
            Node::Message(_, fields) => self.message(ast, fields),
            Node::Operator(func, parts) => self.operator(ast, *func, parts),
            Node::Call(target, name, arguments) => self.call(ast, target.as_deref(), name, arguments),
        }
    }

    fn ident(&self, ast: &Ast, name: &str) -> Costed {
        let of = self.of(ast);
        let variable = self.variables.iter().rev().find(|variable| variable.name == name);
        let place = match variable {
            Some(variable) => variable.place.clone(),
            None => Some(vec![name.trim_start_matches('.').to_owned()]),
        };
        let size = self.known(place.as_deref(), &of).or_else(|| variable?.size);
        Costed { cost: ONE, size, entries: variable.and_then(|variable| variable.entries), place, of }
    }

    fn select(&mut self, ast: &Ast, operand: &Ast, field: &Name) -> Costed {
        let operand = self.node(operand);
        // As in cel-go: an operand that is not known to have fields costs nothing to select from.
        let has_fields = matches!(operand.of, Type::Map(..) | Type::Object(_));
        let cost = if has_fields { operand.cost.add(ONE) } else { operand.cost };
        let (place, of) = (operand.within(&field.text), self.of(ast));
        let size = self.known(place.as_deref(), &of);
        Costed { cost, size, entries: None, place, of }
    }

    fn index(&mut self, ast: &Ast, operand: &Ast, index: &Ast) -> Costed {
        let (operand, index) = (self.node(operand), self.node(index));
        let place = operand.within(if matches!(operand.of, Type::List(_)) { "@items" } else { "@values" });
        let of = self.of(ast);
        let inside = operand.entries.map(|entries| entries.value);
        let size = inside.or_else(|| self.known(place.as_deref(), &of));
        Costed { cost: operand.cost.add(index.cost).add(ONE), size, entries: None, place, of }
    }

    /// The first part is always evaluated; the others add only to the most.
    fn parts(&mut self, ast: &Ast, parts: &[Ast]) -> Costed {
        let costs: Vec<Range> = parts.iter().map(|part| self.node(part).cost).collect();
        let first = costs.first().map_or(0, |first| first.min);
        let all = costs.into_iter().fold(Range::ZERO, Range::add);
        self.costed(ast, Range::new(first, all.max), None)
    }

    fn cond(&mut self, ast: &Ast, condition: &Ast, then: &Ast, otherwise: &Ast) -> Costed {
        let condition = self.node(condition);
        let (then, otherwise) = (self.node(then), self.node(otherwise));
        let cost = condition.cost.add(then.cost.union(otherwise.cost));
        let mut costed = self.costed(ast, cost, Some(then.size().union(otherwise.size())));
        costed.entries = both(then.entries, otherwise.entries);
        costed
    }

    fn list(&mut self, ast: &Ast, items: &[(Ast, bool)]) -> Costed {
        let items: Vec<Costed> = items.iter().map(|(item, _)| self.node(item)).collect();
        let cost = items.iter().fold(LIST, |sum, item| sum.add(item.cost));
        let mut costed = self.costed(ast, cost, Some(Range::exactly(items.len() as u64)));
        costed.entries = Some(Entries { key: ONE, value: spanning(items.iter()) });
        costed
    }

    fn map(&mut self, ast: &Ast, entries: &[(Ast, Ast, bool)]) -> Costed {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (key, value, _) in entries {
            keys.push(self.node(key));
            values.push(self.node(value));
        }
        let cost = keys.iter().chain(&values).fold(MAP, |sum, part| sum.add(part.cost));
        let mut costed = self.costed(ast, cost, Some(Range::exactly(entries.len() as u64)));
        costed.entries = Some(Entries { key: spanning(keys.iter()), value: spanning(values.iter()) });
        costed
    }

    fn message(&mut self, ast: &Ast, fields: &[(String, Ast, bool)]) -> Costed {
        let cost = fields.iter().fold(MESSAGE, |sum, (_, value, _)| sum.add(self.node(value).cost));
        self.costed(ast, cost, None)
    }

    fn operator(&mut self, ast: &Ast, func: Func, parts: &[Ast]) -> Costed {
        let arguments: Vec<Costed> = parts.iter().map(|part| self.node(part)).collect();
        let called = functions::operator(func, &arguments);
        self.weigh(ast, called, parts.iter().zip(&arguments));
        let mut costed = self.finished(ast, called, None, &arguments);
        if let (Func::Add, [one, other]) = (func, arguments.as_slice()) {
            costed.entries = both(one.entries, other.entries);
        }
        costed
    }

    fn call(&mut self, ast: &Ast, target: Option<&Ast>, name: &Name, arguments: &[Ast]) -> Costed {
        if let Some(costed) = self.expanded(ast, target, name, arguments) {
            return costed;
        }
        // A target without a type was never checked: it is the first part of a function's name.
        let receiver = target.filter(|target| self.types.has(target));
        let function = match (target, receiver) {
            (Some(namespace), None) => format!("{}.{}", namespace.dotted().unwrap_or_default(), name.text),
            _ => name.text.trim_start_matches('.').to_owned(),
        };
        let receiver = receiver.map(|receiver| self.node(receiver));
        let given: Vec<Costed> = arguments.iter().map(|argument| self.node(argument)).collect();
        // `dyn` only removes a type.
        if let ("dyn", [argument]) = (function.as_str(), given.as_slice()) {
            return Costed { cost: argument.cost.add(ONE), of: Type::Dyn, place: None, ..argument.clone() };
        }
        let limit = arguments.get(1).and_then(|limit| match limit.node {
            // As cel-go converts it: a negative limit becomes a large one.
            Node::Literal(Const::Int(limit)) => Some(limit.cast_unsigned()),
            _ => None,
        });
        let called = functions::call(&function, receiver.as_ref(), &given, limit, self);
        let operands = target.zip(receiver.as_ref()).into_iter().chain(arguments.iter().zip(&given));
        self.weigh(ast, called, operands);
        self.finished(ast, called, receiver.as_ref(), &given)
    }

    /// Notes a call with its longest operand.
    fn weigh<'c>(
        &mut self,
        ast: &Ast,
        called: Called,
        operands: impl Iterator<Item = (&'c Ast, &'c Costed)>,
    ) {
        let Some((longest, costed)) = operands.max_by_key(|(_, costed)| costed.size().max) else { return };
        self.note(|depth| Heavy {
            span: ast.span,
            is_loop: false,
            depth,
            cost: called.cost.max,
            over: longest.span,
            place: costed.place.clone(),
            of: costed.of.clone(),
        });
    }

    fn finished(&self, ast: &Ast, called: Called, target: Option<&Costed>, arguments: &[Costed]) -> Costed {
        let given = target.into_iter().chain(arguments).fold(Range::ZERO, |sum, part| sum.add(part.cost));
        self.costed(ast, called.cost.add(given), called.size)
    }

    /// A node that a macro makes and that is not in the text.
    pub(super) fn made(
        &self,
        ast: &Ast,
        cost: Range,
        size: Option<Range>,
        entries: Option<Entries>,
    ) -> Costed {
        Costed { entries, ..self.costed(ast, cost, size) }
    }
}

/// The combined sizes of several nodes; zero for none.
fn spanning<'c>(of: impl Iterator<Item = &'c Costed>) -> Range {
    of.map(Costed::size).reduce(Range::union).unwrap_or(Range::ZERO)
}

/// The size of a literal: a scalar's is one.
fn size_of(value: &Const) -> Option<Range> {
    match value {
        Const::Str(text) => Some(Range::exactly(text.chars().count() as u64)),
        Const::Bytes(bytes) => Some(Range::exactly(bytes.len() as u64)),
        Const::List(_) | Const::Map(_) | Const::Type(_) => None,
        _ => Some(ONE),
    }
}

fn is_scalar(of: &Type) -> bool {
    match of {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        Type::Optional(inner) => is_scalar(inner),
        _ => false,
    }
}
