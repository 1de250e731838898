//! The compiled policy travels to clusters in a ConfigMap, which holds a megabyte. A bundle of more than 900 KiB under gzip is refused
//! here rather than there.
//!
//! ```text
//! a pack whose rules compile to more than 900 KiB
//! ```
//!
//! Remedy: split the pack, or shorten its rules

use crate::diagnostic::{Code, Severity};

/// Bundle that does not fit.
pub const CODE: Code =
    Code::new("BW0523", "bundle that does not fit", Severity::Error, include_str!("bw0523_bundle_size.rs"));
