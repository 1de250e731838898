//! What an expression is to a comparison: small, an operation, and where in the text.

use std::ops::Range;

use regorus::unstable::{ArithOp, BinOp, BoolOp, Expr};

use super::Site;
use crate::rego::operators::Operator;
use crate::rego::tree::bytes;

/// Longest literal that may be compared free of charge, bytes of its text.
const MAX_LITERAL_BYTES: usize = 1_024;

/// Whether a comparison with it ends soon: literals, what is true or false, and what was charged.
pub(super) fn is_small(expr: &Expr) -> bool {
    let text = bytes(expr.span());
    match expr {
        Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => true,
        Expr::BoolExpr { .. } | Expr::Membership { .. } => true,
        Expr::String { .. } | Expr::RawString { .. } => text.len() <= MAX_LITERAL_BYTES,
        Expr::UnaryExpr { expr, .. } => is_small(expr),
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            text.len() <= MAX_LITERAL_BYTES && items.iter().all(|one| is_small(one))
        }
        Expr::Object { fields, .. } => {
            let mut parts = fields.iter().flat_map(|(_, key, value)| [key, value]);
            text.len() <= MAX_LITERAL_BYTES && parts.all(|one| is_small(one))
        }
        Expr::Call { fcn, .. } => Operator::named(fcn.span().text()).is_some(),
        _ => false,
    }
}

/// The operator of an expression, if it is charged.
pub(super) fn operation(expr: &Expr) -> Option<Site> {
    let (operator, span, left) = match expr {
        Expr::BinExpr { op: BinOp::Union, span, lhs, .. } => (Operator::Union, span, lhs),
        Expr::BinExpr { op: BinOp::Intersection, span, lhs, .. } => (Operator::Intersection, span, lhs),
        Expr::ArithExpr { op, span, lhs, .. } => {
            let operator = match op {
                ArithOp::Add => Operator::Plus,
                ArithOp::Sub => Operator::Minus,
                ArithOp::Mul => Operator::Times,
                ArithOp::Div => Operator::Over,
                ArithOp::Mod => Operator::Rest,
            };
            (operator, span, lhs)
        }
        Expr::BoolExpr { op, span, lhs, rhs, .. } if !is_small(lhs) && !is_small(rhs) => {
            let operator = match op {
                BoolOp::Eq => Operator::Equal,
                BoolOp::Ne => Operator::NotEqual,
                BoolOp::Lt => Operator::Less,
                BoolOp::Le => Operator::AtMost,
                BoolOp::Gt => Operator::Greater,
                BoolOp::Ge => Operator::AtLeast,
            };
            (operator, span, lhs)
        }
        _ => return None,
    };
    let mut whole = bytes(span);
    // The span of a text begins within its quotes, and so does what begins with it.
    if let Expr::String { .. } | Expr::RawString { .. } = leftmost(left)
        && bytes(leftmost(left).span()).start == whole.start
    {
        whole.start = whole.start.saturating_sub(1);
    }
    Some(Site { operator, whole, left_end: Some(place(left).end) })
}

/// Where an expression is, with the quotes around a text.
pub(super) fn place(expr: &Expr) -> Range<usize> {
    let span = bytes(expr.span());
    match expr {
        // regorus' span of `set()` ends behind the token that follows it.
        Expr::Set { items, .. } if items.is_empty() => span.start..span.start + "set(".len(),
        Expr::String { .. } | Expr::RawString { .. } => span.start.saturating_sub(1)..span.end + 1,
        _ => span,
    }
}

fn leftmost(expr: &Expr) -> &Expr {
    match expr {
        Expr::BinExpr { lhs: left, .. }
        | Expr::BoolExpr { lhs: left, .. }
        | Expr::ArithExpr { lhs: left, .. }
        | Expr::Membership { key: Some(left), .. }
        | Expr::Membership { key: None, value: left, .. } => leftmost(left),
        _ => expr,
    }
}
