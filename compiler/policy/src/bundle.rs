//! A policy together with the digest of the bytes that it was read from.

use crate::policy::Policy;

/// A policy that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The policy.
    pub policy: Policy,
    /// SHA-256 (hex) over the bytes of the bundle.
    pub digest: String,
}
