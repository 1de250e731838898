//! The root of the language: what a pack is, what it extends, its parameters and whom it governs.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admission::Admission;
use crate::network::{Image, Network};
use crate::pod_security::PodSecurity;
use crate::sandbox::{Pool, Sandbox};
use crate::scalar::closed;
use crate::scalar::{Duration, ParameterType, Version, VersionRequirement};
use crate::selector::LabelSelector;
use crate::status::PolicyPackStatus;
use crate::tools::Tools;

/// A policy pack: one human-authored source for every control of a subject's pods, sandboxes and tools.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bailiwick.dev",
    version = "v1alpha1",
    kind = "PolicyPack",
    schema = "manual",
    status = "PolicyPackStatus",
    derive = "PartialEq",
    shortname = "pack",
    category = "bailiwick",
    printcolumn = r#"{"name": "Pack", "type": "string", "jsonPath": ".spec.pack"}"#,
    printcolumn = r#"{"name": "Version", "type": "string", "jsonPath": ".spec.version"}"#,
    printcolumn = r#"{"name": "Compiled", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Compiled')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Compiled')].reason"}"#,
    printcolumn = r#"{"name": "Description", "type": "string", "jsonPath": ".spec.description", "priority": 1}"#,
    printcolumn = r#"{"name": "Digest", "type": "string", "jsonPath": ".status.digest", "priority": 1}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self == oldSelf",
        "message": "the spec of a published version does not change; publish another version",
    },
]))]
pub struct PolicyPackSpec {
    /// Name of the pack; with `version` it makes the object's name.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub pack: String,
    /// Semantic version of the pack. The spec of a published version is immutable.
    pub version: Version,
    /// What the pack is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Packs that this one is met with: what the whole allows, every one of them allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub extends: Vec<Extends>,
    /// Values that a binding or an extending pack may choose, each with its domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub parameters: Vec<Parameter>,
    /// Whom the pack governs in a cluster; absent: it is a ceiling for the packs that extend it and governs
    /// nobody by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Subjects>,
    /// How governed pods are isolated; absent: not constrained by this pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Who may talk to whom; absent: not constrained by this pack. Present: both directions are denied unless a
    /// rule allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Which images may run; absent: not constrained by this pack. Present: an image that no entry matches is
    /// denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<Image>>,
    /// Pools of executor pods, in which sandboxes run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pools: Option<Vec<Pool>>,
    /// What runs on behalf of a tool, and with what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sandboxes: Option<Vec<Sandbox>>,
    /// Tools of agents and the rules over their calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
    /// Rules over the objects that are sent to the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// What is kept of calls and admissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// A pack that this one extends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extends {
    /// Name of the pack.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// Versions that will do, as in Cargo: `^1.0`, `>=1.2, <2`. `pack.lock` pins the one that is taken.
    pub version: VersionRequirement,
    /// Values for its parameters, inside their domains. All its parameters may be chosen here if they are
    /// bindable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::scalar::any_map")]
    pub parameters: BTreeMap<String, serde_json::Value>,
}

/// A parameter: `"${name}"` takes its whole value, `params.name` reads it in CEL and Rego. Pack-scoped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// Name of the parameter; `"${name}"` stands for its value.
    #[schemars(extend("pattern" = crate::scalar::IDENTIFIER_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// `string`, `quantity`, `duration`, `int`, `bool`, `list(string)`, `list(int)` or `enum(a,b)`.
    #[serde(rename = "type")]
    pub type_: ParameterType,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value when nobody chooses one; absent: it must be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any")]
    pub default: Option<serde_json::Value>,
    /// Whether a binding or an extending pack may choose it.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub bindable: bool,
    /// The values that may be chosen (of a list: its elements).
    #[serde(rename = "enum", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_list")]
    pub enum_: Option<Vec<serde_json::Value>>,
    /// A regular expression that the whole string (of a list: each element) must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Of a list: the elements that may be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_list")]
    pub subset_of: Option<Vec<serde_json::Value>>,
    /// The least int, quantity or duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any")]
    pub minimum: Option<serde_json::Value>,
    /// The greatest int, quantity or duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any")]
    pub maximum: Option<serde_json::Value>,
    /// The greatest length of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::count")]
    pub max_items: Option<i64>,
}

/// The pods that the pack governs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subjects {
    /// Namespaces whose pods are governed.
    pub namespaces: NamespaceSubjects,
    /// Labels that governed pods have; absent: every pod of these namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,
    /// What becomes of pods of these namespaces that no pack selects.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub unmatched: Unmatched,
}

/// Namespaces that hold governed pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSubjects {
    /// Labels that these namespaces have.
    pub selector: LabelSelector,
    /// Whether they hold nothing but governed pods, so that namespace-wide controls may be emitted.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub exclusive: bool,
}

closed! {
    /// The fate of pods in governed namespaces that no pack selects.
    pub enum Unmatched {
        /// Not this pack's business.
        Allow = "Allow",
        /// Such pods are refused.
        Deny = "Deny",
    }
    default Allow
}

/// How governed pods are isolated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Isolation {
    /// The Pod Security Standard that each pod must meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// The RuntimeClasses that a pod may name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class: Option<RuntimeClassRules>,
    /// Whether a pod may hold a service account token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountToken>,
}

/// Allowed RuntimeClasses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeClassRules {
    /// The classes that a pod may name.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub classes: Vec<RuntimeClass>,
    /// The class that is written into a pod which names none; absent: such a pod is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub default: Option<String>,
}

/// A RuntimeClass of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeClass {
    /// `metadata.name` of the RuntimeClass.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// `handler` of the RuntimeClass, as the container runtime knows it.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub handler: String,
    /// What kind of isolation the handler gives; decides which other controls are inert.
    pub kind: RuntimeKind,
    /// Whether the cluster's Pod Security admission exempts the class (`exemptions.runtimeClasses` of its configuration, which no program can read
    /// back), so that the labels of a namespace hold no pod of the class to a level.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub pod_security_exempt: bool,
}

closed! {
    /// Kinds of container runtimes.
    pub enum RuntimeKind {
        /// Shares the host's kernel.
        Runc = "Runc",
        /// gVisor: a kernel in user space; seccomp profiles of the pod are ignored.
        GVisor = "GVisor",
        /// A virtual machine; seccomp in the guest is off by default.
        Kata = "Kata",
    }
}

closed! {
    /// Whether governed pods may hold a service account token.
    pub enum ServiceAccountToken {
        /// Tokens are mounted as Kubernetes does by default.
        Allowed = "Allowed",
        /// `automountServiceAccountToken` must be false and no projected token may be mounted.
        Forbidden = "Forbidden",
    }
}

/// What is kept of calls and admissions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audit {
    /// Arguments of tool calls; absent: `Commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Keep>,
    /// Results of tool calls; absent: `Commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Keep>,
    /// How long records are kept at least; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
    /// Whether an admission decision must be recorded before it is answered; absent: `Optional`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<AuditAdmission>,
}

closed! {
    /// How a value is kept in the audit log.
    pub enum Keep {
        /// A salted commitment: it can be proved later, not read.
        Commit = "Commit",
        /// The value is recorded as it is.
        Plain = "Plain",
        /// Nothing of the value is recorded.
        Drop = "Drop",
    }
}

closed! {
    /// Whether admission decisions must be recorded.
    pub enum AuditAdmission {
        /// A decision that cannot be recorded is a denial.
        Required = "Required",
        /// Bailiwick records no admission; the API server's audit log, where it is on, holds the decisions.
        Optional = "Optional",
    }
}
