//! A value chosen for a parameter is not one that the author of the pack allows.
//!
//! ```yaml
//! parameters: [{name: size, type: quantity, default: 64Mi, maximum: 256Mi, bindable: true}]
//! # a binding: {size: 1Gi}
//! ```
//!
//! Choose a value inside the domain; only the pack's author can widen it.
//!
//! Remedy: choose a value inside the domain; only the pack's author can widen it

use crate::diagnostic::{Code, Severity};

/// Parameter outside its domain.
pub const CODE: Code = Code::new("BW0203", "parameter outside its domain", Severity::Error, include_str!("bw0203_parameter_domain.rs"));
