//! `podTemplates: true` applies a rule over pods to what makes pods. It needs a rule that matches pods, and nothing
//! else: over other objects it has no meaning.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [services], operations: [CREATE]}]}
//!     podTemplates: true
//!     validations: [{expression: "has(object.spec)"}]
//! ```
//!
//! ```text
//! error[BW0606] at spec.admission.rules[0].podTemplates: `podTemplates` is for rules that match pods and nothing else
//!   help: match pods alone, or leave `podTemplates` out
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     podTemplates: true
//!     validations: [{expression: "has(object.spec)"}]
//! ```
//!
//! Remedy: match pods alone, or leave `podTemplates` out

use crate::diagnostic::{Code, Severity};

/// `podTemplates` on other objects.
pub const CODE: Code = Code::new("BW0606", "`podTemplates` on other objects", Severity::Error, include_str!("bw0606_pod_templates.rs"));
