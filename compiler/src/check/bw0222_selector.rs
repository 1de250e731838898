//! A label selector has keys and values in the form of Kubernetes labels; `In` and `NotIn` list values, `Exists` and
//! `DoesNotExist` do not; and there must be labels that match all of it.
//!
//! ```yaml fails
//! subjects:
//!   namespaces: {selector: {matchExpressions: [{key: zone, operator: In}]}}
//!   unmatched: Deny
//! ```
//!
//! ```text
//! error[BW0222] at spec.subjects.namespaces.selector: no labels can match all of this selector
//!   help: write keys and values as Kubernetes labels; `values` belong to `In` and `NotIn` alone; take out what contradicts the rest
//! error[BW0222] at spec.subjects.namespaces.selector.matchExpressions[0]: operator `In` needs `values`
//!   help: write keys and values as Kubernetes labels; `values` belong to `In` and `NotIn` alone; take out what contradicts the rest
//! ```
//!
//! ```yaml passes
//! subjects:
//!   namespaces: {selector: {matchExpressions: [{key: zone, operator: In, values: [agents]}]}}
//!   unmatched: Deny
//! ```
//!
//! Remedy: write keys and values as Kubernetes labels; `values` belong to `In` and `NotIn` alone; take out what contradicts the rest

use crate::diagnostic::{Code, Severity};

/// Invalid label selector.
pub const CODE: Code = Code::new("BW0222", "invalid label selector", Severity::Error, include_str!("bw0222_selector.rs"));
