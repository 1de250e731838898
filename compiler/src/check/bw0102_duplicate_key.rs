//! An object has the same key twice. Readers of YAML disagree about which one counts, so that a reviewer and a
//! cluster could see two different packs.
//!
//! ```yaml
//! isolation: {serviceAccountToken: Forbidden}
//! isolation: {}              # which one?
//! ```
//!
//! Keep one of them. A key that comes from `<<` may be written again after it: the one written out counts. Before
//! it, the one written out counts to most readers and the one from `<<` to kubectl, so that is an error.
//!
//! Remedy: keep one of the two

use crate::diagnostic::{Code, Severity};

/// Duplicate key.
pub const CODE: Code = Code::new("BW0102", "duplicate key", Severity::Error, include_str!("bw0102_duplicate_key.rs"));
