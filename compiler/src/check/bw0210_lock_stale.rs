//! `pack.lock` does not name exactly the packs that this one extends, directly and further up, in versions that
//! will do.
//!
//! ```yaml
//! # pack.yaml: extends: [{name: restricted-agent, version: "^1.1"}]
//! # pack.lock: packs: [{name: restricted-agent, version: 1.0.0, digest: …}]
//! ```
//!
//! Run `bailiwick compile --lock` and commit what changed.
//!
//! Remedy: run `bailiwick compile --lock` and commit what changed

use crate::diagnostic::{Code, Severity};

/// Pack.lock is stale.
pub const CODE: Code = Code::new("BW0210", "pack.lock is stale", Severity::Error, include_str!("bw0210_lock_stale.rs"));
