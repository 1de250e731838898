//! A pack extends itself, directly or by others.
//!
//! ```yaml
//! # a: extends: [{name: b, version: "^1"}]
//! # b: extends: [{name: a, version: "^1"}]
//! ```
//!
//! Take one of the entries out.
//!
//! Remedy: take one of the `extends` entries out

use crate::diagnostic::{Code, Severity};

/// Packs extend each other in a circle.
pub const CODE: Code = Code::new("BW0212", "packs extend each other in a circle", Severity::Error, include_str!("bw0212_extends_cycle.rs"));
