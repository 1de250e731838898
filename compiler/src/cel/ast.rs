//! The syntax tree of one expression, in types of our own: as the author wrote it, macros not expanded, with
//! spans.
//!
//! Not the parser's tree (that one is dropped on the parser's thread), and not yet resolved: names are
//! strings here.

use bailiwick_policy::ir::{Const, Func};

/// A byte range of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// The smallest span around both.
    pub(super) fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A name and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) span: Span,
}

/// A node with its span.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ast {
    pub(super) span: Span,
    pub(super) node: Node,
}

/// The kinds of nodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// A scalar literal.
    Literal(Const),
    /// A bare name; a leading dot (absolute name) is kept.
    Ident(String),
    /// `operand.field`.
    Select(Box<Ast>, Name),
    /// `operand.?field`.
    OptSelect(Box<Ast>, Name),
    /// `operand[index]`.
    Index(Box<Ast>, Box<Ast>),
    /// `operand[?index]`.
    OptIndex(Box<Ast>, Box<Ast>),
    /// `a && b && …`, flattened.
    And(Vec<Ast>),
    /// `a || b || …`, flattened.
    Or(Vec<Ast>),
    /// `!a`.
    Not(Box<Ast>),
    /// `a ? b : c`.
    Cond(Box<Ast>, Box<Ast>, Box<Ast>),
    /// A list; each element with whether it is optional.
    List(Vec<(Ast, bool)>),
    /// A map; each entry with whether it is optional.
    Map(Vec<(Ast, Ast, bool)>),
    /// `name{field: value, …}`; each field with whether it is optional.
    Message(String, Vec<(String, Ast, bool)>),
    /// An operator.
    Operator(Func, Vec<Ast>),
    /// `name(args)` or `target.name(args)`; macros too.
    Call(Option<Box<Ast>>, Name, Vec<Ast>),
}

impl Ast {
    /// `a.b.c` as a dotted name, if the node consists only of names.
    pub(super) fn dotted(&self) -> Option<String> {
        match &self.node {
            Node::Ident(name) => Some(name.trim_start_matches('.').to_owned()),
            Node::Select(operand, field) => Some(format!("{}.{}", operand.dotted()?, field.text)),
            _ => None,
        }
    }

    /// The first name of a dotted name.
    pub(super) fn root(&self) -> Option<&str> {
        match &self.node {
            Node::Ident(name) => Some(name),
            Node::Select(operand, _) => operand.root(),
            _ => None,
        }
    }
}
