//! `extends` names a pack that the library does not hold.
//!
//! ```yaml
//! extends: [{name: restricted-agents, version: "^1"}]
//! ```
//!
//! Write the right name, or put the pack where `--library` looks: by default the folder beside this pack.
//!
//! Remedy: write the right name, or put the pack where `--library` looks

use crate::diagnostic::{Code, Severity};

/// Unknown pack.
pub const CODE: Code = Code::new("BW0207", "unknown pack", Severity::Error, include_str!("bw0207_unknown_pack.rs"));
