//! regorus' syntax tree, traversed once: which functions each rule calls, and which documents and rules it
//! reads.
//!
//! The tree's types are regorus' own and unstable (`unstable`): only this file and [`super::sites`] know their
//! shape.

use std::collections::BTreeMap;
use std::ops::Range;

use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleBody, RuleHead, Span};

/// Deepest expression, including chains of operators and selectors.
const MAX_DEPTH: usize = 64;

/// A module as the checks see it.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Components of its package.
    pub(super) package: Vec<String>,
    pub(super) imports: Vec<Import>,
    pub(super) rules: Vec<RuleOf>,
    /// Where an expression is deeper than [`MAX_DEPTH`].
    pub(super) too_deep: Option<Range<usize>>,
    /// Where a default is neither constant nor a comprehension.
    pub(super) computed_default: Option<Range<usize>>,
}

/// `import input.object as pod`.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// Its name in the module.
    pub(super) name: String,
    pub(super) bytes: Range<usize>,
}

/// One definition of a rule. A name may have several.
#[derive(Debug)]
pub(super) struct RuleOf {
    /// First component of its name: `deny`.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The number of a function's parameters.
    pub(super) arity: usize,
    /// The bytes of its head.
    pub(super) bytes: Range<usize>,
    pub(super) uses: Vec<Use>,
}

/// What a definition contributes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A set: `deny contains msg`, `deny[msg]`.
    Set(Key),
    /// A value or an object.
    Value,
    /// A function.
    Function,
}

/// How an element of a set is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `{"msg": …}`, with the names of its members.
    Object(Vec<String>),
    /// A number, a list, a set, a boolean, null.
    NoMessage,
    /// Anything that may be a message.
    Open,
}

/// What a definition uses.
#[derive(Debug)]
pub(super) enum Use {
    /// A call; for each argument, its text if it is a literal.
    Call { name: String, arguments: Vec<Option<String>>, bytes: Range<usize> },
    /// A name and the selections on it.
    Reference { root: String, steps: Vec<Step>, bytes: Range<usize> },
    /// `with …`.
    With { bytes: Range<usize> },
}

/// One selection: `.spec`, `["spec"]`, `[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    Any,
}

pub(super) fn bytes(span: &Span) -> Range<usize> {
    let at = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    at(span.start)..at(span.end)
}

impl Tree {
    pub(super) fn of(module: &Module) -> Self {
        let mut tree = Self { package: path(&module.package.refr), ..Self::default() };
        tree.imports = module
            .imports
            .iter()
            .map(|import| {
                let path = path(&import.refr);
                let name = match &import.r#as {
                    Some(name) => name.text().to_owned(),
                    None => path.last().cloned().unwrap_or_default(),
                };
                Import { path, name, bytes: bytes(import.refr.span()) }
            })
            .collect();
        for rule in &module.policy {
            let mut walk = Walk::default();
            let (head, kind) = walk.rule(rule);
            let name = path(head).into_iter().next().unwrap_or_default();
            let arity = match &**rule {
                Rule::Spec { head: RuleHead::Func { args, .. }, .. } | Rule::Default { args, .. } => {
                    args.len()
                }
                Rule::Spec { .. } => 0,
            };
            tree.rules.push(RuleOf { name, kind, arity, bytes: bytes(head.span()), uses: walk.uses });
            tree.too_deep = tree.too_deep.take().or(walk.too_deep);
            if let Rule::Default { args, value, .. } = &**rule
                && args.is_empty()
                && let Some(computed) = computed(value)
            {
                tree.computed_default.get_or_insert_with(|| bytes(computed.span()));
            }
        }
        tree
    }

    /// The definitions of a name, by name.
    pub(super) fn by_name(&self) -> BTreeMap<&str, Vec<&RuleOf>> {
        let mut out: BTreeMap<&str, Vec<&RuleOf>> = BTreeMap::new();
        for rule in &self.rules {
            out.entry(&rule.name).or_default().push(rule);
        }
        out
    }
}

/// The literal components of a reference, from its root to the first computed one.
fn path(expr: &Expr) -> Vec<String> {
    let (root, steps) = chain(expr);
    let Expr::Var { span, .. } = root else { return Vec::new() };
    let members = steps.into_iter().map_while(|(step, _)| match step {
        Step::Member(name) => Some(name),
        Step::Any => None,
    });
    std::iter::once(span.text().to_owned()).chain(members).collect()
}

/// The root of a reference and its selections, with the expression of each one in brackets.
pub(super) fn chain(expr: &Expr) -> (&Expr, Vec<(Step, Option<&Expr>)>) {
    let (mut root, mut steps) = (expr, Vec::new());
    loop {
        match root {
            Expr::RefDot { refr, field, .. } => {
                steps.push((Step::Member(field.0.text().to_owned()), None));
                root = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                let step = text(index).map_or(Step::Any, Step::Member);
                steps.push((step, Some(&**index)));
                root = refr;
            }
            _ => break,
        }
    }
    steps.reverse();
    (root, steps)
}

/// The text of a string literal.
fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| text.to_string())
        }
        _ => None,
    }
}

/// The part of a default that may be undefined. regorus rejects such a default, but not before it evaluates it.
fn computed(value: &Expr) -> Option<&Expr> {
    match value {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::ArrayCompr { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. } => None,
        Expr::UnaryExpr { expr, .. } if matches!(&**expr, Expr::Number { .. }) => None,
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().find_map(|one| computed(one)),
        Expr::Object { fields, .. } => {
            fields.iter().flat_map(|(_, key, value)| [key, value]).find_map(|one| computed(one))
        }
        other => Some(other),
    }
}

fn key(expr: Option<&Ref<Expr>>) -> Key {
    match expr.map(|one| &**one) {
        Some(Expr::Object { fields, .. }) => {
            Key::Object(fields.iter().filter_map(|(_, key, _)| text(key)).collect())
        }
        Some(
            Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Array { .. }
            | Expr::Set { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::Membership { .. },
        ) => Key::NoMessage,
        _ => Key::Open,
    }
}

#[derive(Default)]
struct Walk {
    uses: Vec<Use>,
    too_deep: Option<Range<usize>>,
}

impl Walk {
    fn rule<'r>(&mut self, rule: &'r Rule) -> (&'r Expr, Kind) {
        match rule {
            Rule::Default { refr, args, value, .. } => {
                args.iter().chain([value]).for_each(|one| self.expr(one, 0));
                (&**refr, if args.is_empty() { Kind::Value } else { Kind::Function })
            }
            Rule::Spec { head, bodies, .. } => {
                for RuleBody { assign, query, .. } in bodies {
                    assign.iter().for_each(|assign| self.expr(&assign.value, 0));
                    self.query(query, 0);
                }
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.selections(refr);
                        assign.iter().for_each(|assign| self.expr(&assign.value, 0));
                        (&**refr, Kind::Value)
                    }
                    RuleHead::Set { refr, key: element, .. } => {
                        self.selections(refr);
                        element.iter().for_each(|element| self.expr(element, 0));
                        // `deny.images contains msg` makes an object of sets.
                        let plain = chain(refr).1.is_empty();
                        (&**refr, if plain { Kind::Set(key(element.as_ref())) } else { Kind::Value })
                    }
                    RuleHead::Func { refr, args, assign, .. } => {
                        args.iter().for_each(|one| self.expr(one, 0));
                        assign.iter().for_each(|assign| self.expr(&assign.value, 0));
                        (&**refr, Kind::Function)
                    }
                }
            }
        }
    }

    /// The contents of the brackets in a head: `labels[key]`.
    fn selections(&mut self, head: &Expr) {
        chain(head).1.into_iter().filter_map(|(_, index)| index).for_each(|index| self.expr(index, 0));
    }

    fn query(&mut self, query: &Query, depth: usize) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value, collection]).for_each(|one| self.expr(one, depth));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr, depth),
                Literal::Every { domain, query, .. } => {
                    self.expr(domain, depth);
                    self.query(query, depth + 1);
                }
            }
            for with in &statement.with_mods {
                self.uses.push(Use::With { bytes: bytes(&with.span) });
            }
        }
    }

    fn expr(&mut self, expr: &Expr, depth: usize) {
        if depth > MAX_DEPTH {
            self.too_deep.get_or_insert_with(|| bytes(expr.span()));
            return;
        }
        let depth = depth + 1;
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr, depth),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|one| self.expr(one, depth));
            }
            Expr::Object { fields, .. } => {
                fields.iter().flat_map(|(_, key, value)| [key, value]).for_each(|one| self.expr(one, depth));
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term, depth);
                self.query(query, depth);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                [key, value].into_iter().for_each(|one| self.expr(one, depth));
                self.query(query, depth);
            }
            Expr::Call { fcn, params, span, .. } => {
                let arguments = params.iter().map(|one| text(one)).collect();
                self.uses.push(Use::Call { name: path(fcn).join("."), arguments, bytes: bytes(span) });
                self.selections(fcn);
                params.iter().for_each(|one| self.expr(one, depth));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr, depth),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                [lhs, rhs].into_iter().for_each(|one| self.expr(one, depth));
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|one| self.expr(one, depth));
            }
        }
    }

    fn reference(&mut self, expr: &Expr, depth: usize) {
        let (root, steps) = chain(expr);
        if depth + steps.len() > MAX_DEPTH {
            self.too_deep.get_or_insert_with(|| bytes(expr.span()));
            return;
        }
        let (steps, indices): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        match root {
            Expr::Var { span, .. } => {
                let root = span.text().to_owned();
                self.uses.push(Use::Reference { root, steps, bytes: bytes(expr.span()) });
            }
            _ => self.expr(root, depth),
        }
        indices.into_iter().flatten().for_each(|index| self.expr(index, depth));
    }
}
