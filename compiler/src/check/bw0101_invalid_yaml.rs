//! The file is not YAML, so nothing can be said about what it means.
//!
//! ```yaml
//! spec:
//!   network: {egress: [      # the bracket is never closed
//! ```
//!
//! Fix the syntax at the place shown. Indentation with tabs, a missing closing bracket or quote, and a text with
//! `: ` in it that is not quoted are the usual causes. Tags that Kubernetes does not know, and integers beyond 64
//! bits, are refused here too.
//!
//! Remedy: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them

use crate::diagnostic::{Code, Severity};

/// Invalid YAML.
pub const CODE: Code = Code::new("BW0101", "invalid YAML", Severity::Error, include_str!("bw0101_invalid_yaml.rs"));
