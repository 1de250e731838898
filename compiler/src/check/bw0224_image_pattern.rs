//! Patterns match the normalised reference without tag and digest: `docker.io/library/nginx`, not `nginx:1`. A pattern
//! that cannot match any such reference is refused, because an author who wrote it believes that it does.
//!
//! ```yaml fails
//! images: [{match: ["nginx:1.27"], digest: Required}]
//! ```
//!
//! ```text
//! error[BW0224] at spec.images[0].match[0]: `nginx:1.27` names no registry, but references are normalised to `registry/name` before they are matched
//!   help: write `registry.example.org/team/**`; tags and digests are not part of a pattern
//! ```
//!
//! ```yaml passes
//! images: [{match: [docker.io/library/nginx], digest: Required}]
//! ```
//!
//! Remedy: write `registry.example.org/team/**`; tags and digests are not part of a pattern

use crate::diagnostic::{Code, Severity};

/// Invalid image pattern.
pub const CODE: Code = Code::new("BW0224", "invalid image pattern", Severity::Error, include_str!("bw0224_image_pattern.rs"));
