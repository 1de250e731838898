//! A rule sees its own module and `input`: `object`, `oldObject`, `request` (also as `review`), `params` (also as `parameters`) and `namespaceObject`. In Rego
//! what is not there is undefined, and a rule over it would never refuse anything.
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
//!           some container in input.obect.spec.containers
//!           endswith(container.image, ":latest")
//!           msg := sprintf("%v has no version", [container.name])
//!         }
//! ```
//!
//! ```text
//! error[BW0310] at spec.admission.rules[0].rego.source (58..85): `input` has no member `obect`
//!   help: did you mean `object`?
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
//! Remedy: name a member of `input`, a parameter of the pack, or a rule of this module

use crate::diagnostic::{Code, Severity};

/// Name that stands for nothing in Rego.
pub const CODE: Code = Code::new("BW0310", "name that stands for nothing in Rego", Severity::Error, include_str!("bw0310_rego_reference.rs"));
