//! A word is no text to kubectl, which reads YAML 1.1. It takes the words `y`, `n`, `yes`, `no`, `on` and `off` for
//! booleans and `0x1f`, `010` and `1.10` for numbers, also as keys; then it stores the key `"true"` or `"31"`. A value
//! such as `1__0` is the number 10 to it, and a text to other readers.
//!
//! ```yaml
//! matchLabels:
//!   on: "1"                  # kubectl stores the label `true`
//! ```
//!
//! Put the key or the text in quotes, or write the number without `_`.
//!
//! Remedy: put it in quotes

use crate::diagnostic::{Code, Severity};

/// A word that is no text to kubectl.
pub const CODE: Code = Code::new("BW0106", "not a text", Severity::Error, include_str!("bw0106_not_text.rs"));
