//! Two admission rules ask the same of the same objects; only their names differ.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "has(object.spec)"}]
//!   - name: again
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "has(object.spec)"}]
//! ```
//!
//! ```text
//! warning[BW0603] at spec.admission.rules[1]: rule `again` is the same as `example`
//!   help: remove one of the two
//!   spec.admission.rules[0]: the same rule
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
//! Remedy: remove one of the two

use bailiwick_crds::admission::AdmissionRule;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use std::collections::BTreeMap;
use super::View;

/// Two rules that are the same.
pub const CODE: Code = Code::new("BW0603", "two rules that are the same", Severity::Warning, include_str!("bw0603_duplicate_rule.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let mut seen: BTreeMap<String, (FieldPath, &str)> = BTreeMap::new();
    for (at, rule) in view.admission_rules() {
        let nameless = AdmissionRule { name: String::new(), ..rule.clone() };
        let Ok(key) = serde_json::to_string(&nameless) else { continue };
        if let Some((first, name)) = seen.get(&key) {
            let diagnostic = Diagnostic::new(CODE, at, format!("rule `{}` is the same as `{name}`", rule.name));
            out.push(diagnostic.with_related(first.clone(), "the same rule"));
        } else {
            seen.insert(key, (at, &rule.name));
        }
    }
}
