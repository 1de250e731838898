//! Two packs allow connections that they have in common, but no NetworkPolicy can say which: an address range and pods
//! by label, or pods of the own namespace and pods of selected ones. The effective policy denies them, which is
//! tighter than either pack.
//!
//! ```yaml with
//! network:
//!   egress:
//!   - {name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: 443}]}
//! ```
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: cache, to: {namespaces: {matchLabels: {team: web}}}, ports: [{port: 443}]}
//! ```
//!
//! ```text
//! warning[BW0520] in `example` at spec.network.egress[0]: what this rule and another pack's rule have in common cannot be said by a NetworkPolicy, and is denied
//!   help: use the same kind of peer in both packs: networks, pods of namespaces, or pods of the own namespace
//!   spec.network.egress[0]: the other rule
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: 443}]}
//! ```
//!
//! Remedy: use the same kind of peer in both packs: networks, pods of namespaces, or pods of the own namespace

use crate::diagnostic::{Code, Severity};

/// Narrower than the packs say.
pub const CODE: Code = Code::new("BW0520", "narrower than the packs say", Severity::Warning, include_str!("bw0520_narrower_than_meant.rs"));
