//! Patterns match the normalised reference without tag and digest: `docker.io/library/nginx`, not `nginx:1`. A pattern
//! that cannot match any such reference is refused, because an author who wrote it believes that it does.
//!
//! `index.docker.io` is normalised to `docker.io`, which gets `library/` where the path has one segment, and a port has no leading
//! zeros.
//!
//! ```yaml fails
//! images: [{match: ["nginx:1.27", docker.io/nginx], digest: Required}, {match: ["index.docker.io/evil/**"], deny: true}]
//! ```
//!
//! ```text
//! error[BW0224] at spec.images[0].match[0]: `nginx:1.27` names no registry, but references are normalised to `registry/name` before they are matched
//!   help: write `registry.example.org/team/**`; tags and digests are not part of a pattern
//! error[BW0224] at spec.images[0].match[1]: `docker.io/nginx` matches nothing, because references are normalised to `docker.io/library/name` before they are matched
//!   help: write `docker.io/library/…`, or `docker.io/**` for all of Docker Hub
//! error[BW0224] at spec.images[1].match[0]: `index.docker.io/evil/**` matches nothing, because references are normalised from `index.docker.io` to `docker.io` before they are matched
//!   help: write `docker.io/…`
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
