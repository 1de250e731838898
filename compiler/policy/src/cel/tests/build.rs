//! Builders for expressions.

use super::{Const, Expr, Func, Macro, MacroKind, Root};

/// What can be used as an expression in a test.
pub(crate) trait IntoExpr {
    fn expr(self) -> Expr;
}

impl IntoExpr for Expr {
    fn expr(self) -> Expr {
        self
    }
}

impl IntoExpr for i64 {
    fn expr(self) -> Expr {
        Expr::Const(Const::Int(self))
    }
}

impl IntoExpr for u64 {
    fn expr(self) -> Expr {
        Expr::Const(Const::Uint(self))
    }
}

impl IntoExpr for f64 {
    fn expr(self) -> Expr {
        Expr::Const(Const::Double(self))
    }
}

impl IntoExpr for bool {
    fn expr(self) -> Expr {
        Expr::Const(Const::Bool(self))
    }
}

impl IntoExpr for &str {
    fn expr(self) -> Expr {
        Expr::Const(Const::Str(self.to_owned()))
    }
}

impl IntoExpr for String {
    fn expr(self) -> Expr {
        Expr::Const(Const::Str(self))
    }
}

impl<T: IntoExpr, const N: usize> IntoExpr for [T; N] {
    fn expr(self) -> Expr {
        Expr::List(self.into_iter().map(|item| (item.expr(), false)).collect())
    }
}

/// Calls a function on arguments of any kind.
macro_rules! call {
    ($function:ident $(, $arg:expr)* $(,)?) => {
        crate::ir::Expr::Call(
            crate::ir::Func::$function,
            vec![$($crate::cel::tests::build::IntoExpr::expr($arg)),*],
        )
    };
}
pub(crate) use call;

pub(crate) fn object() -> Expr {
    Expr::Root(Root::Object)
}

pub(crate) fn slot(slot: u16) -> Expr {
    Expr::Slot(slot)
}

pub(crate) fn select(operand: Expr, path: &str) -> Expr {
    path.split('.').fold(operand, |operand, field| Expr::Select(Box::new(operand), field.to_owned()))
}

pub(crate) fn opt_select(operand: Expr, field: &str) -> Expr {
    Expr::OptSelect(Box::new(operand), field.to_owned())
}

pub(crate) fn has(operand: Expr, field: &str) -> Expr {
    Expr::Has(Box::new(operand), field.to_owned())
}

pub(crate) fn index(operand: impl IntoExpr, index: impl IntoExpr) -> Expr {
    Expr::Index(Box::new(operand.expr()), Box::new(index.expr()))
}

pub(crate) fn and<const N: usize>(operands: [Expr; N]) -> Expr {
    Expr::And(operands.into())
}

pub(crate) fn or<const N: usize>(operands: [Expr; N]) -> Expr {
    Expr::Or(operands.into())
}

pub(crate) fn not(operand: Expr) -> Expr {
    Expr::Not(Box::new(operand))
}

/// A macro with one variable in slot 0.
pub(crate) fn over(kind: MacroKind, range: impl IntoExpr, body: Expr) -> Expr {
    Expr::Macro(Box::new(Macro { kind, range: range.expr(), slot: 0, slot2: None, filter: None, body }))
}

/// A macro with two variables in slots 0 and 1.
pub(crate) fn over2(kind: MacroKind, range: impl IntoExpr, filter: Option<Expr>, body: Expr) -> Expr {
    Expr::Macro(Box::new(Macro { kind, range: range.expr(), slot: 0, slot2: Some(1), filter, body }))
}

pub(crate) fn map<const N: usize>(entries: [(Expr, Expr); N]) -> Expr {
    Expr::Map(entries.into_iter().map(|(key, value)| (key, value, false)).collect())
}

/// An expression that is an error.
pub(crate) fn fails() -> Expr {
    Expr::Call(Func::Divide, vec![1_i64.expr(), 0_i64.expr()])
}
