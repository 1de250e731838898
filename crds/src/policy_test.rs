//! Tests of a pack: cases, each with what is expected.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Protocol;
use crate::scalar::Duration;
use crate::scalar::closed;

/// Tests of the pack beside which they lie.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bailiwick.dev",
    version = "v1alpha1",
    kind = "PolicyTest",
    schema = "manual",
    derive = "PartialEq",
    namespaced,
    category = "bailiwick"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTestSpec {
    /// Values of the pack's parameters for these cases; absent: the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::scalar::any_map")]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The cases of the test, each judged by itself.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub cases: Vec<TestCase>,
}

/// One case: what happens, and what is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["admission"], ["toolCall"], ["connection"], ["syscall"], ["filesystem"], ["image"]]))]
pub struct TestCase {
    /// What the case shows, in words.
    pub name: String,
    /// A request to the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<AdmissionCase>,
    /// A call of a tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<ToolCallCase>,
    /// A network connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionCase>,
    /// A system call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<SyscallCase>,
    /// Access to a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<FilesystemCase>,
    /// An image to be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageCase>,
    /// What is expected.
    pub expect: Expectation,
}

/// A request to the API server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmissionCase {
    /// Operation of the request.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub operation: CaseOperation,
    /// The object, or `{file: NAME}`: a manifest in the folder of the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_object")]
    pub object: Option<serde_json::Value>,
    /// The object as it was (UPDATE, DELETE), or `{file: NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_object")]
    pub old_object: Option<serde_json::Value>,
    /// The namespace; absent: one that the pack governs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<CaseNamespace>,
    /// The resource in the plural, where its kind does not suggest it: `gateways` of a Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The subresource, as `ephemeralcontainers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// User that makes the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_info: Option<CaseUser>,
    /// What the API server's authorizer says to the questions of rules: the first entry that fits a question answers it. A question that none
    /// fits is an error of the case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorizer: Vec<CaseAnswer>,
}

/// An answer of the API server's authorizer. What is absent fits every question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseAnswer {
    /// The service account that is asked about; absent: whoever it is; with both names empty: who makes the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<CaseServiceAccount>,
    /// The path that is asked about; no question about a resource fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// API group of the resource that is asked about; empty: the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The resource; no question about a path fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The subresource; empty: the resource itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// The namespace; empty: the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name; empty: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The field selector, as the rule writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_selector: Option<String>,
    /// The label selector, as the rule writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
    /// Verb that is asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// Whether it is allowed.
    pub allowed: bool,
    /// Reason that the authorizer gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What went wrong while it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseServiceAccount {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub name: String,
}

closed! {
    /// Operations of the API server.
    pub enum CaseOperation {
        /// An object is made.
        Create = "CREATE",
        /// An object is changed.
        Update = "UPDATE",
        /// An object is removed.
        Delete = "DELETE",
        /// A connection is opened.
        Connect = "CONNECT",
    }
    default Create
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseNamespace {
    /// Its name; absent: the object's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseUser {
    /// Name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Groups of the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolCallCase {
    /// Name of the tool.
    #[schemars(extend("pattern" = crate::scalar::TOOL_PATTERN, "maxLength" = 128))]
    pub tool: String,
    /// Arguments of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_object")]
    pub args: Option<serde_json::Value>,
    /// Agent and user on whose behalf the tool is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<CaseSubject>,
    /// State of the session before the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<CaseSession>,
    /// Time of the call, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// What it gives, if it is let through: rules of phase `Result` are asked then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<CaseResult>,
}

/// What a call gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseResult {
    /// How it ends; absent: `Exited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Its exit code; absent: 0 if it is `Exited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::int")]
    pub exit_code: Option<i64>,
    /// The signal that ended it; absent: none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::int")]
    pub signal: Option<i64>,
    /// What it writes to standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// What it writes to standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// What stands in the file that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The paths that it lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Bytes that a limit cut off of the output or the file; of a listing that is not complete 1. Absent: 0, nothing was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::count")]
    pub dropped: Option<i64>,
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseSubject {
    /// Name of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The user it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Namespace of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Groups the caller belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Labels of the caller, as `subject.labels` has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Principals that the call was delegated through, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// The session so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseSession {
    /// Time since the session was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Duration>,
    /// Number of calls that were admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::int")]
    pub calls: Option<i64>,
    /// Values of the counters, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, i64>,
    /// What was used of the budgets, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, i64>,
    /// Labels that the session has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Calls that were made before, each decided in turn: what they count and use comes on top of `calls`, `counters` and `budgets`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PriorCall>,
}

/// A call that was made before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriorCall {
    /// Name of the tool.
    #[schemars(extend("pattern" = crate::scalar::TOOL_PATTERN, "maxLength" = 128))]
    pub tool: String,
    /// Arguments of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_object")]
    pub args: Option<serde_json::Value>,
    /// How often; absent: once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::count")]
    pub times: Option<i64>,
    /// What is decided of it, each time; absent: anything but Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// A network connection, outgoing or incoming.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["to"], ["from"]]))]
pub struct ConnectionCase {
    /// The sandbox it comes from; absent: a governed pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub sandbox: Option<String>,
    /// Where it goes: `host:port`, `192.0.2.1:443`, `[2001:db8::1]:443`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Where it comes from: an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// With `from`: the port of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::port")]
    pub port: Option<i64>,
    /// With `to` or `from`: the pod at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<CasePeer>,
    /// The transport protocol.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub protocol: Protocol,
}

/// A pod at the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CasePeer {
    /// Labels of its namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_labels: BTreeMap<String, String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether its namespace is the governed pod's own; absent: it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<PeerNamespace>,
}

closed! {
    /// Which namespace a pod at the other end is in.
    pub enum PeerNamespace {
        /// That of the governed pod.
        Own = "Own",
        /// Another one.
        Another = "Another",
    }
}

/// Access to a file of a sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesystemCase {
    /// The sandbox.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub sandbox: String,
    /// The path, absolute and without `.`, `..` and `//`.
    pub path: String,
    /// What is done with it.
    pub access: FileAccess,
}

closed! {
    /// What is done with a file.
    pub enum FileAccess {
        /// It is read.
        Read = "Read",
        /// It is made, changed or removed.
        Write = "Write",
    }
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyscallCase {
    /// The sandbox it is made in.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub sandbox: String,
    /// Name of the service account.
    pub name: String,
    /// Its first arguments; absent: a call that goes through for some arguments counts as allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<i64>,
}

/// An image to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageCase {
    /// The reference.
    pub reference: String,
    /// What a registry would show; absent: nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What a registry would show of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// The digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Valid signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<EvidenceSignature>,
    /// Valid attestations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<EvidenceAttestation>,
}

/// A valid signature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceSignature {
    /// The OIDC issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

/// A valid attestation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceAttestation {
    /// Type of the predicate.
    pub predicate_type: String,
    /// The OIDC issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The predicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_object")]
    pub predicate: Option<serde_json::Value>,
}

/// What is expected; what is not named is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// Of admission, connection, filesystem and image: whether it is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// Of a tool call: the effect; `Deny` also where its result is withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Of a tool call: whether its subject is told of the tool, in this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// Of a tool call that runs or is asked about: all its arguments, as transformed by rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any_object")]
    pub args: Option<serde_json::Value>,
    /// Of a tool call that runs or is asked about: the sandbox, as narrowed by rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub sandbox: Option<String>,
    /// Of a tool call with a result: what is delivered of it. If people are asked: once they approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Delivered>,
    /// Of a tool call: the labels that its session gets and loses, by the call and by its result. If people are asked: once they approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<ExpectedLabels>,
    /// Of a system call: what the kernel does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<SyscallAction>,
    /// The rule that decided: an authored rule's name, or a section as `podSecurity`, `images`, `subjects`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A regular expression that must be found in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_pattern: Option<String>,
    /// A regular expression that must be found in one of the warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_pattern: Option<String>,
    /// Of admission: fields of the object after mutation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<ExpectedField>,
}

/// What is delivered of a result; what is not named is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivered {
    /// Standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// Standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// The file that it read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Labels that a session gets and loses, each as its name or as `PACK/NAME`; what is not named is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedLabels {
    /// All those that it did not have and gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Vec<String>>,
    /// All those that it had and loses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Vec<String>>,
}

closed! {
    /// Effects of a decision on a tool call.
    pub enum Effect {
        /// It runs.
        Allow = "Allow",
        /// It does not run.
        Deny = "Deny",
        /// People decide.
        Ask = "Ask",
    }
}

closed! {
    /// What the kernel does with a system call.
    pub enum SyscallAction {
        /// Carries it out.
        Allow = "Allow",
        /// Refuses it with an error.
        Errno = "Errno",
        /// Ends the process.
        Kill = "Kill",
    }
}

/// A field of the object after mutation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedField {
    /// The field path.
    pub field: String,
    /// The value; absent: the field must not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::any")]
    pub value: Option<serde_json::Value>,
}
