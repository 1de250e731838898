//! Packs that are compiled together, or extend one another, govern what all of their subjects select. If that is nothing, the
//! effective policy would govern nobody, and every object would pass.
//!
//! ```yaml fails
//! subjects:
//!   namespaces: {selector: {matchLabels: {zone: agents}}}
//! isolation: {serviceAccountToken: Forbidden}
//! ```
//!
//! ```yaml with
//! subjects:
//!   namespaces: {selector: {matchLabels: {zone: builders}}}
//! isolation: {serviceAccountToken: Forbidden}
//! ```
//!
//! ```text
//! error[BW0230] at spec.subjects.namespaces.selector: no namespace is selected by every one of example, other, so they would govern nothing
//!   help: select by labels that can stand together, or enforce the packs as policies of their own
//! ```
//!
//! ```yaml passes
//! subjects:
//!   namespaces: {selector: {matchExpressions: [{key: zone, operator: In, values: [agents, builders]}]}}
//! isolation: {serviceAccountToken: Forbidden}
//! ```
//!
//! Remedy: select by labels that can stand together, or enforce the packs as policies of their own

use bailiwick_policy::policy::{LabelSelector, Policy};

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::reach::labels::Labels;

/// Packs whose subjects have nothing in common.
pub const CODE: Code = Code::new("BW0230", "packs whose subjects have nothing in common", Severity::Error, include_str!("bw0230_nothing_in_common.rs"));

/// What is to be said of a met policy. Of one pack alone BW0222 has said it.
pub(crate) fn check(met: &Policy) -> Vec<Diagnostic> {
    let Some(subject) = met.subject.as_ref().filter(|subject| subject.from.len() > 1) else { return Vec::new() };
    let at = FieldPath::spec().member("subjects");
    let sections = [("namespace", &subject.namespaces, at.member("namespaces").member("selector")), ("pod", &subject.pods, at.member("pods"))];
    let disjoint = sections.into_iter().filter(|(_, selectors, _)| contradict(selectors));
    let names: Vec<&str> = met.packs.iter().map(|pack| pack.name.as_str()).collect();
    let say = |(what, _, at): (&str, &Vec<LabelSelector>, FieldPath)| {
        let message = format!("no {what} is selected by every one of {}, so they would govern nothing", names.join(", "));
        Diagnostic::new(CODE, at, message).with_help("select by labels that can stand together, or enforce the packs as policies of their own")
    };
    disjoint.map(say).collect()
}

/// Whether each selector selects something, and all together nothing.
fn contradict(selectors: &[LabelSelector]) -> bool {
    selectors.iter().all(|selector| Labels::all_of([selector]).is_some()) && Labels::all_of(selectors).is_none()
}
