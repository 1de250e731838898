//! The expression does not depend on the object: it holds for everything, and the rule protects nothing, or for
//! nothing, and the rule refuses all.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "true || has(object.spec)"}]
//! ```
//!
//! ```text
//! warning[BW0601] at spec.admission.rules[0].validations[0].expression: this is always true
//!   help: ask something of `object`, or take the validation out
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "has(object.spec)"}]
//! ```
//!
//! Remedy: ask something of `object`, or take the validation out

use bailiwick_policy::ir::{Const, Expr};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Validation that is always the same.
pub const CODE: Code = Code::new("BW0601", "validation that is always the same", Severity::Warning, include_str!("bw0601_constant_validation.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for rule in &view.policy.admission.rules {
        let conditions = rule.matches.conditions.iter().map(|(_, cel)| cel);
        for cel in rule.validations.iter().map(|validation| &validation.expression).chain(conditions) {
            if let Some(value) = constant(&cel.expr) {
                let at = view.place(&rule.origin.at, &cel.source);
                out.push(Diagnostic::new(CODE, at, format!("this is always {value}")));
            }
        }
    }
}

/// The value, if no object can change it: in CEL `true || x` is true and `false && x` false, even where `x` fails.
fn constant(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Const(Const::Bool(value)) => Some(*value),
        Expr::Not(of) => constant(of).map(|value| !value),
        Expr::Or(all) if all.iter().any(|one| constant(one) == Some(true)) => Some(true),
        Expr::Or(all) if all.iter().all(|one| constant(one) == Some(false)) => Some(false),
        Expr::And(all) if all.iter().any(|one| constant(one) == Some(false)) => Some(false),
        Expr::And(all) if all.iter().all(|one| constant(one) == Some(true)) => Some(true),
        _ => None,
    }
}
