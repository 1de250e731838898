//! Rules that a PolicyException may relax. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "has(object.spec)"}]
//!     exceptable: true
//! ```
//!
//! ```text
//! error[BW0518] at spec.admission.rules[0].exceptable: `exceptable` is not enforced yet
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "has(object.spec)"}]
//! ```

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::lower::Findings;
use super::View;

/// Exceptions are not enforced yet.
pub const CODE: Code = Code::new("BW0518", "exceptions are not enforced yet", Severity::Error, include_str!("bw0518_exceptions.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.admission_rules() {
        if rule.exceptable {
            out.push(Diagnostic::new(CODE, at.member("exceptable"), "`exceptable` is not enforced yet").about_key());
        }
    }
}
