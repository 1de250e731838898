//! Each version of the Pod Security Standards has its own checks. A version that this compiler does not have cannot be
//! enforced, and an API server would silently use its newest.
//!
//! ```yaml fails
//! isolation:
//!   podSecurity: {level: Restricted, version: v1.99}
//! ```
//!
//! ```text
//! error[BW0221] at spec.isolation.podSecurity.version: `v1.99` is not a version of the Pod Security Standards that is built in
//!   help: versions are `v1.0` to `v1.37`; `latest` would change under you
//! ```
//!
//! ```yaml passes
//! isolation:
//!   podSecurity: {level: Restricted, version: v1.36}
//! ```
//!
//! Remedy: name a version that is built in

use crate::diagnostic::{Code, Severity};

/// Unknown version of Pod Security.
pub const CODE: Code = Code::new("BW0221", "unknown version of Pod Security", Severity::Error, include_str!("bw0221_pod_security_version.rs"));
