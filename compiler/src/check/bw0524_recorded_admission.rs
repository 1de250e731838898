//! Admission decisions that must be recorded before they are answered. It is read and checked, but the webhook does not keep an audit log
//! yet, and what is accepted is enforced: so it is refused until then. Tool calls are always recorded.
//!
//! ```yaml fails
//! audit: {admission: Required}
//! ```
//!
//! ```text
//! error[BW0524] at spec.audit.admission: `admission: Required` is not enforced yet
//!   help: write `admission: Optional`, or leave it out; tool calls are recorded in any case
//! ```
//!
//! ```yaml passes
//! audit: {admission: Optional}
//! ```
//!
//! Remedy: write `admission: Optional`, or leave it out; tool calls are recorded in any case

use bailiwick_crds::pack::AuditAdmission;

use super::View;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;

/// Recording admissions is not enforced yet.
pub const CODE: Code =
    Code::new("BW0524", "recording admissions is not enforced yet", Severity::Error, include_str!("bw0524_recorded_admission.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let audit = view.spec.audit.as_ref();
    if audit.is_some_and(|audit| audit.admission == Some(AuditAdmission::Required)) {
        let at = FieldPath::spec().member("audit").member("admission");
        out.push(Diagnostic::new(CODE, at, "`admission: Required` is not enforced yet"));
    }
}
