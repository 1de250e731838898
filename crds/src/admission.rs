//! Rules over the objects that are sent to the API server, in the terms of ValidatingAdmissionPolicy.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::closed;
use crate::selector::LabelSelector;

/// Rules over the objects that are sent to the API server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admission {
    /// Rules over objects; each is asked about every request that it matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<AdmissionRule>,
}

/// A rule over objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-some-of" = ["validations", "mutations", "rego"]))]
pub struct AdmissionRule {
    /// Name of the rule.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// When the rule is asked.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Whether a rule over pods also judges the pod templates of workload kinds.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub pod_templates: bool,
    /// Named expressions; later ones may use earlier ones as `variables.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub variables: Vec<Variable>,
    /// What is written in first, in order. Of a pod that exists, an update writes labels, annotations, images and deadlines,
    /// `pods/resize` CPU and memory, and `pods/ephemeralcontainers` the containers that are new; what else a mutation says is left out there.
    /// Other subresources are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mutations: Vec<Mutation>,
    /// What must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<Validation>,
    /// A Rego module that judges in the place of `validations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego: Option<Rego>,
    /// Annotations of the API server's audit record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub audit_annotations: Vec<AuditAnnotation>,
    /// What a failed validation does.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub action: Action,
    /// Whether a PolicyException may relax the rule.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub exceptable: bool,
}

/// When a rule is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Requests that the rule is asked about: those that any of these entries matches.
    #[schemars(extend("minItems" = 1))]
    pub resources: Vec<ResourceRule>,
    /// Requests that the rule is not asked about, although `resources` matches them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_resources: Vec<ResourceRule>,
    /// Labels of the object's namespace, beside the subject's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of the object, old or new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// Conditions, all of which must hold. An error denies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub conditions: Vec<MatchCondition>,
}

/// Resources and operations; `*` is a wildcard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceRule {
    /// API groups; `""` is the core group.
    #[schemars(extend("minItems" = 1))]
    pub api_groups: Vec<String>,
    /// API versions, as `v1`; `*`: all.
    #[schemars(extend("minItems" = 1))]
    pub api_versions: Vec<String>,
    /// Resources, as `pods` or `services/status`. A rule over updates of `pods` is also asked about `pods/ephemeralcontainers` and
    /// `pods/resize`, unless it names or excludes them.
    #[schemars(extend("minItems" = 1))]
    pub resources: Vec<String>,
    /// Operations on these resources.
    #[schemars(extend("minItems" = 1))]
    pub operations: Vec<Operation>,
}

closed! {
    /// Operations of the API server.
    pub enum Operation {
        /// An object is made.
        Create = "CREATE",
        /// An object is changed.
        Update = "UPDATE",
        /// An object is removed.
        Delete = "DELETE",
        /// A connection is opened (exec, attach, port-forward).
        Connect = "CONNECT",
        /// Every operation.
        All = "*",
    }
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchCondition {
    /// Name of the condition.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// CEL expression; must evaluate to bool.
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub expression: String,
}

/// A named expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// Name, by which expressions read it: `variables.NAME`.
    #[schemars(extend("pattern" = crate::scalar::IDENTIFIER_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// CEL expression.
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub expression: String,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// CEL expression; must evaluate to bool.
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub expression: String,
    /// What is said when it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The same, in CEL; falls back to `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub message_expression: Option<String>,
    /// Machine-readable reason of the refusal.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub reason: Reason,
    /// What the author of the manifest can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

closed! {
    /// Machine-readable reasons of a refusal.
    pub enum Reason {
        /// HTTP 401.
        Unauthorized = "Unauthorized",
        /// HTTP 403.
        Forbidden = "Forbidden",
        /// HTTP 422.
        Invalid = "Invalid",
        /// HTTP 413.
        RequestEntityTooLarge = "RequestEntityTooLarge",
    }
    default Invalid
}

/// What is written into an object: a field, or what an expression gives. Must be idempotent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["field"], ["jsonPatch"], ["applyConfiguration"]]))]
#[schemars(extend("x-bailiwick-requires" = { "value": "field", "whenAbsent": "field" }))]
pub struct Mutation {
    /// A field path; `[*]` stands for every element of a list: `spec.containers[*].imagePullPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Whether the field is only written where it is absent.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub when_absent: bool,
    /// The value to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any")]
    pub value: Option<serde_json::Value>,
    /// CEL expression; must evaluate to a list of JSON Patch operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_patch: Option<Expression>,
    /// CEL: a partial object, merged as server-side apply does: lists with keys, as `containers`, element by element; where another list would lose
    /// elements, the write is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_configuration: Option<Expression>,
    /// Rules of this pack that write the same field and yield to this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expression {
    /// CEL expression.
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub expression: String,
}

/// A set of messages; any element is a violation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["file"], ["source"]]))]
pub struct Rego {
    /// Name of a file in `rego/`.
    #[schemars(extend("x-bailiwick-format" = "rego"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The text itself, as `bailiwick compile --as-resource` writes it.
    #[schemars(extend("x-bailiwick-format" = "rego"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The rule, as `data.images.deny`.
    pub rule: String,
}

/// An annotation of the audit record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditAnnotation {
    /// Key of the annotation.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub key: String,
    /// CEL expression; must evaluate to a string, or to null for no annotation.
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub value_expression: String,
}

closed! {
    /// What a failed validation does.
    pub enum Action {
        /// The request is refused.
        Deny = "Deny",
        /// The client is warned.
        Warn = "Warn",
        /// It is recorded in the audit annotations.
        Audit = "Audit",
    }
    default Deny
}
