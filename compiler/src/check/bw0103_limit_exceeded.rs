//! The file is larger, deeper nested, or grows further by aliases than is read. The limits hold time and memory
//! within bounds whatever is given: a few hundred bytes of aliases can stand for billions of values.
//!
//! ```yaml
//! a: &a [x, x, x, x, x, x, x, x, x]
//! b: &b [*a, *a, *a, *a, *a, *a, *a, *a]   # and so on
//! ```
//!
//! Write the values out, or split the pack: an API server stores objects of at most 1.5 MiB.
//!
//! Remedy: write the values out in place of aliases, or split the pack into fragments

use crate::diagnostic::{Code, Severity};

/// File too large to read.
pub const CODE: Code = Code::new("BW0103", "file too large to read", Severity::Error, include_str!("bw0103_limit_exceeded.rs"));
