//! A decision depends on nothing but its inputs, and what is asked twice is answered alike: a rule calls nothing that reads a clock, asks the network
//! or draws at random, nothing that makes a result of any length in one step, and puts nothing in place of its input with `with`.
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
//!           time.now_ns() > 1893456000000000000
//!           msg := sprintf("%v has no version", [container.name])
//!         }
//! ```
//!
//! ```text
//! error[BW0309] at spec.admission.rules[0].rego.source (89..102): `time.now_ns` reads the clock, and a decision depends on its inputs alone
//!   help: put a date into the pack's parameters, or let a PolicyException expire
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
//! Remedy: hand the value over in the pack's parameters, or take it from the object

use crate::diagnostic::{Code, Severity};

/// Built-in that a rule may not call.
pub const CODE: Code = Code::new("BW0309", "built-in that a rule may not call", Severity::Error, include_str!("bw0309_rego_builtin.rs"));
