//! A module is limited in size (64 KiB), in the length of its lines, in nesting, and in how many rules stand upon each other, so that compiling
//! and deciding take bounded time and memory.
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
//!         deny contains msg if {
//!           some container in input.object.spec.containers
//!           endswith(container.image, ((((((((((((((((((((((((((((((((((((((((":latest"))))))))))))))))))))))))))))))))))))))))
//!           msg := sprintf("%v has no version", [container.name])
//!         }
//! ```
//!
//! ```text
//! error[BW0308] at spec.admission.rules[0].rego.source (145..146): brackets are nested deeper than 32
//!   help: move a part of it into a rule or function of its own
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
//! Remedy: split the module, or move a part of it into a rule of its own

use crate::diagnostic::{Code, Severity};

/// Rego too large.
pub const CODE: Code = Code::new("BW0308", "Rego too large", Severity::Error, include_str!("bw0308_rego_limit.rs"));
