//! Patterns are in RE2 syntax, without look-around and back-references, and of bounded size: they are matched in
//! linear time.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.metadata.name.matches('(?=a)')"}]
//! ```
//!
//! ```text
//! error[BW0305] at spec.admission.rules[0].validations[0].expression (29..36): unknown flag `=`
//!   help: write the pattern in RE2 syntax: no look-around, no back-references
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "object.metadata.name.matches('^a')"}]
//! ```
//!
//! Remedy: write the pattern in RE2 syntax: no look-around, no back-references

use crate::diagnostic::{Code, Severity};

/// Invalid regular expression.
pub const CODE: Code = Code::new("BW0305", "invalid regular expression", Severity::Error, include_str!("bw0305_cel_regex.rs"));
