//! The files of a pack hold exactly one `PolicyPack` of `bailiwick.dev/v1alpha1`: `pack.yaml`, and fragments of the
//! same object beside it.
//!
//! ```yaml
//! apiVersion: v1
//! kind: ConfigMap
//! ```
//!
//! Move other objects elsewhere; tests lie in `tests/`. A `PolicyTest` in a folder within `tests/`, or in a file that is named
//! neither `.yaml` nor `.yml`, is refused too: it would never be run.
//!
//! Remedy: move the object elsewhere, or write `apiVersion: bailiwick.dev/v1alpha1` and `kind: PolicyPack`

use crate::diagnostic::{Code, Severity};

/// Not one PolicyPack.
pub const CODE: Code = Code::new("BW0114", "not one PolicyPack", Severity::Error, include_str!("bw0114_wrong_document.rs"));
