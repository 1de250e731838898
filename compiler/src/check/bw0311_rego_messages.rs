//! The rule that a pack names is a set, and each of its elements is a violation: a message, or an object with the message as `msg`. One that is
//! called `warn` warns.
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
//!         deny := "no images here" if count(input.object.spec.containers) > 9
//! ```
//!
//! ```text
//! error[BW0311] at spec.admission.rules[0].rego.source (15..19): the rule must be a set of messages
//!   help: write `deny contains msg if { … }`, or in Rego v0 `deny[msg] { … }`
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
//! Remedy: name a set of messages: `deny contains msg if { … }`

use crate::diagnostic::{Code, Severity};

/// Rule in Rego that is no set of messages.
pub const CODE: Code = Code::new("BW0311", "rule in Rego that is not a set of messages", Severity::Error, include_str!("bw0311_rego_messages.rs"));
