//! What controllers say of an object: conditions, and which generation of its spec they speak of.
//!
//! Not what the object asks for: nobody but a controller writes a status, and nothing is decided by one.
//!
//! The conditions of our kinds, each with a `reason` in CamelCase: `Compiled` (the text is a policy), `Enforced` (every artifact of it is
//! in place at the stage that is asked for), `Ready` (what runs, runs the expected bundle).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What runs, runs the expected bundle.
pub const READY: &str = "Ready";

/// Conditions as in `metav1.Condition`: one of each type.
/// <https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties>
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "What is the case, by type.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One aspect of the object's state.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "type": "string", "maxLength": 316, "pattern": "^[A-Za-z]([-A-Za-z0-9_./]*[A-Za-z0-9])?$",
                    "description": "The aspect: `Compiled`, `Enforced` or `Ready`.",
                },
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "`True`, `False` or `Unknown`.",
                },
                "observedGeneration": {
                    "type": "integer", "x-bailiwick-plain": true, "minimum": 0,
                    "description": "The `metadata.generation` that this is about.",
                },
                "lastTransitionTime": {
                    "type": "string", "x-bailiwick-date-time": true,
                    "description": "When `status` changed last.",
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "Why, as one word for programs.",
                },
                "message": { "type": "string", "maxLength": 32768, "description": "Why, for people." },
            },
        },
    })
}

/// The generation that a status speaks of.
pub(crate) fn generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "x-bailiwick-plain": true, "minimum": 0 })
}

/// Pattern of a SHA-256 in hex.
pub(crate) const DIGEST_PATTERN: &str = "^[0-9a-f]{64}$";

/// What became of a pack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPackStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "generation")]
    pub observed_generation: Option<i64>,
    /// What is the case, by type: `Compiled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// SHA-256 (hex) of the canonical JSON of the spec as authored, which `pack.lock` and bindings name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = DIGEST_PATTERN))]
    pub digest: Option<String>,
}
