//! A variable, function or field that does not exist here. Fields are those of the Kubernetes type that the rule
//! matches.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.spec.hostNetwrok == false"}]
//! ```
//!
//! ```text
//! error[BW0303] at spec.admission.rules[0].validations[0].expression (12..23): PodSpec has no field `hostNetwrok`
//!   help: did you mean `hostNetwork`?
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.?spec.hostNetwork.orValue(false) == false"}]
//! ```
//!
//! Remedy: write a name that is declared here

use crate::diagnostic::{Code, Severity};

/// Unknown name in an expression.
pub const CODE: Code = Code::new("BW0303", "unknown name in an expression", Severity::Error, include_str!("bw0303_cel_reference.rs"));
