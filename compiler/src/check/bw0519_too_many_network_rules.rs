//! Each network rule becomes a NetworkPolicy in every governed namespace, and data planes evaluate all of them for
//! every pod. A direction holds at most 1,000.
//!
//! ```text
//! a pack of 1,001 egress rules
//! ```
//!
//! Remedy: put several networks and ports into one rule, or split the pack

use crate::diagnostic::{Code, Severity};

/// Too many network rules.
pub const CODE: Code = Code::new("BW0519", "too many network rules", Severity::Error, include_str!("bw0519_too_many_network_rules.rs"));
