//! Two mutations write one field with different values: which one stands would depend on their order. Remove one, or
//! let one say which it overrides.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     mutations: [{field: spec.hostUsers, value: false}, {field: spec.hostUsers, value: true}]
//! ```
//!
//! ```text
//! error[BW0425] at spec.admission.rules[0].mutations[1]: `spec.hostUsers` is written here with another value
//!   help: add `overrides: [example]`, or remove one
//!   spec.admission.rules[0].mutations[0]: and here
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     mutations: [{field: spec.hostUsers, value: false}]
//! ```
//!
//! Remedy: remove one of the two, or let one say with `overrides` which it replaces

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use crate::lower::admission::field_path;
use std::collections::BTreeMap;
use super::View;

/// Two writers of one field.
pub const CODE: Code = Code::new("BW0425", "two writers of one field", Severity::Error, include_str!("bw0425_two_writers.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let at = FieldPath::spec().member("admission").member("rules");
    let mut written: BTreeMap<Vec<String>, (&serde_json::Value, FieldPath, &str)> = BTreeMap::new();
    for (index, rule) in view.spec.admission.iter().flat_map(|admission| &admission.rules).enumerate() {
        for (position, mutation) in rule.mutations.iter().enumerate() {
            let Some(path) = mutation.field.as_deref().and_then(field_path) else { continue };
            let Some(value) = &mutation.value else { continue };
            let here = at.index(index).member("mutations").index(position);
            match written.get(&path) {
                Some((other, there, name)) if *other != value && !mutation.overrides.iter().any(|one| one == name) => {
                    let field = mutation.field.as_deref().unwrap_or_default();
                    let message = format!("`{field}` is written here with another value");
                    let diagnostic = Diagnostic::new(CODE, here, message).with_help(format!("add `overrides: [{name}]`, or remove one"));
                    out.push(diagnostic.with_related(there.clone(), "and here"));
                }
                Some(_) => {}
                None => {
                    written.insert(path, (value, here, &rule.name));
                }
            }
        }
    }
}
