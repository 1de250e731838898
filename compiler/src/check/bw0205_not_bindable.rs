//! A binding or an `extends` entry chooses a parameter that its author did not open.
//!
//! ```yaml
//! parameters: [{name: size, type: quantity, default: 64Mi}]   # not bindable
//! # a child: extends: [{name: base, version: "^1", parameters: {size: 32Mi}}]
//! ```
//!
//! Leave it, or ask the author to write `bindable: true` with a domain.
//!
//! Remedy: leave it out, or ask the pack's author to write `bindable: true` with a domain

use crate::diagnostic::{Code, Severity};

/// Parameter is not bindable.
pub const CODE: Code = Code::new("BW0205", "parameter is not bindable", Severity::Error, include_str!("bw0205_not_bindable.rs"));
