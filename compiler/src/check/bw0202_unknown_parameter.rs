//! A value is `"${name}"`, a binding or an `extends` entry names a parameter, and the pack has none of that name.
//! Names are pack-scoped: a pack cannot use its parent's.
//!
//! ```yaml
//! parameters: [{name: indexHosts, type: list(string), default: []}]
//! …
//! to: {hosts: ["${indexHost}"]}
//! ```
//!
//! Write the right name, or declare the parameter. A text that really is `${name}` cannot be written as a whole
//! value.
//!
//! Remedy: declare the parameter in this pack's `parameters`, or write the name of one that is there

use crate::diagnostic::{Code, Severity};

/// Unknown parameter.
pub const CODE: Code = Code::new("BW0202", "unknown parameter", Severity::Error, include_str!("bw0202_unknown_parameter.rs"));
