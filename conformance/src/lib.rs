//! Conformance by oracles that we did not write: a real API server, corpora from other projects' packages,
//! and guards over our own source tree. Nothing depends on this crate.
#![forbid(unsafe_code)]

pub mod api;
pub mod cluster;
pub mod cluster_guide;
pub mod go_module;
pub mod guest;
pub mod helm;
pub mod http;
pub mod https;
pub mod images;
pub mod npm_package;
pub mod nsjail;
pub mod patience;
pub mod pod_security_fixtures;
pub mod programs;
pub mod registry;
