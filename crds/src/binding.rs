//! What a cluster owner says beside packs: which pack is in force with which values, and what is excepted from it.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD. No parameter may stand
//! in these kinds, so their numbers are numbers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::scalar::{Duration, Version, closed};
use crate::selector::LabelSelector;
use crate::status::DIGEST_PATTERN;

/// Puts a pack in force: with values for its parameters, for some of its subjects, at a stage.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bailiwick.dev",
    version = "v1alpha1",
    kind = "PolicyBinding",
    schema = "manual",
    status = "PolicyBindingStatus",
    derive = "PartialEq",
    shortname = "pb",
    category = "bailiwick",
    printcolumn = r#"{"name": "Pack", "type": "string", "jsonPath": ".spec.pack.name"}"#,
    printcolumn = r#"{"name": "Version", "type": "string", "jsonPath": ".status.version"}"#,
    printcolumn = r#"{"name": "Stage", "type": "string", "jsonPath": ".status.stage"}"#,
    printcolumn = r#"{"name": "Enforced", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Enforced')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Enforced')].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.pack.name == oldSelf.pack.name",
        "message": "a binding stays with its pack; make another one for another pack",
        "fieldPath": ".pack.name",
    },
    {
        "rule": "!has(self.hold)",
        "message": "`hold` is not supported; watch what a stage denies and set `stage` by hand",
        "fieldPath": ".hold",
    },
    {
        "rule": "!has(self.rollout) || self.rollout == 'Drain'",
        "message": "`Immediate` is for a SandboxPool; a binding rolls nothing out",
        "fieldPath": ".rollout",
    },
]))]
pub struct PolicyBindingSpec {
    /// The pack, in one version.
    pub pack: PackReference,
    /// Values for the pack's parameters that are bindable, each inside the parameter's domain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "values")]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Which of the pack's subjects; absent: all of them. It is met with the pack's own selectors, so it can only leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrow_to: Option<NarrowTo>,
    /// How far the pack is in force; absent: `Enforce`.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub stage: Stage,
    /// How pools come to a new bundle; absent: `Drain`. `Immediate` is refused until it is built; a SandboxPool takes it.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub rollout: Rollout,
    /// When the way from stage to stage stops by itself; absent: never. Refused until it is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// Names as they stand in `parameters`, with any values: their types are the pack's business.
pub(crate) fn values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// One version of a pack, by version or by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["version"], ["digest"]]))]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.version) != has(self.digest)",
        "message": "name either a version or a digest",
    },
]))]
pub struct PackReference {
    /// Name of the pack, without version.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// Version of the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The digest of the pack's spec, as its status says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = DIGEST_PATTERN, "maxLength" = 64))]
    pub digest: Option<String>,
}

/// A part of a pack's subjects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-some-of" = ["namespaces", "pods"]))]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.namespaces) || has(self.pods)",
        "message": "name namespaces, pods or both; leave `narrowTo` away to narrow nothing",
    },
]))]
pub struct NarrowTo {
    /// Labels of the namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Labels that the pods must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,
}

closed! {
    /// How far a pack is in force.
    pub enum Stage {
        /// What it would deny is recorded.
        Audit = "Audit",
        /// Who asks is warned as well.
        Warn = "Warn",
        /// What it denies is refused.
        Enforce = "Enforce",
    }
    default Enforce
}

closed! {
    /// How pools come to a new bundle.
    pub enum Rollout {
        /// Calls that are running may finish under the old bundle.
        Drain = "Drain",
        /// No new call starts under the old bundle.
        Immediate = "Immediate",
    }
    default Drain
}

/// When the way from stage to stage stops by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// Denials within `window`, of requests that were allowed before, after which the stage before is in force again.
    #[schemars(schema_with = "denials")]
    pub max_new_denials: u32,
    /// The time over which denials are counted.
    pub window: Duration,
}

fn denials(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "x-bailiwick-plain": true, "minimum": 0, "maximum": 1_000_000 })
}

/// What became of a binding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyBindingStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::status::generation")]
    pub observed_generation: Option<i64>,
    /// What is the case, by type: `Compiled`, `Enforced`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::status::conditions")]
    pub conditions: Vec<Condition>,
    /// The version of the pack that is in force, which stays the last good one while a newer one does not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The digest of the pack that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = DIGEST_PATTERN))]
    pub digest: Option<String>,
    /// The digest of the policy in force: its bundle is in the ConfigMap `bailiwick-<digest>` of the operator's namespace, and outlives the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = DIGEST_PATTERN))]
    pub bundle: Option<String>,
    /// The stage that is in force; a hold keeps it behind the one that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What the binding chose for the policy that is in force, which stays while it asks for something that does not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// What of the policy in force stays protected if its pack cannot be compiled again: where and for what the webhook is called, and the packs that it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "opaque")]
    pub if_lost: Option<serde_json::Value>,
    /// The cells that this binding takes part in, each with the digest of its bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub cells: Vec<CellStatus>,
}

/// An object that only the operator writes and reads, as a whole: what others add to it goes with its next write.
fn opaque(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// What a binding adds to its pack. In a status the operator writes and compares it as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Chosen {
    /// As in the spec.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "values")]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// As in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrow_to: Option<NarrowTo>,
}

/// A cell in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CellStatus {
    /// Value of label `bailiwick.dev/cell`.
    pub name: String,
    /// SHA-256 (hex) of its bundle.
    #[schemars(extend("pattern" = DIGEST_PATTERN))]
    pub digest: String,
}

/// Excepts named objects from one rule of a pack, for a time. Stands in the policy namespace only; the rule must be `exceptable`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bailiwick.dev",
    version = "v1alpha1",
    kind = "PolicyException",
    schema = "manual",
    namespaced,
    status = "PolicyExceptionStatus",
    derive = "PartialEq",
    shortname = "pex",
    category = "bailiwick",
    printcolumn = r#"{"name": "Pack", "type": "string", "jsonPath": ".spec.pack"}"#,
    printcolumn = r#"{"name": "Rule", "type": "string", "jsonPath": ".spec.rule"}"#,
    printcolumn = r#"{"name": "Expires", "type": "string", "jsonPath": ".spec.expires"}"#,
    printcolumn = r#"{"name": "Approver", "type": "string", "jsonPath": ".spec.approver"}"#,
    printcolumn = r#"{"name": "Enforced", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Enforced')].status"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self == oldSelf",
        "message": "an exception is not changed: delete it and ask for another",
    },
]))]
pub struct PolicyExceptionSpec {
    /// Name of the pack, without version: an exception outlives an update of the pack.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub pack: String,
    /// Name of the rule in `spec.admission.rules`.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub rule: String,
    /// The objects that the rule does not hold for.
    #[schemars(extend("minItems" = 1, "maxItems" = 32))]
    pub objects: Vec<ExceptedObject>,
    /// Why, for whoever reads the record.
    #[schemars(extend("minLength" = 1, "maxLength" = 1024))]
    pub reason: String,
    /// When it ends by itself: at most 30 days after it was made.
    #[schemars(extend("x-bailiwick-date-time" = true, "maxLength" = 40))]
    pub expires: String,
    /// Who made it. Admission writes it; what is written by hand is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 253))]
    pub approver: Option<String>,
}

/// Objects of a kind in a namespace: one by name, or those whose names begin alike, as the pods of a Deployment do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["name"], ["namePrefix"]]))]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.name) != has(self.namePrefix)",
        "message": "name either an object or a prefix of names",
    },
]))]
pub struct ExceptedObject {
    /// Resource, in the plural: `pods`, `deployments`.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub resource: String,
    /// Namespace of the object.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub namespace: String,
    /// Name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 253, "minLength" = 1))]
    pub name: Option<String>,
    /// Text that the name of the object begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 253, "minLength" = 1))]
    pub name_prefix: Option<String>,
}

/// What became of an exception.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyExceptionStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::status::generation")]
    pub observed_generation: Option<i64>,
    /// What is the case, by type: `Enforced`, which is False once it has expired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::status::conditions")]
    pub conditions: Vec<Condition>,
}
