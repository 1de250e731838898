//! `"${name}"` stands where no parameter is taken: in a CEL expression, for a boolean, for a whole list, or in what
//! identifies the pack.
//!
//! ```yaml
//! to: {hosts: "${indexHosts}"}        # a whole list
//! ```
//!
//! In CEL write `params.name`. For a list write `["${name}"]`: a whole list parameter is spliced in.
//!
//! Remedy: write `params.name` in an expression, and `["${name}"]` to splice a list; elsewhere write the value out

use crate::diagnostic::{Code, Severity};

/// No parameter may stand here.
pub const CODE: Code = Code::new("BW0213", "no parameter may stand here", Severity::Error, include_str!("bw0213_parameter_place.rs"));
