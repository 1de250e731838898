//! What is kept of calls and admissions. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
//!
//! ```yaml fails
//! audit: {arguments: Commit}
//! ```
//!
//! ```text
//! error[BW0504] at spec.audit: `audit` is not enforced yet
//! ```
//!
//! ```yaml passes
//! isolation:
//!   serviceAccountToken: Forbidden
//! ```

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// Audit settings are not enforced yet.
pub const CODE: Code = Code::new("BW0504", "audit settings are not enforced yet", Severity::Error, include_str!("bw0504_audit.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    if view.spec.audit.is_some() {
        let at = FieldPath::spec().member("audit");
        out.push(Diagnostic::new(CODE, at, "`audit` is not enforced yet").about_key());
    }
}
