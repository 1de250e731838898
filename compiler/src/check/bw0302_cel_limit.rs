//! Expressions are limited in length, nesting and number of selections, so that compiling and deciding take bounded
//! time and memory. Split a large one with `variables`.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "((((((((((((((((((((((((((((((((((((((((true))))))))))))))))))))))))))))))))))))))))"}]
//! ```
//!
//! ```text
//! error[BW0302] at spec.admission.rules[0].validations[0].expression (32..33): brackets are nested deeper than 32
//!   help: move a part of it into `variables`
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
//! Remedy: split the expression with `variables`

use crate::diagnostic::{Code, Severity};

/// Expression too large.
pub const CODE: Code = Code::new("BW0302", "expression too large", Severity::Error, include_str!("bw0302_cel_limit.rs"));
