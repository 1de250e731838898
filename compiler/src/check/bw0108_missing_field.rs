//! A field that must be there is not.
//!
//! ```yaml
//! runtimeClass:
//!   classes: [{name: gvisor, kind: GVisor}]   # no `handler`
//! ```
//!
//! Add it.
//!
//! Remedy: add the field

use crate::diagnostic::{Code, Severity};

/// Missing field.
pub const CODE: Code = Code::new("BW0108", "missing field", Severity::Error, include_str!("bw0108_missing_field.rs"));
