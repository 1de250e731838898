//! The field takes one of a closed set of words, and this is none of them. Words are written in PascalCase, as in
//! Kubernetes.
//!
//! ```yaml
//! podSecurity: {level: restrictd, version: v1.36}
//! ```
//!
//! Write one of the words that the help line names.
//!
//! Remedy: write one of the words that the field takes; `docs/formats/pack.md` lists them

use crate::diagnostic::{Code, Severity};

/// Unknown word.
pub const CODE: Code = Code::new("BW0109", "unknown word", Severity::Error, include_str!("bw0109_unknown_word.rs"));
