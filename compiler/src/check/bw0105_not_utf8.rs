//! The file holds bytes that are not UTF-8 text.
//!
//! ```yaml
//! description: "caf\xe9"       # Latin-1 on disk
//! ```
//!
//! Save the file as UTF-8, the only encoding that an API server takes.
//!
//! Remedy: save the file as UTF-8

use crate::diagnostic::{Code, Severity};

/// Not UTF-8.
pub const CODE: Code = Code::new("BW0105", "not UTF-8", Severity::Error, include_str!("bw0105_not_utf8.rs"));
