//! Where a module does work whose size no step counts: the places that are written as charged calls before
//! evaluation ([`super::operators`]).
//!
//! regorus compares whole values in one step. It does so where a rule says it (`==`, `<`, `in`) and where no
//! operator is seen: a set finds an element's place, an object its key, a reference looks up what its brackets
//! hold, `=` matches two values, and definitions of one name must agree. Each such value goes through a call
//! that charges it. A literal of at most a kibibyte needs none, since a comparison with it ends
//! where it ends.
//!
//! Terms. *Bare name*: a variable by itself, in brackets (`a[k]`) or beside `=`. Rego gives it a value there
//! if nothing else does, so one place for each name stays as it is, and the others get the call: a name that
//! a call uses must have its value from elsewhere. That place is the first in its body that is not under `not`.

mod direct;
mod shape;

use std::collections::BTreeSet;
use std::ops::Range;

use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Rule, RuleAssign, RuleHead};

use direct::{Direct, turn};
use shape::{is_small, operation, place};

use super::operators::Operator;
use super::tree::{bytes, chain};
use super::{Fault, RegoError};

/// A place that becomes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) operator: Operator,
    /// From the first bracket around the left operand to the last one around the right operand.
    pub(super) whole: Range<usize>,
    /// The end of the operand before the operator, without brackets around it; of `set()`, where its last
    /// bracket may be. `None`: the whole becomes the argument.
    pub(super) left_end: Option<usize>,
}

/// The sites of a module, in the order of the text.
///
/// # Errors
/// Patterns that compare what cannot be charged.
pub(super) fn sites(module: &Module) -> Result<Vec<Site>, Vec<RegoError>> {
    let mut globals: BTreeSet<&str> = ["input", "data"].into();
    globals.extend(module.imports.iter().filter_map(|import| match &import.r#as {
        Some(name) => Some(name.text()),
        None => last_name(&import.refr),
    }));
    for rule in &module.policy {
        let (Rule::Spec { head: RuleHead::Compr { refr, .. }, .. }
        | Rule::Spec { head: RuleHead::Set { refr, .. }, .. }
        | Rule::Spec { head: RuleHead::Func { refr, .. }, .. }
        | Rule::Default { refr, .. }) = &**rule;
        if let (Expr::Var { span, .. }, _) = chain(refr) {
            globals.insert(span.text());
        }
    }
    let module_scope = Scope { defined: globals.clone(), bound: BTreeSet::new() };
    let mut walk = Walk { globals, sites: Vec::new(), errors: Vec::new() };
    module.policy.iter().for_each(|rule| walk.rule(rule, &module_scope));
    // A head is used by each of its bodies.
    walk.sites.sort_by_key(|site| (site.whole.start, site.whole.end, site.operator));
    walk.sites.dedup();
    if walk.errors.is_empty() { Ok(walk.sites) } else { Err(walk.errors) }
}

/// The name of an import without `as`.
fn last_name(path: &Expr) -> Option<&str> {
    match path {
        Expr::RefDot { field, .. } => Some(field.0.text()),
        Expr::RefBrack { index, .. } => match &**index {
            Expr::String { span, .. } => Some(span.text()),
            _ => None,
        },
        _ => None,
    }
}

/// The names of a body.
#[derive(Clone)]
struct Scope<'m> {
    /// Those that have a value whatever the body does with them: of the module, of a body around it, and by
    /// `:=`, `some … in` or as parameters.
    defined: BTreeSet<&'m str>,
    /// Bare names whose first place was passed.
    bound: BTreeSet<&'m str>,
}

/// What a charged value is used for.
#[derive(Clone, Copy)]
enum As {
    /// A key or an element, which is looked up or gets its place among others.
    Key,
    /// One side of an equality.
    Equal,
    /// What is gone through for a value.
    Collection,
}

impl As {
    fn operator(self) -> Operator {
        match self {
            Self::Key => Operator::Key,
            Self::Equal => Operator::Same,
            Self::Collection => Operator::Among,
        }
    }

    /// The usage of what is in a literal that is used so.
    fn of_element(self) -> Self {
        match self {
            Self::Collection => Self::Equal,
            other => other,
        }
    }
}

struct Walk<'m> {
    /// The names of the module, which no `some` hides from regorus.
    globals: BTreeSet<&'m str>,
    sites: Vec<Site>,
    errors: Vec<RegoError>,
}

impl<'m> Walk<'m> {
    fn rule(&mut self, rule: &'m Rule, module: &Scope<'m>) {
        let (head, bodies) = match rule {
            Rule::Spec { head, bodies, .. } => (head, bodies),
            Rule::Default { args, value, .. } => {
                let mut scope = module.clone();
                args.iter().for_each(|one| self.pattern(one, &mut scope));
                return self.expr(value, &mut scope);
            }
        };
        let mut outer = module.clone();
        if let RuleHead::Func { args, .. } = head {
            args.iter().for_each(|one| self.pattern(one, &mut outer));
        }
        let mut after = outer.clone();
        for body in bodies {
            let mut scope = self.query(&body.query, &outer);
            body.assign.iter().for_each(|assign| self.output(assign, &mut scope));
            after.defined.append(&mut scope.defined);
            after.bound.append(&mut scope.bound);
        }
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                let indices = chain(refr).1.into_iter().filter_map(|(_, index)| index);
                indices.for_each(|index| self.charged(index, As::Key, &mut after));
                assign.iter().for_each(|assign| self.output(assign, &mut after));
            }
            RuleHead::Set { refr, key, .. } => {
                let indices = chain(refr).1.into_iter().filter_map(|(_, index)| index);
                indices.for_each(|index| self.charged(index, As::Key, &mut after));
                key.iter().for_each(|key| self.charged(key, As::Key, &mut after));
            }
            RuleHead::Func { assign, .. } => {
                assign.iter().for_each(|assign| self.output(assign, &mut after));
            }
        }
    }

    fn output(&mut self, assign: &'m RuleAssign, scope: &mut Scope<'m>) {
        self.charged(&assign.value, As::Equal, scope);
    }

    /// Walks a body and returns its names, for the head or term that uses them.
    fn query(&mut self, query: &'m Query, outer: &Scope<'m>) -> Scope<'m> {
        let mut direct = Direct::default();
        query.stmts.iter().for_each(|statement| direct.literal(&statement.literal));
        let mut scope = Scope { defined: outer.defined.clone(), bound: BTreeSet::new() };
        // Bare names of a body around this one have their value from there.
        scope.defined.extend(&outer.bound);
        scope.defined.retain(|name| !direct.declared.contains(name) || self.globals.contains(name));
        scope.defined.extend(&direct.defined);
        let mut statements: Vec<&Literal> = query.stmts.iter().map(|statement| &statement.literal).collect();
        statements.sort_by_key(|literal| turn(literal));
        statements.into_iter().for_each(|literal| self.literal(literal, &direct, &mut scope));
        scope
    }

    fn literal(&mut self, literal: &'m Literal, direct: &Direct<'m>, scope: &mut Scope<'m>) {
        match literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value]).for_each(|one| self.pattern(one, scope));
                self.within(collection, direct, scope);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.within(expr, direct, scope),
            Literal::Every { key, value, domain, query, .. } => {
                self.within(domain, direct, scope);
                let mut outer = scope.clone();
                outer.bound.extend(&direct.bare);
                outer.defined.extend(key.iter().chain([value]).map(|span| span.text()));
                self.query(query, &outer);
            }
        }
    }

    /// An expression directly in a body: the bodies in it see all bare names of this one, also later ones.
    fn within(&mut self, expr: &'m Expr, direct: &Direct<'m>, scope: &mut Scope<'m>) {
        let nested = Scope {
            defined: scope.defined.clone(),
            bound: scope.bound.union(&direct.bare).copied().collect(),
        };
        self.expr_in(expr, scope, &nested);
    }

    fn expr(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) {
        let nested = scope.clone();
        self.expr_in(expr, scope, &nested);
    }

    /// `nested`: the names that a body in the expression sees.
    fn expr_in(&mut self, expr: &'m Expr, scope: &mut Scope<'m>, nested: &Scope<'m>) {
        if let Some(site) = operation(expr) {
            self.sites.push(site);
        }
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. } => {}
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                let (root, steps) = chain(expr);
                self.expr_in(root, scope, nested);
                for index in steps.into_iter().filter_map(|(_, index)| index) {
                    self.charged_in(index, As::Key, scope, nested);
                }
            }
            Expr::Array { items, .. } => items.iter().for_each(|one| self.expr_in(one, scope, nested)),
            Expr::Set { items, .. } => {
                items.iter().for_each(|one| self.charged_value(one, As::Key, scope, nested));
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.charged_value(key, As::Key, scope, nested);
                    self.expr_in(value, scope, nested);
                }
            }
            Expr::ArrayCompr { term, query, .. } => {
                let mut scope = self.query(query, nested);
                self.expr(term, &mut scope);
            }
            Expr::SetCompr { term, query, .. } => {
                let mut scope = self.query(query, nested);
                self.charged(term, As::Key, &mut scope);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                let mut scope = self.query(query, nested);
                self.charged(key, As::Key, &mut scope);
                self.charged(value, As::Equal, &mut scope);
            }
            Expr::Call { fcn, params, .. } => {
                let indices = chain(fcn).1.into_iter().filter_map(|(_, index)| index);
                indices
                    .chain(params.iter().map(|one| &**one))
                    .for_each(|one| self.expr_in(one, scope, nested));
            }
            Expr::UnaryExpr { expr, .. } => self.expr_in(expr, scope, nested),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => {
                [lhs, rhs].into_iter().for_each(|one| self.expr_in(one, scope, nested));
            }
            Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => {
                self.pattern(lhs, scope);
                self.expr_in(rhs, scope, nested);
            }
            Expr::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. } => {
                [lhs, rhs].into_iter().for_each(|one| self.charged_in(one, As::Equal, scope, nested));
            }
            Expr::Membership { key, value, collection, .. } => {
                self.membership(key.as_deref(), value, collection, scope, nested);
            }
        }
    }

    /// `in` stays, since it is false, and not undefined, where an operand is absent.
    fn membership(
        &mut self,
        key: Option<&'m Expr>,
        value: &'m Expr,
        collection: &'m Expr,
        scope: &mut Scope<'m>,
        nested: &Scope<'m>,
    ) {
        match key {
            Some(key) => {
                self.charged_value(key, As::Key, scope, nested);
                self.charged_value(value, As::Equal, scope, nested);
                self.expr_in(collection, scope, nested);
            }
            None => {
                self.charged_value(value, As::Key, scope, nested);
                self.charged_value(collection, As::Collection, scope, nested);
            }
        }
    }

    fn charged(&mut self, expr: &'m Expr, usage: As, scope: &mut Scope<'m>) {
        let nested = scope.clone();
        self.charged_value(expr, usage, scope, &nested);
    }

    /// What may give names their values: a side of `=`, or what brackets hold. Of the two sides of `=`, the
    /// names of one have their values from elsewhere, so of each pair one is charged, a literal or a new name.
    fn charged_in(&mut self, expr: &'m Expr, usage: As, scope: &mut Scope<'m>, nested: &Scope<'m>) {
        match expr {
            Expr::Var { span, .. } => {
                let name = span.text();
                if name != "_" && (scope.defined.contains(name) || !scope.bound.insert(name)) {
                    self.wrap(expr, usage);
                }
            }
            Expr::Array { items, .. } => {
                items.iter().for_each(|one| self.charged_in(one, usage, scope, nested));
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.charged_value(key, As::Key, scope, nested);
                    self.charged_in(value, usage, scope, nested);
                }
            }
            _ => self.charged_value(expr, usage, scope, nested),
        }
    }

    /// A literal with values in it is charged for each of them. (regorus' span of an object begins at its last
    /// member.)
    fn charged_value(&mut self, expr: &'m Expr, usage: As, scope: &mut Scope<'m>, nested: &Scope<'m>) {
        match expr {
            Expr::Array { items, .. } => {
                items.iter().for_each(|one| self.charged_value(one, usage.of_element(), scope, nested));
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.charged_value(key, As::Key, scope, nested);
                    self.charged_value(value, usage.of_element(), scope, nested);
                }
            }
            Expr::Set { .. } => self.expr_in(expr, scope, nested),
            _ => {
                if !is_small(expr) {
                    self.wrap(expr, usage);
                }
                self.expr_in(expr, scope, nested);
            }
        }
    }

    fn wrap(&mut self, expr: &Expr, usage: As) {
        self.sites.push(Site { operator: usage.operator(), whole: place(expr), left_end: None });
    }

    /// A pattern whose names are new: of `:=`, `some … in` and parameters.
    fn pattern(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) {
        match expr {
            Expr::Var { span, .. } => {
                scope.defined.insert(span.text());
            }
            Expr::Array { items, .. } => items.iter().for_each(|one| self.pattern(one, scope)),
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.charged(key, As::Key, scope);
                    self.pattern(value, scope);
                }
            }
            _ if is_small(expr) => {}
            _ => {
                let message = "a pattern has names and literals only";
                let error = RegoError::new(Fault::Limit, bytes(expr.span()), message);
                self.errors.push(error.with_help("give it a name here, and compare it with `==`"));
            }
        }
    }
}
