//! Macros: they look like calls, but bind variables or examine the form of their argument.
//!
//! <https://github.com/google/cel-spec/blob/master/doc/langdef.md#macros>, cel-go's two-variable
//! comprehensions, bindings, optionals and `sortBy`.

use bailiwick_policy::ir::{Bind, Expr, Macro, MacroKind};

use super::ast::{Ast, Name, Node, Span};
use super::check::{Checker, Local, Typed};
use super::context::Dialect;
use super::error::{CelError, CelErrorKind};
use super::types::Type;

/// The names of all macros.
pub(super) const NAMES: &[&str] = &[
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "optMap",
    "optFlatMap",
    "sortBy",
    "cel.bind",
];

/// How a comprehension's arguments are laid out after its variables.
pub(super) struct Shape {
    pub(super) kind: MacroKind,
    /// How many variables come first.
    pub(super) variables: usize,
    pub(super) filtered: usize,
}

/// The comprehension of this name with this many arguments.
pub(super) fn shape(name: &str, arguments: usize) -> Option<Shape> {
    use MacroKind::{
        All, Exists, ExistsOne, Filter, Map, OptFlatMap, OptMap, SortBy, TransformMap, TransformMapEntry,
    };
    let (kind, variables, filtered) = match (name, arguments) {
        ("all", 2) => (All, 1, 0),
        ("all", 3) => (All, 2, 0),
        ("exists", 2) => (Exists, 1, 0),
        ("exists", 3) => (Exists, 2, 0),
        ("exists_one" | "existsOne", 2) => (ExistsOne, 1, 0),
        ("exists_one" | "existsOne", 3) => (ExistsOne, 2, 0),
        ("map", 2) => (Map, 1, 0),
        ("map", 3) => (Map, 1, 1),
        ("filter", 2) => (Filter, 1, 0),
        ("transformList", 3) => (Map, 2, 0),
        ("transformList", 4) => (Map, 2, 1),
        ("transformMap", 3) => (TransformMap, 2, 0),
        ("transformMap", 4) => (TransformMap, 2, 1),
        ("transformMapEntry", 3) => (TransformMapEntry, 2, 0),
        ("transformMapEntry", 4) => (TransformMapEntry, 2, 1),
        ("optMap", 2) => (OptMap, 1, 0),
        ("optFlatMap", 2) => (OptFlatMap, 1, 0),
        ("sortBy", 2) => (SortBy, 1, 0),
        _ => return None,
    };
    Some(Shape { kind, variables, filtered })
}

impl Checker<'_> {
    /// Expands a macro; `None` if the call is not one.
    pub(super) fn expand(
        &mut self,
        target: Option<&Ast>,
        name: &Name,
        arguments: &[Ast],
        span: Span,
    ) -> Option<Typed> {
        let Some(target) = target else {
            return (name.text == "has").then(|| self.has(arguments, span));
        };
        let bind = matches!(&target.node, Node::Ident(root) if root == "cel" && !self.is_local(root))
            && name.text == "bind";
        if bind && self.context.dialect == Dialect::ApiServer {
            return Some(self.type_error(span, "the API server has no `cel.bind`"));
        }
        if bind {
            return Some(self.bind(arguments, span));
        }
        let shape = shape(&name.text, arguments.len())?;
        Some(self.comprehension(&shape, target, &name.text, arguments))
    }

    fn has(&mut self, arguments: &[Ast], span: Span) -> Typed {
        let [Ast { node: Node::Select(operand, field), .. }] = arguments else {
            return self.report(
                CelError::new(
                    CelErrorKind::Type,
                    span.start,
                    span.end - span.start,
                    "`has` needs one field selection",
                )
                .help("write `has(object.field)`"),
            );
        };
        self.must_be_declared(operand, field);
        let operand = self.looked_up_in(operand);
        self.field_type(&operand.of, field);
        Typed::new(Expr::Has(Box::new(operand.expr), field.text.clone()), Type::Bool)
    }

    fn bind(&mut self, arguments: &[Ast], span: Span) -> Typed {
        let [variable, init, body] = arguments else {
            return self.type_error(span, "`cel.bind` takes a name, its value and an expression");
        };
        let Some(variable) = self.variable(variable) else { return Typed::error() };
        let init = self.node(init);
        let slot = self.enter(variable, init.of);
        let body = self.node(body);
        self.locals.pop();
        Typed::new(Expr::Bind(Box::new(Bind { slot, init: init.expr, body: body.expr })), body.of)
    }

    /// The name that an argument declares.
    fn variable(&mut self, ast: &Ast) -> Option<String> {
        match &ast.node {
            Node::Ident(name) if !name.starts_with('.') => Some(name.clone()),
            _ => {
                self.type_error(ast.span, "this must be the name of a variable");
                None
            }
        }
    }

    /// Makes a variable visible; returns its slot.
    fn enter(&mut self, name: String, of: Type) -> u16 {
        let slot = u16::try_from(self.locals.len()).unwrap_or(u16::MAX);
        self.locals.push(Local { name, of: Typed::new(Expr::Slot(slot), of).of });
        self.slots = self.slots.max(slot.saturating_add(1));
        slot
    }

    fn comprehension(&mut self, shape: &Shape, target: &Ast, name: &str, arguments: &[Ast]) -> Typed {
        let range = self.node(target);
        let Some((first, second)) = self.elements(shape, &range.of) else {
            return self.type_error(target.span, format!("`{name}` does not work on {}", range.of));
        };
        let (names, rest) = arguments.split_at_checked(shape.variables).unwrap_or_default();
        let (filters, bodies) = rest.split_at_checked(shape.filtered).unwrap_or_default();
        let names: Vec<String> = names.iter().filter_map(|name| self.variable(name)).collect();
        let [body] = bodies else { return Typed::error() };
        if names.len() != shape.variables {
            return Typed::error();
        }
        if let [one, other] = names.as_slice()
            && one == other
        {
            return self.type_error(target.span.to(body.span), format!("both variables are called `{one}`"));
        }
        let depth = self.locals.len();
        let mut slots = names.into_iter().zip([first, second]).map(|(name, of)| self.enter(name, of));
        let slot = slots.next().unwrap_or_default();
        let slot2 = slots.next();
        drop(slots);
        let filter = filters.first().map(|filter| self.condition(filter, name));
        let lowered = self.node(body);
        self.locals.truncate(depth);
        let of = self.outcome(shape, name, &range.of, &lowered.of, body.span);
        let lowered = Macro { kind: shape.kind, range: range.expr, slot, slot2, filter, body: lowered.expr };
        Typed::new(Expr::Macro(Box::new(lowered)), of)
    }

    /// The types of a comprehension's variables over a value of this type.
    fn elements(&self, shape: &Shape, range: &Type) -> Option<(Type, Type)> {
        let optional = matches!(shape.kind, MacroKind::OptMap | MacroKind::OptFlatMap);
        Some(match (range, optional, shape.variables) {
            (Type::Dyn, ..) => (Type::Dyn, Type::Dyn),
            (Type::Optional(inner), true, _) => ((**inner).clone(), Type::Dyn),
            (_, true, _) => return None,
            (Type::List(element), _, 2) => (Type::Int, (**element).clone()),
            (Type::List(element), ..) => ((**element).clone(), Type::Dyn),
            // `sortBy` is for lists only.
            _ if shape.kind == MacroKind::SortBy => return None,
            (Type::Map(key, value), ..) => ((**key).clone(), (**value).clone()),
            (Type::Object(_), ..) => (Type::String, Type::Dyn),
            _ => return None,
        })
    }

    /// The type of a comprehension, given those of its range and of its body.
    fn outcome(&mut self, shape: &Shape, name: &str, range: &Type, body: &Type, span: Span) -> Type {
        let key = match range {
            Type::List(_) => Type::Int,
            Type::Map(key, _) => (**key).clone(),
            Type::Object(_) => Type::String,
            _ => Type::Dyn,
        };
        match shape.kind {
            MacroKind::All | MacroKind::Exists | MacroKind::ExistsOne | MacroKind::Filter
                if !body.fits(&Type::Bool) =>
            {
                self.type_error(span, format!("`{name}` needs bool, this is {body}")).of
            }
            MacroKind::All | MacroKind::Exists | MacroKind::ExistsOne => Type::Bool,
            MacroKind::Filter => match range {
                Type::List(_) => range.clone(),
                _ => Type::list(key),
            },
            MacroKind::Map => Type::list(body.clone()),
            MacroKind::TransformMap => Type::map(key, body.clone()),
            MacroKind::TransformMapEntry => match body {
                Type::Map(..) | Type::Dyn => body.clone(),
                other => {
                    self.type_error(span, format!("`{name}` needs a map of one entry, this is {other}")).of
                }
            },
            MacroKind::OptMap => Type::optional(body.clone()),
            MacroKind::OptFlatMap => match body {
                Type::Optional(_) => body.clone(),
                Type::Dyn => Type::optional(Type::Dyn),
                other => self.type_error(span, format!("`{name}` needs an optional, this is {other}")).of,
            },
            MacroKind::SortBy => range.clone(),
        }
    }
}
