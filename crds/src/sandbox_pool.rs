//! Where sandboxes run in a cluster: executor pods of one kind, in one namespace.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD. The kind takes neither a
//! pod template nor a security context: what the pods are is the pack's business.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::binding::{PackReference, Rollout};
use crate::scalar::closed;
use crate::status::DIGEST_PATTERN;

/// Keeps executor pods that run the tool calls of one pack.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bailiwick.dev",
    version = "v1alpha1",
    kind = "SandboxPool",
    schema = "manual",
    namespaced,
    status = "SandboxPoolStatus",
    derive = "PartialEq",
    shortname = "pool",
    category = "bailiwick",
    printcolumn = r#"{"name": "Pack", "type": "string", "jsonPath": ".spec.pack.name"}"#,
    printcolumn = r#"{"name": "Pool", "type": "string", "jsonPath": ".spec.pool"}"#,
    printcolumn = r#"{"name": "Desired", "type": "integer", "jsonPath": ".spec.replicas"}"#,
    printcolumn = r#"{"name": "Ready", "type": "integer", "jsonPath": ".status.readyReplicas"}"#,
    printcolumn = r#"{"name": "Tier", "type": "string", "jsonPath": ".status.tier"}"#,
    printcolumn = r#"{"name": "Digest", "type": "string", "jsonPath": ".status.digest", "priority": 1}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.runtime == oldSelf.runtime",
        "message": "the runtime of a pool does not change; make another pool",
        "fieldPath": ".runtime",
    },
    {
        "rule": "self.pool == oldSelf.pool && self.pack.name == oldSelf.pack.name",
        "message": "a pool stays with its pack and the pack's pool; make another pool",
    },
]))]
pub struct SandboxPoolSpec {
    /// What runs the executors. It does not change.
    pub runtime: PoolRuntime,
    /// The pack whose tools run here, in one version.
    pub pack: PackReference,
    /// Name of the pool in the pack's `spec.pools`.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub pool: String,
    /// Values for the pack's parameters that are bindable, as a binding gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::binding::values")]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Executor pods.
    #[schemars(schema_with = "replicas")]
    pub replicas: u32,
    /// Image of the executor, by digest.
    #[schemars(extend("maxLength" = 512, "pattern" = "^[a-z0-9][-a-zA-Z0-9._:/]*@sha256:[0-9a-f]{64}$"))]
    pub image: String,
    /// How the pool comes to a new bundle; absent: `Drain`.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub rollout: Rollout,
}

closed! {
    /// What runs the executors of a pool.
    pub enum PoolRuntime {
        /// A Deployment of executor pods.
        Deployment = "Deployment",
        /// A SandboxTemplate and a SandboxWarmPool of sigs.k8s.io/agent-sandbox.
        AgentSandbox = "AgentSandbox",
    }
}

/// As many as one etcd-friendly rollout can hold; more is a second pool.
fn replicas(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "x-bailiwick-plain": true, "minimum": 0, "maximum": 1000 })
}

fn counted(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "x-bailiwick-plain": true, "minimum": 0 })
}

/// What became of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxPoolStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::status::generation")]
    pub observed_generation: Option<i64>,
    /// What is the case, by type: `Compiled`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::status::conditions")]
    pub conditions: Vec<Condition>,
    /// Executor pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "counted")]
    pub replicas: Option<u32>,
    /// Executor pods that serve the bundle of `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "counted")]
    pub ready_replicas: Option<u32>,
    /// SHA-256 (hex) of the bundle that the pods must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = DIGEST_PATTERN))]
    pub digest: Option<String>,
    /// What the pods can enforce, as `docs/executor-tiers.md` names it: the least of all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}
