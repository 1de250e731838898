//! A mutation may not write what decides which policies apply or who the pod is: labels that a selector reads,
//! `namespace`, `serviceAccountName`, `nodeName`. Else an object could leave the policy that is looking at it.
//!
//! ```yaml fails
//! subjects:
//!   namespaces: {selector: {matchLabels: {zone: agents}}}
//!   pods: {matchLabels: {component: agent}}
//!   unmatched: Deny
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     mutations: [{field: metadata.labels.component, value: other}]
//! ```
//!
//! ```text
//! error[BW0424] at spec.admission.rules[0].mutations[0].field: no mutation may write label `component`, which a selector reads
//!   help: leave the field to whoever makes the object, and refuse a wrong value by a validation
//! ```
//!
//! ```yaml passes
//! subjects:
//!   namespaces: {selector: {matchLabels: {zone: agents}}}
//!   pods: {matchLabels: {component: agent}}
//!   unmatched: Deny
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     mutations: [{field: metadata.labels.seen, value: "yes"}]
//! ```
//!
//! Remedy: leave the field to whoever makes the object, and refuse a wrong value by a validation

use bailiwick_policy::admission::CELL_LABEL;

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use crate::lower::admission::field_path;
use std::collections::BTreeSet;
use super::View;

/// Mutation that changes who governs.
pub const CODE: Code = Code::new("BW0424", "mutation that changes who governs", Severity::Error, include_str!("bw0424_mutation_moves_subject.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let read = read_labels(view);
    let at = FieldPath::spec().member("admission").member("rules");
    for (index, rule) in view.spec.admission.iter().flat_map(|admission| &admission.rules).enumerate() {
        for (position, mutation) in rule.mutations.iter().enumerate() {
            let Some(path) = mutation.field.as_deref().and_then(field_path) else { continue };
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let what = match path.as_slice() {
                ["metadata", "namespace"] | ["metadata"] => Some("the object's namespace".to_owned()),
                ["spec", "serviceAccountName" | "serviceAccount"] => Some("the pod's identity".to_owned()),
                ["spec", "nodeName"] | ["spec"] => Some("the pod's node".to_owned()),
                ["metadata", "labels"] => Some("all labels".to_owned()),
                ["metadata", "labels", key] if read.contains(*key) => Some(format!("label `{key}`, which a selector reads")),
                _ => None,
            };
            if let Some(what) = what {
                let at = at.index(index).member("mutations").index(position).member("field");
                out.push(Diagnostic::new(CODE, at, format!("no mutation may write {what}")));
            }
        }
    }
}

/// Every label key that any selector over pods reads, ours included.
fn read_labels<'a>(view: &View<'a>) -> BTreeSet<&'a str> {
    let mut keys = BTreeSet::from([CELL_LABEL]);
    for spec in view.family() {
        let subject = spec.subjects.iter().filter_map(|subjects| subjects.pods.as_ref());
        let network = spec.network.iter().flat_map(|network| {
            let to = network.egress.iter().filter_map(|rule| rule.to.pods.as_ref());
            to.chain(network.ingress.iter().filter_map(|rule| rule.from.pods.as_ref()))
        });
        let rules = spec.admission.iter().flat_map(|admission| &admission.rules);
        let rules = rules.filter_map(|rule| rule.matches.object_selector.as_ref());
        for selector in subject.chain(network).chain(rules) {
            keys.extend(selector.match_labels.keys().map(String::as_str));
            keys.extend(selector.match_expressions.iter().map(|one| one.key.as_str()));
        }
    }
    keys
}
