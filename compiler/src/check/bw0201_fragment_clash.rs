//! Two files of the pack state the same field. Fragments are merged: objects member by member, lists of named
//! things by name; nothing may be stated twice.
//!
//! ```yaml
//! # pack.yaml
//! spec: {isolation: {serviceAccountToken: Forbidden}}
//! # more.yaml
//! spec: {isolation: {serviceAccountToken: Allowed}}
//! ```
//!
//! Keep one of the two places that the message names.
//!
//! Remedy: keep one of the two places

use crate::diagnostic::{Code, Severity};

/// Fragments contradict each other.
pub const CODE: Code = Code::new("BW0201", "fragments contradict each other", Severity::Error, include_str!("bw0201_fragment_clash.rs"));
