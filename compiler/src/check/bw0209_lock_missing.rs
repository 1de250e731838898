//! The pack extends others, and no `pack.lock` says which ones exactly. Without it the same pack could compile to
//! another policy tomorrow.
//!
//! ```yaml
//! extends: [{name: restricted-agent, version: "^1"}]     # and no pack.lock
//! ```
//!
//! Run `bailiwick compile --lock` and commit `pack.lock`.
//!
//! Remedy: run `bailiwick compile --lock` and commit `pack.lock`

use crate::diagnostic::{Code, Severity};

/// Pack.lock is missing.
pub const CODE: Code = Code::new("BW0209", "pack.lock is missing", Severity::Error, include_str!("bw0209_lock_missing.rs"));
