//! Admission rules in Rego. It is read and checked, but not enforced yet, and what is accepted is enforced: so it is
//! refused until then.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     rego: {source: "package images", rule: data.images.deny}
//! ```
//!
//! ```text
//! error[BW0517] at spec.admission.rules[0].rego: `rego` is not enforced yet
//!   help: write the rule in CEL, under `validations`
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
//! Remedy: write the rule in CEL, under `validations`

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::lower::Findings;
use super::View;

/// Rego is not enforced yet.
pub const CODE: Code = Code::new("BW0517", "Rego is not enforced yet", Severity::Error, include_str!("bw0517_rego.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.admission_rules() {
        if rule.rego.is_some() {
            out.push(Diagnostic::new(CODE, at.member("rego"), "`rego` is not enforced yet").about_key());
        }
    }
}
