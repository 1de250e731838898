//! Packs that apply to one subject are met. Two contents under one name and version cannot both be meant: the spec of
//! a published version is immutable.
//!
//! ```yaml same
//! images: [{match: ["registry.example.org/**"]}]
//! ```
//!
//! ```yaml fails
//! isolation:
//!   serviceAccountToken: Forbidden
//! ```
//!
//! ```text
//! error[BW0229]: pack `example` is defined twice in version `1.0.0` with different contents
//!   help: give the changed pack a version of its own
//! ```
//!
//! ```yaml passes
//! images: [{match: ["registry.example.org/**"]}]
//! ```
//!
//! Remedy: give the changed pack a version of its own

use crate::diagnostic::{Code, Severity};

/// Packs cannot be met.
pub const CODE: Code = Code::new("BW0229", "packs cannot be met", Severity::Error, include_str!("bw0229_packs_conflict.rs"));
