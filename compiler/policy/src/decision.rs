//! What a decision says: its verdict, the rules, the reasons, the positions in the object, and the remedies.

use serde::{Deserialize, Serialize};

/// The verdict on one admission request, by all policies that govern it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// Cells of the policies that governed it; empty: none did.
    pub cells: Vec<String>,
    /// What was found, denials first, then in the order of packs and rules.
    pub findings: Vec<Finding>,
    /// Key and value for the API server's audit log.
    pub audit_annotations: Vec<(String, String)>,
    /// JSON Patch (RFC 6902) operations; only from mutation.
    pub patch: Vec<PatchOperation>,
}

/// One result of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it does to the request.
    pub effect: Effect,
    /// `name@version` of the pack.
    pub pack: String,
    /// Name of the rule, or of the section that made it: `podSecurity`, `runtimeClass`,
    /// `serviceAccountToken`, `network`, `images`, `subjects`.
    pub rule: String,
    /// Why, for people to read.
    pub message: String,
    /// Where in the object, such as `spec.containers[0].securityContext.privileged`; empty: the object as a
    /// whole.
    pub field: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// A `metav1.StatusReason`.
    pub reason: String,
}

/// What a finding does to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Effect {
    /// Denies it.
    Deny,
    /// Shown to the client.
    Warn,
    /// Recorded only.
    Audit,
}

/// One operation of a JSON Patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PatchOperation {
    /// `add`, `replace` or `remove`.
    pub op: PatchOp,
    /// A JSON Pointer (RFC 6901).
    pub path: String,
    /// The value; absent for `remove`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// The operations that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are RFC 6902's")]
pub enum PatchOp {
    Add,
    Replace,
    Remove,
}
