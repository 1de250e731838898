//! Resolves names, checks types and lowers, in one walk: each node gives its lowered form and its type.
//!
//! All errors of a text are collected: a node with an error counts as `dyn`, so that it causes no further
//! errors.

use std::collections::HashMap;

use bailiwick_policy::ir::{Const, Expr, Func, MAX_DEPTH};

use super::ast::{Ast, Node, Span};
use super::context::{Context, Dialect};
use super::error::{CelError, CelErrorKind};
use super::intern::Interner;
use super::types::Type;

/// A lowered node and its type.
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) of: Type,
}

impl Typed {
    pub(super) fn new(expr: Expr, of: Type) -> Self {
        Self { expr, of: if of == Type::Free { Type::Dyn } else { of } }
    }

    /// Stands for a node with an error: a call that no overload accepts. Evaluated only where nothing is
    /// checked.
    pub(super) fn error() -> Self {
        Self { expr: Expr::Call(Func::TypeOf, Vec::new()), of: Type::Dyn }
    }
}

/// A variable that a macro binds; its slot is its index in [`Checker::locals`].
pub(super) struct Local {
    pub(super) name: String,
    pub(super) of: Type,
}

/// The types of an expression's nodes, by their address in the checked tree, as long as that lives.
#[derive(Debug, Default)]
pub(super) struct Types(HashMap<*const Ast, Type>);

impl Types {
    /// The type of a node; `dyn` for a node that was not checked, such as the name of a variable that a macro
    /// binds.
    pub(super) fn of(&self, ast: &Ast) -> Type {
        self.0.get(&std::ptr::from_ref(ast)).cloned().unwrap_or(Type::Dyn)
    }

    /// Whether a node was checked as a value.
    pub(super) fn has(&self, ast: &Ast) -> bool {
        self.0.contains_key(&std::ptr::from_ref(ast))
    }
}

/// The state of one walk.
pub(super) struct Checker<'a> {
    pub(super) context: &'a Context,
    pub(super) interner: &'a mut Interner,
    pub(super) locals: Vec<Local>,
    pub(super) slots: u16,
    pub(super) errors: Vec<CelError>,
    /// The contents of list and map literals with several types, for the API server.
    mixed: Vec<Span>,
    /// Recorded on request.
    types: Option<Types>,
}

/// A whole expression that was checked and lowered.
pub(super) struct Checked {
    pub(super) expr: Expr,
    /// The number of slots that it needs.
    pub(super) slots: u16,
    pub(super) of: Type,
    /// Those of its nodes, if requested.
    pub(super) types: Types,
}

/// Checks and lowers a whole expression; `types`: records the types of its nodes.
pub(super) fn check(
    ast: &Ast,
    context: &Context,
    interner: &mut Interner,
    types: bool,
) -> Result<Checked, Vec<CelError>> {
    let types = types.then(Types::default);
    let mut checker = Checker::new(context, interner, types);
    let Typed { expr, of } = checker.node(ast);
    if checker.errors.is_empty() && !of.fits(&context.expected) {
        checker.type_error(ast.span, format!("must be {}, is {of}", context.expected));
    }
    // Folding and flattening only make it shallower than the text, whose depth was measured when it was
    // parsed.
    if expr.depth() > MAX_DEPTH {
        let span = ast.span;
        let message = format!("the expression is deeper than {MAX_DEPTH}");
        checker.report(CelError::new(CelErrorKind::Limit, span.start, span.end - span.start, message));
    }
    if checker.errors.is_empty() {
        return Ok(Checked { expr, slots: checker.slots, of, types: checker.types.unwrap_or_default() });
    }
    checker.errors.sort_by_key(|error| error.offset);
    Err(checker.errors)
}

/// The elements, keys and values of literals that the API server would reject because their types are mixed.
/// It would accept them if each were wrapped in `dyn(…)`, which changes no value.
pub(super) fn mixed(ast: &Ast, context: &Context) -> Vec<Span> {
    let mut interner = Interner::default();
    let mut checker = Checker::new(context, &mut interner, None);
    checker.node(ast);
    checker.mixed
}

impl<'a> Checker<'a> {
    fn new(context: &'a Context, interner: &'a mut Interner, types: Option<Types>) -> Self {
        let (locals, errors, mixed) = (Vec::new(), Vec::new(), Vec::new());
        Self { context, interner, locals, slots: 0, errors, mixed, types }
    }
}

impl Checker<'_> {
    pub(super) fn report(&mut self, error: CelError) -> Typed {
        let of_checking = matches!(error.kind, CelErrorKind::Reference | CelErrorKind::Type);
        if !(of_checking && self.is_unchecked()) {
            self.errors.push(error);
        }
        Typed::error()
    }

    /// Whether types are checked only at evaluation.
    pub(super) fn is_unchecked(&self) -> bool {
        self.context.dialect == Dialect::Unchecked
    }

    pub(super) fn type_error(&mut self, span: Span, message: impl Into<String>) -> Typed {
        self.report(CelError::new(CelErrorKind::Type, span.start, span.end - span.start, message))
    }

    pub(super) fn node(&mut self, ast: &Ast) -> Typed {
        let typed = self.checked(ast);
        if let Some(types) = &mut self.types {
            types.0.insert(std::ptr::from_ref(ast), typed.of.clone());
        }
        typed
    }

    fn checked(&mut self, ast: &Ast) -> Typed {
        match &ast.node {
            Node::Literal(value) => Typed::new(Expr::Const(value.clone()), type_of(value)),
            Node::Ident(name) => self.ident(name, ast.span),
            Node::Select(operand, name) => self.select(operand, name),
            Node::OptSelect(operand, name) => self.opt_select(operand, name),
            Node::Index(operand, index) => self.index(operand, index, ast.span),
            Node::OptIndex(operand, index) => self.opt_index(operand, index),
            Node::And(parts) => Typed::new(Expr::And(self.conditions(parts, "&&")), Type::Bool),
            Node::Or(parts) => Typed::new(Expr::Or(self.conditions(parts, "||")), Type::Bool),
            Node::Not(operand) => {
                let value = self.condition(operand, "!");
                Typed::new(super::fold::constant(Expr::Not(Box::new(value))), Type::Bool)
            }
            Node::Cond(condition, then, otherwise) => self.cond(condition, then, otherwise, ast.span),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Message(name, fields) => self.wrapper(name, fields, ast.span),
            Node::Operator(func, parts) => self.operator(*func, parts, ast.span),
            Node::Call(target, name, arguments) => self.call(target.as_deref(), name, arguments, ast.span),
        }
    }

    fn conditions(&mut self, parts: &[Ast], operator: &str) -> Vec<Expr> {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match (self.condition(part, operator), operator) {
                (Expr::And(inner), "&&") | (Expr::Or(inner), "||") => flat.extend(inner),
                (other, _) => flat.push(other),
            }
        }
        flat
    }

    /// A node that must be a boolean.
    pub(super) fn condition(&mut self, ast: &Ast, of_what: &str) -> Expr {
        let Typed { expr, of } = self.node(ast);
        if !of.fits(&Type::Bool) {
            self.type_error(ast.span, format!("`{of_what}` needs bool, this is {of}"));
        }
        expr
    }

    fn cond(&mut self, condition: &Ast, then: &Ast, otherwise: &Ast, span: Span) -> Typed {
        let condition = self.condition(condition, "? :");
        let then = self.node(then);
        let otherwise = self.node(otherwise);
        let joined = then.of.join(&otherwise.of).or(self.is_unchecked().then_some(Type::Dyn));
        let Some(of) = joined else {
            return self.type_error(
                span,
                format!("`? :` gives {} or {}: both must be of one type", then.of, otherwise.of),
            );
        };
        match condition {
            Expr::Const(Const::Bool(true)) => Typed::new(then.expr, of),
            Expr::Const(Const::Bool(false)) => Typed::new(otherwise.expr, of),
            condition => {
                let parts = (Box::new(condition), Box::new(then.expr), Box::new(otherwise.expr));
                Typed::new(Expr::Cond(parts.0, parts.1, parts.2), of)
            }
        }
    }

    /// The type of a literal's element joined with that of the elements before it.
    fn element(&mut self, so_far: Option<Type>, of: Type, span: Span, what: &str) -> Type {
        let Some(before) = so_far else { return of };
        // The API server requires one type, and a type known only at evaluation counts as a different one.
        let joined = match self.context.dialect {
            Dialect::ApiServer if !before.is_the_same(&of) => None,
            _ => before.join(&of),
        };
        joined.unwrap_or_else(|| {
            if self.context.dialect != Dialect::ApiServer {
                return Type::Dyn;
            }
            self.errors.push(
                CelError::new(
                    CelErrorKind::Type,
                    span.start,
                    span.end - span.start,
                    format!("{what} is {of}, those before it are {before}"),
                )
                .help("wrap each of them in `dyn(…)` if that is meant"),
            );
            Type::Dyn
        })
    }

    /// The type inside an element or entry written with `?`.
    fn unwrapped(&mut self, of: Type, optional: bool, span: Span) -> Type {
        match of {
            Type::Optional(inner) if optional => (*inner).clone(),
            of if !optional || of == Type::Dyn => of,
            of => self.type_error(span, format!("`?` needs an optional, this is {of}")).of,
        }
    }

    /// Records the parts of a literal if they have several types. `?element` must be visibly optional, so a
    /// literal with one stays as it is.
    fn mixes(&mut self, types: &[Type], parts: impl Iterator<Item = (Span, bool)>) {
        let same =
            types.windows(2).all(|pair| pair.first().zip(pair.last()).is_none_or(|(a, b)| a.is_the_same(b)));
        let (spans, optional): (Vec<Span>, Vec<bool>) = parts.unzip();
        if self.context.dialect == Dialect::ApiServer && !same && !optional.contains(&true) {
            self.mixed.extend(spans);
        }
    }

    fn list(&mut self, items: &[(Ast, bool)]) -> Typed {
        let (mut element, mut types) = (None, Vec::new());
        let mut lowered = Vec::with_capacity(items.len());
        for (item, optional) in items {
            let Typed { expr, of } = self.node(item);
            let of = self.unwrapped(of, *optional, item.span);
            types.push(of.clone());
            element = Some(self.element(element, of, item.span, "this element"));
            lowered.push((expr, *optional));
        }
        self.mixes(&types, items.iter().map(|(item, optional)| (item.span, *optional)));
        Typed::new(super::fold::list(lowered), Type::list(element.unwrap_or(Type::Free)))
    }

    fn map(&mut self, entries: &[(Ast, Ast, bool)]) -> Typed {
        let (mut keys, mut values) = (None, None);
        let (mut of_keys, mut of_values) = (Vec::new(), Vec::new());
        let mut lowered = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let lowered_key = self.node(key);
            if !matches!(lowered_key.of, Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::String) {
                self.type_error(
                    key.span,
                    format!("a map's key is bool, int, uint or string, this is {}", lowered_key.of),
                );
            }
            of_keys.push(lowered_key.of.clone());
            keys = Some(self.element(keys, lowered_key.of, key.span, "this key"));
            let lowered_value = self.node(value);
            let of = self.unwrapped(lowered_value.of, *optional, value.span);
            of_values.push(of.clone());
            values = Some(self.element(values, of, value.span, "this value"));
            lowered.push((lowered_key.expr, lowered_value.expr, *optional));
        }
        self.mixes(&of_keys, entries.iter().map(|(key, _, _)| (key.span, false)));
        self.mixes(&of_values, entries.iter().map(|(_, value, optional)| (value.span, *optional)));
        let of = Type::map(keys.unwrap_or(Type::Free), values.unwrap_or(Type::Free));
        Typed::new(super::fold::map(lowered), of)
    }

    fn operator(&mut self, func: Func, parts: &[Ast], span: Span) -> Typed {
        let arguments: Vec<Typed> = parts
            .iter()
            .enumerate()
            .map(|(at, part)| match (func, at) {
                (Func::In, 1) => self.looked_up_in(part),
                _ => self.node(part),
            })
            .collect();
        if let (Func::In, [key, whole], [lowered, _]) = (func, parts, arguments.as_slice()) {
            self.key_must_be_declared(whole, &lowered.expr, key.span);
        }
        let types: Vec<Type> = arguments.iter().map(|argument| argument.of.clone()).collect();
        let of = super::overloads::operator(func, &types).or(self.is_unchecked().then_some(Type::Dyn));
        let Some(of) = of else {
            let sign = func.name().trim_matches(|c| c == '_' || c == '@');
            let types: Vec<String> = types.iter().map(Type::to_string).collect();
            return self.type_error(span, format!("`{sign}` does not take {}", types.join(" and ")));
        };
        let arguments = arguments.into_iter().map(|argument| argument.expr).collect();
        Typed::new(super::fold::call(func, arguments), of)
    }
}

/// The type of a constant.
pub(super) fn type_of(value: &Const) -> Type {
    let joined = |types: Vec<Type>| {
        let mut types = types.into_iter();
        let first = types.next().unwrap_or(Type::Dyn);
        types.fold(first, |so_far, of| so_far.join(&of).unwrap_or(Type::Dyn))
    };
    match value {
        Const::Null => Type::Null,
        Const::Bool(_) => Type::Bool,
        Const::Int(_) => Type::Int,
        Const::Uint(_) => Type::Uint,
        Const::Double(_) => Type::Double,
        Const::Str(_) => Type::String,
        Const::Bytes(_) => Type::Bytes,
        Const::List(items) => Type::list(joined(items.iter().map(type_of).collect())),
        Const::Map(entries) => Type::map(
            joined(entries.iter().map(|(key, _)| type_of(key)).collect()),
            joined(entries.iter().map(|(_, value)| type_of(value)).collect()),
        ),
        Const::Type(_) => Type::Type,
    }
}
