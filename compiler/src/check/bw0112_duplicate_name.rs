//! Two elements of a list have the same name. Other parts of the pack and every report name them, so the names must
//! differ.
//!
//! ```yaml
//! rules:
//! - {name: limits, …}
//! - {name: limits, …}
//! ```
//!
//! Rename one of them.
//!
//! Remedy: rename one of the two

use crate::diagnostic::{Code, Severity};

/// Duplicate name.
pub const CODE: Code = Code::new("BW0112", "duplicate name", Severity::Error, include_str!("bw0112_duplicate_name.rs"));
