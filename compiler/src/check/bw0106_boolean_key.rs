//! YAML 1.1 takes the words `y`, `n`, `yes`, `no`, `on` and `off` for booleans, also as keys; kubectl then stores
//! the key `"true"` or `"false"`.
//!
//! ```yaml
//! matchLabels:
//!   on: "1"                  # kubectl stores the label `true`
//! ```
//!
//! Put the key in quotes.
//!
//! Remedy: put the key in quotes

use crate::diagnostic::{Code, Severity};

/// Key is a boolean.
pub const CODE: Code = Code::new("BW0106", "key is a boolean", Severity::Error, include_str!("bw0106_boolean_key.rs"));
