//! A pack that it extends is a ceiling: the two are met, so what only this pack allows would be denied. An author who
//! writes it expects otherwise, and a reviewer who reads it is misled.
//!
//! ```yaml parent
//! network:
//!   egress:
//!   - {name: web, to: {cidr: 192.0.2.0/25}, ports: [{port: 443}]}
//! ```
//!
//! ```yaml fails
//! extends: [{name: base, version: "^1.0"}]
//! network:
//!   egress:
//!   - {name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: 443}]}
//! ```
//!
//! ```text
//! error[BW0227] at spec.network.egress[0]: egress rule `web` allows connections that `base` does not
//!   help: an extended pack is a ceiling: allow no more than `base` does
//!   spec.network.egress: the ceiling of `base`
//! ```
//!
//! ```yaml passes
//! extends: [{name: base, version: "^1.0"}]
//! network:
//!   egress:
//!   - {name: web, to: {cidr: 192.0.2.64/26}, ports: [{port: 443}]}
//! ```
//!
//! Remedy: allow no more than the extended pack does

use crate::diagnostic::{Code, Severity};

/// Extension adds a permission.
pub const CODE: Code = Code::new("BW0227", "extension adds a permission", Severity::Error, include_str!("bw0227_widens_parent.rs"));
