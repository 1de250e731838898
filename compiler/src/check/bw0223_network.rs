//! A network is written as its lowest address and a prefix length; `except` lies inside `cidr` and leaves something; a
//! range of ports does not end before it begins. Data planes differ in how they read anything else.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: db, to: {cidr: 192.0.2.7/24}, ports: [{port: 5432}]}
//! ```
//!
//! ```text
//! error[BW0223] at spec.network.egress[0].to.cidr: `192.0.2.7/24` has bits set behind its prefix; the network is `192.0.2.0/24`
//!   help: write a network as its lowest address and prefix, `except` inside `cidr`, and `endPort` not below `port`
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: db, to: {cidr: 192.0.2.0/24}, ports: [{port: 5432}]}
//! ```
//!
//! Remedy: write a network as its lowest address and prefix, `except` inside `cidr`, and `endPort` not below `port`

use crate::diagnostic::{Code, Severity};

/// Invalid network rule.
pub const CODE: Code = Code::new("BW0223", "invalid network rule", Severity::Error, include_str!("bw0223_network.rs"));
