//! The names that a body says anything about directly, and the order in which they get their values.

use std::collections::BTreeSet;

use regorus::unstable::{AssignOp, Expr, Literal};

use crate::rego::tree::chain;

/// The order in which a body's statements give names their values: first what can do nothing else.
pub(super) fn turn(literal: &Literal) -> u8 {
    match literal {
        Literal::Expr { expr, .. } => match &**expr {
            Expr::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. }
                if [lhs, rhs].into_iter().any(|side| {
                    let mut bare = BTreeSet::new();
                    names(side, &mut bare);
                    bare.is_empty()
                }) =>
            {
                0
            }
            _ => 1,
        },
        Literal::NotExpr { .. } => 2,
        _ => 1,
    }
}

/// What a body says about names directly, not in the bodies within it.
#[derive(Default)]
pub(super) struct Direct<'m> {
    /// By `some` without `in`.
    pub(super) declared: BTreeSet<&'m str>,
    /// By `:=` and `some … in`.
    pub(super) defined: BTreeSet<&'m str>,
    pub(super) bare: BTreeSet<&'m str>,
}

impl<'m> Direct<'m> {
    pub(super) fn literal(&mut self, literal: &'m Literal) {
        match literal {
            Literal::SomeVars { vars, .. } => self.declared.extend(vars.iter().map(|span| span.text())),
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value]).for_each(|one| names(one, &mut self.defined));
                self.expr(collection);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
            Literal::Every { domain, .. } => self.expr(domain),
        }
    }

    fn expr(&mut self, expr: &'m Expr) {
        match expr {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                let (root, steps) = chain(expr);
                self.expr(root);
                for index in steps.into_iter().filter_map(|(_, index)| index) {
                    names(index, &mut self.bare);
                    self.expr(index);
                }
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } | Expr::Call { params: items, .. } => {
                items.iter().for_each(|one| self.expr(one));
            }
            Expr::Object { fields, .. } => {
                fields.iter().flat_map(|(_, key, value)| [key, value]).for_each(|one| self.expr(one));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => [lhs, rhs].into_iter().for_each(|one| self.expr(one)),
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                match op {
                    AssignOp::ColEq => names(lhs, &mut self.defined),
                    AssignOp::Eq => [lhs, rhs].into_iter().for_each(|one| names(one, &mut self.bare)),
                }
                [lhs, rhs].into_iter().for_each(|one| self.expr(one));
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|one| self.expr(one));
            }
            _ => {}
        }
    }
}

/// The bare names of a pattern.
fn names<'m>(pattern: &'m Expr, into: &mut BTreeSet<&'m str>) {
    match pattern {
        Expr::Var { span, .. } if span.text() != "_" => {
            into.insert(span.text());
        }
        Expr::Array { items, .. } => items.iter().for_each(|one| names(one, into)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| names(value, into)),
        _ => {}
    }
}
