//! A mutation names its field by members, with `[*]` for every element of a list; positions in lists are not stable,
//! and a mutation without `value` would write nothing.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     mutations: [{field: "spec.containers[0].imagePullPolicy", value: Always}]
//! ```
//!
//! ```text
//! error[BW0225] at spec.admission.rules[0].mutations[0].field: `spec.containers[0].imagePullPolicy` is not a path of fields
//!   help: write `spec.containers[*].imagePullPolicy`, or `metadata.labels['example.org/x']`
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     mutations: [{field: "spec.containers[*].imagePullPolicy", value: Always}]
//! ```
//!
//! Remedy: name a field by its members, `[*]` for each element of a list, and give it a `value`

use crate::diagnostic::{Code, Severity};

/// Invalid mutation.
pub const CODE: Code = Code::new("BW0225", "invalid mutation", Severity::Error, include_str!("bw0225_mutation_field.rs"));
