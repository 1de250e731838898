//! The library holds the pack, but no version that `extends` asks for; or two packs of one lineage ask for versions
//! that no single one satisfies.
//!
//! ```yaml
//! extends: [{name: restricted-agent, version: "^2"}]     # the library holds 1.0.0
//! ```
//!
//! Ask for a version that is there. Pre-releases are taken only by requirements that name one.
//!
//! Remedy: ask for a version that the library holds

use crate::diagnostic::{Code, Severity};

/// No version fits.
pub const CODE: Code = Code::new("BW0208", "no version fits", Severity::Error, include_str!("bw0208_no_version.rs"));
