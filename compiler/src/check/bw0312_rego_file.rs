//! The file that a rule names does not lie in the pack's folder `rego/`. On the API server there are no files: `bailiwick compile --as-resource` writes
//! the text into the pack.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     rego: {file: images.rego, rule: data.images.deny}
//! ```
//!
//! ```text
//! error[BW0312] at spec.admission.rules[0].rego.file: `rego/images.rego` is not beside the pack, or is not UTF-8 text
//!   help: put the module there; an object on the API server holds its text in `source`
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
//! Remedy: put the module into the folder `rego/`, or write `source`

use crate::diagnostic::{Code, Severity};

/// Rego file that is not there.
pub const CODE: Code = Code::new("BW0312", "Rego file that is not there", Severity::Error, include_str!("bw0312_rego_file.rs"));
