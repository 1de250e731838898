//! A number, a text's length or a list's length is outside what the field allows.
//!
//! ```yaml
//! ports: [{port: 70000}]
//! ```
//!
//! Write a value inside the range that the message names.
//!
//! Remedy: write a value inside the range

use crate::diagnostic::{Code, Severity};

/// Number or length out of range.
pub const CODE: Code = Code::new("BW0111", "number or length out of range", Severity::Error, include_str!("bw0111_out_of_range.rs"));
