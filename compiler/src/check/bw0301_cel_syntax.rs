//! The text cannot be read as an expression of the Common Expression Language.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.metadata.name =="}]
//! ```
//!
//! ```text
//! error[BW0301] at spec.admission.rules[0].validations[0].expression (23..23): the expression ends too early
//!   help: fix the expression at this place
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.metadata.name == 'a'"}]
//! ```
//!
//! Remedy: fix the expression at this place

use crate::diagnostic::{Code, Severity};

/// Not CEL.
pub const CODE: Code = Code::new("BW0301", "not CEL", Severity::Error, include_str!("bw0301_cel_syntax.rs"));
