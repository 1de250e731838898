//! An operator or function was given values of types that it does not take, or the expression has another type than
//! its place needs: validations and conditions are booleans, messages are strings.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.metadata.name"}]
//! ```
//!
//! ```text
//! error[BW0304] at spec.admission.rules[0].validations[0].expression (0..20): must be bool, is string
//!   help: convert or compare the values so that the types fit
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.metadata.name != ''"}]
//! ```
//!
//! Remedy: convert or compare the values so that the types fit

use crate::diagnostic::{Code, Severity};

/// Types do not fit.
pub const CODE: Code = Code::new("BW0304", "types do not fit", Severity::Error, include_str!("bw0304_cel_type.rs"));
