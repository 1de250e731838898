//! The section `subjects`: which pods a policy selects, what happens to pods that no policy selects, and that
//! no update moves a pod out of reach.

use crate::decision::Finding;
use crate::json::Json;
use crate::policy::{Subject, Unmatched};

use super::decide::cell;
use super::review::View;
use super::reviewer::Bound;
use super::sections::{Statement, image_references};
use super::selector::{Labels, ObjectLabels, all_select};
use super::templates::Place;
use super::{CELL_LABEL, ratchet};

/// Whether a policy selects a pod, as it is or as it was.
pub(super) fn selected(subject: &Subject, pod: &Json<'_>, old: Option<&Json<'_>>) -> bool {
    all_select(&subject.pods, &ObjectLabels(pod))
        || old.is_some_and(|old| all_select(&subject.pods, &ObjectLabels(old)))
}

/// Denials of a pod that no policy selects, by the policies that govern its namespace and deny such pods.
pub(super) fn unmatched(reach: &[(&Bound, &Subject)], view: View<'_>) -> Vec<Finding> {
    let by_any =
        |pod: &Json<'_>| reach.iter().any(|(_, subject)| all_select(&subject.pods, &ObjectLabels(pod)));
    if by_any(view.pod) {
        return Vec::new();
    }
    let denying = reach.iter().filter(|(_, subject)| subject.unmatched == Unmatched::Deny);
    denying
        .map(|(bound, subject)| {
            let statement = Statement {
                rule: "subjects",
                message: "no policy selects this pod, and the namespace holds governed pods only".to_owned(),
                field: view.place.field("metadata.labels"),
                remedy: "give the pod the labels that the pack's subject selects, or use another namespace",
            };
            let mut finding = bound.denial(&subject.from, statement);
            let labels =
                |pod: &Json<'_>| pod.at(&["metadata", "labels"]).cloned().unwrap_or_default().into_owned();
            // What already runs may continue; a debugging container or another image is as new as a pod.
            let runs = |pod: &Json<'_>| -> Vec<String> {
                image_references(pod).into_iter().map(|(field, image)| format!("{field} {image}")).collect()
            };
            let as_before = |old: &Json<'_>| {
                !by_any(old) && labels(old) == labels(view.pod) && runs(old) == runs(view.pod)
            };
            if view.old.is_some_and(as_before) {
                ratchet::relax(&mut finding);
            }
            finding
        })
        .collect()
}

/// Denials of an update that takes a pod out of a policy's reach or changes its cell, and of a pod that
/// brings a cell which is not its own.
pub(super) fn frozen(reach: &[(&Bound, &Subject)], governing: &[&Bound], view: View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if view.place != Place::Pod {
        return findings;
    }
    let new = ObjectLabels(view.pod);
    if let Some(old) = view.old {
        for (bound, subject) in reach {
            if all_select(&subject.pods, &ObjectLabels(old)) && !all_select(&subject.pods, &new) {
                let statement = Statement {
                    rule: "subjects",
                    message: "an update may not take a pod out of the policy's reach".to_owned(),
                    field: "metadata.labels".to_owned(),
                    remedy: "keep the labels that the pack's subject selects, or delete the pod",
                };
                findings.push(bound.denial(&subject.from, statement));
            }
        }
    }
    let Some(first) = governing.first().copied().or_else(|| reach.first().map(|(bound, _)| *bound)) else {
        return findings;
    };
    // Of a pod that nothing governs, no label is its own.
    let own = if governing.is_empty() { String::new() } else { cell(governing) };
    let old = view.old.map(ObjectLabels);
    let before = old.as_ref().and_then(|old| old.label(CELL_LABEL)).map(str::to_owned);
    let was_governed =
        old.is_some_and(|old| reach.iter().any(|(_, subject)| all_select(&subject.pods, &old)));
    let right = match (&before, new.label(CELL_LABEL)) {
        // Whoever governs it now, it was written when the pod was admitted. What an ungoverned pod carries, no
        // one vouches for: it may stay there or go, and not come along when the pod becomes governed.
        (Some(before), Some(now)) if was_governed || governing.is_empty() => now == before,
        (Some(_), None) => !was_governed,
        (_, Some(now)) => now == own,
        (None, None) => true,
    };
    if !right {
        let right = before.filter(|_| was_governed).unwrap_or(own);
        let message = if right.is_empty() {
            format!("no policy selects this pod, and it has the label `{CELL_LABEL}`")
        } else {
            format!("label `{CELL_LABEL}` is not `{right}`")
        };
        let statement = Statement {
            rule: "subjects",
            message,
            field: format!("metadata.labels[{CELL_LABEL}]"),
            remedy: "leave the label alone; admission writes it",
        };
        let from = first.policy.subject.as_ref().map(|subject| subject.from.as_slice()).unwrap_or_default();
        // At any stage: once the policy is enforced, this label says what applies to the pod.
        findings.push(first.refusal(from, statement));
    }
    findings
}
