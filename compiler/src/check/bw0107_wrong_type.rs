//! A value is of another type than the field. Words such as `on`, `yes` and `no` are booleans and `1.10` is a
//! number unless they stand in quotes.
//!
//! ```yaml
//! isolation: Restricted      # an object is expected
//! ```
//!
//! Write a value of the type that the message names. A field without a value is `null`: leave it out instead.
//!
//! Remedy: write a value of the type that the message names; quote words and numbers that are meant as text

use crate::diagnostic::{Code, Severity};

/// Wrong type.
pub const CODE: Code = Code::new("BW0107", "wrong type", Severity::Error, include_str!("bw0107_wrong_type.rs"));
