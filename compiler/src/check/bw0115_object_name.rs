//! `metadata.name` must be `<pack>-<version>`: the specification of a published version is immutable, and in a
//! cluster the versions lie side by side.
//!
//! ```yaml
//! metadata: {name: code-interpreter}
//! spec: {pack: code-interpreter, version: 1.0.0}
//! ```
//!
//! Write the name that the help line gives.
//!
//! Remedy: write `<pack>-<version>` as `metadata.name`

use crate::diagnostic::{Code, Severity};

/// Name does not match pack and version.
pub const CODE: Code = Code::new("BW0115", "name does not match pack and version", Severity::Error, include_str!("bw0115_object_name.rs"));
