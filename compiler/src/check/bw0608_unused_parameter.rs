//! A parameter is declared and nothing uses it: choosing it changes nothing.
//!
//! ```yaml
//! parameters: [{name: size, type: quantity, default: 64Mi}]   # and no "${size}", no params.size
//! ```
//!
//! Use it, or take it out.
//!
//! Remedy: use the parameter as `${name}` or `params.name`, or take it out

use crate::diagnostic::{Code, Severity};

/// Parameter without effect.
pub const CODE: Code = Code::new("BW0608", "parameter without effect", Severity::Warning, include_str!("bw0608_unused_parameter.rs"));
