//! Rules match resources by their plural, as in URLs. The API server never asks a rule about a resource that does not
//! exist, so a kind written in its place would protect nothing.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [Pod], operations: [CREATE]}]}
//!     validations: [{expression: "has(object.spec)"}]
//! ```
//!
//! ```text
//! error[BW0226] at spec.admission.rules[0].match.resources[0].resources[0]: `Pod` is not a resource; the API server would never ask this rule
//!   help: did you mean `pods`?
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
//! Remedy: write the plural that stands in the API's URLs, such as `pods`

use crate::diagnostic::{Code, Severity};

/// Unknown resource.
pub const CODE: Code = Code::new("BW0226", "unknown resource", Severity::Error, include_str!("bw0226_unknown_resource.rs"));
