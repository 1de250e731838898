//! A pack of the library has another digest than `pack.lock` says: the same name and version, another content.
//! Published versions are immutable, so somebody changed one, or the lock was edited.
//!
//! ```yaml
//! packs: [{name: restricted-agent, version: 1.0.0, digest: "0000…"}]
//! ```
//!
//! Find out who changed what. If the change is wanted, give the pack a new version; only then run `bailiwick
//! compile --lock`.
//!
//! Remedy: find out who changed the pack; publish a wanted change as a new version, then run `bailiwick compile --lock`

use crate::diagnostic::{Code, Severity};

/// A locked pack has changed.
pub const CODE: Code = Code::new("BW0211", "a locked pack has changed", Severity::Error, include_str!("bw0211_lock_digest.rs"));
