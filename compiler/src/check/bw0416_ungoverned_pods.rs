//! The subject selects pods by label, and pods without it are not this pack's business: whoever may create pods in
//! these namespaces escapes every control by leaving the label away. In namespaces that are called exclusive this is a
//! contradiction and an error.
//!
//! ```yaml fails
//! subjects:
//!   namespaces: {selector: {matchLabels: {zone: agents}}, exclusive: true}
//!   pods: {matchLabels: {component: agent}}
//!   unmatched: Allow
//! ```
//!
//! ```text
//! error[BW0416] at spec.subjects.pods: pods without these labels are not governed, and nothing denies them
//!   help: write `unmatched: Deny`
//!   spec.subjects.namespaces.exclusive: nothing but governed pods is promised here
//! ```
//!
//! ```yaml passes
//! subjects:
//!   namespaces: {selector: {matchLabels: {zone: agents}}, exclusive: true}
//!   pods: {matchLabels: {component: agent}}
//!   unmatched: Deny
//! ```
//!
//! Remedy: write `unmatched: Deny`

use bailiwick_crds::pack::Unmatched;
use bailiwick_crds::selector::LabelSelector;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Pods that nothing governs.
pub const CODE: Code = Code::new("BW0416", "pods that nothing governs", Severity::Warning, include_str!("bw0416_ungoverned_pods.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let Some(subjects) = &view.spec.subjects else { return };
    let some = subjects.pods.as_ref().is_some_and(|pods| *pods != LabelSelector::default());
    let elsewhere = view.family().skip(1).any(|spec| spec.subjects.as_ref().is_some_and(|other| other.unmatched == Unmatched::Deny));
    if !some || subjects.unmatched == Unmatched::Deny || elsewhere {
        return;
    }
    let at = FieldPath::spec().member("subjects");
    let mut diagnostic = Diagnostic::new(CODE, at.member("pods"), "pods without these labels are not governed, and nothing denies them")
        .with_help("write `unmatched: Deny`");
    if subjects.namespaces.exclusive {
        diagnostic.severity = Severity::Error;
        diagnostic = diagnostic.with_related(at.member("namespaces").member("exclusive"), "nothing but governed pods is promised here");
    }
    out.push(diagnostic);
}
