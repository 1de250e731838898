//! A parameter has no default, and nobody chose a value.
//!
//! ```yaml
//! parameters: [{name: zone, type: string, bindable: true}]
//! ```
//!
//! Give it a default, or choose a value with a binding, an `extends` entry, or `--set`.
//!
//! Remedy: give it a `default`, or choose a value with a binding, an `extends` entry, or `--set`

use crate::diagnostic::{Code, Severity};

/// Parameter without a value.
pub const CODE: Code = Code::new("BW0206", "parameter without a value", Severity::Error, include_str!("bw0206_unset_parameter.rs"));
