//! The text is neither Rego v1 nor, as a whole, Rego v0 (`deny[msg] { … }`, as Gatekeeper's templates are). The message is about it as v1.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     rego:
//!       rule: data.images.deny
//!       source: |
//!         package images
//!         deny contains msg {
//!           some container in input.object.spec.containers
//!           endswith(container.image, ":latest")
//!           msg := sprintf("%v has no version", [container.name])
//!         }
//! ```
//!
//! ```text
//! error[BW0307] at spec.admission.rules[0].rego.source (33..34): `if` keyword is required before rule body
//!   help: correct the module there; Rego v1 has `if` before a body and `contains` before an element of a set
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     rego:
//!       rule: data.images.deny
//!       source: |
//!         package images
//!         deny contains msg if {
//!           some container in input.object.spec.containers
//!           endswith(container.image, ":latest")
//!           msg := sprintf("%v has no version", [container.name])
//!         }
//! ```
//!
//! Remedy: correct the module there; Rego v1 has `if` before a body and `contains` before an element of a set

use crate::diagnostic::{Code, Severity};

/// Not Rego.
pub const CODE: Code = Code::new("BW0307", "not Rego", Severity::Error, include_str!("bw0307_rego_syntax.rs"));
