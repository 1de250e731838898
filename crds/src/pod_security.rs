//! Levels of the Pod Security Standards, at pinned versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::closed;

/// A Pod Security Standard at a pinned version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurity {
    /// Level of the Pod Security Standards.
    pub level: PodSecurityLevel,
    /// Version of the Pod Security Standards, `v1.N`.
    #[schemars(extend("pattern" = r"^v1\.[0-9]{1,3}$"))]
    pub version: String,
}

closed! {
    /// Levels of the Pod Security Standards, from lax to strict.
    pub enum PodSecurityLevel {
        /// No restriction.
        Privileged = "Privileged",
        /// Prevents known privilege escalations.
        Baseline = "Baseline",
        /// Current hardening practice.
        Restricted = "Restricted",
    }
}
