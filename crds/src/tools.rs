//! Tools of agents, and the rules over their calls.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Duration;
use crate::scalar::closed;

/// Tools of agents and the rules over their calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tools {
    /// The tools. A call of any other is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub definitions: Vec<Tool>,
    /// Groups of people who may approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub approvers: Vec<Approvers>,
    /// What is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The rules. Grants: `allow`, `ask`. Restrictions: `deny`, `throttle`, `narrow`, `confirm`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<ToolRule>,
}

/// A tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    /// Name, as `shell.exec`.
    #[schemars(extend("pattern" = crate::scalar::TOOL_PATTERN, "maxLength" = 128))]
    pub name: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments (closed keyword subset).
    #[schemars(schema_with = "crate::scalar::any_object")]
    pub input: serde_json::Value,
    /// What a call does.
    pub run: Run,
    /// Facts that are taken from arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derive: Vec<Derive>,
    /// What becomes of a call that no grant matches; absent: it is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
    /// Whether a call may read from its caller while it runs.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub stdin: Stdin,
    /// Labels that a call may add to its session; its session has them as soon as the call is admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_add: Vec<String>,
}

/// What a call of a tool does: it runs in a sandbox, or is passed on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["sandbox"], ["mcp"], ["http"]]))]
#[schemars(extend("x-bailiwick-at-most-one-of" = ["argv", "code"]))]
pub struct Run {
    /// The sandbox that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub sandbox: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<Argument>,
    /// Source text for the sandbox's runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Argument>,
    /// A tool of an MCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpCall>,
    /// An HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCall>,
}

/// A fixed text, or an argument of the call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["value"], ["arg"]]))]
pub struct Argument {
    /// A fixed text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Name of an argument of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arg: Option<String>,
}

/// A tool of an MCP server, pinned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpCall {
    /// Name of the server.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub server: String,
    /// Name of the tool there.
    pub tool: String,
    /// SHA-256 over name, description, schema and annotations of the tool.
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    pub sha256: String,
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCall {
    /// The method.
    pub method: String,
    /// The address.
    pub url: String,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Argument>,
}

/// A fact taken from an argument.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["shell"], ["path"], ["url"], ["git"]]))]
pub struct Derive {
    /// The argument is a shell command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// The argument is a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The argument is a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The argument is a git command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
}

/// What becomes of a call that no grant matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["ask"], ["deny"]]))]
pub struct Otherwise {
    /// People decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// It is denied, with a remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Deny>,
}

closed! {
    /// Whether a call may read from its caller.
    pub enum Stdin {
        /// No.
        Forbidden = "Forbidden",
        /// Yes; its length, its hash and its first 4 MiB are recorded with the result, in the form that `audit.arguments` sets.
        Stream = "Stream",
    }
    default Forbidden
}

/// People decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask {
    /// Name of a group of approvers.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub approvers: String,
    /// How many persons of it, at least one; absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::count")]
    pub quorum: Option<i64>,
    /// How long the question stands; absent: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Duration>,
}

/// A group of people who may approve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approvers {
    /// Name of the group.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// Their keys.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub keys: Vec<ApproverKey>,
}

/// The key of one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproverKey {
    /// Name of the key.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub id: String,
    /// The person; a quorum counts persons.
    pub principal: String,
    /// The public key: SubjectPublicKeyInfo in base64.
    pub ed25519: String,
}

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// Counters of admitted calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub counters: Vec<Counter>,
    /// Budgets of resources; each applies to every tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub budgets: Vec<Budget>,
    /// Labels of sessions, which expressions read as `session.labels`. They end with the session and its workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub labels: Vec<StateLabel>,
}

/// A counter of admitted calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counter {
    /// Name.
    #[schemars(extend("pattern" = crate::scalar::IDENTIFIER_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// Calls older than this no longer count; absent: all count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// Whose calls are counted together.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub scope: Scope,
}

/// A budget of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Name.
    #[schemars(extend("pattern" = crate::scalar::IDENTIFIER_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// The resource.
    pub resource: Resource,
    /// How much of it.
    #[schemars(schema_with = "crate::scalar::count")]
    pub limit: i64,
    /// Use older than this no longer counts; absent: all counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// Whose use is counted together.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub scope: Scope,
}

/// A label of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateLabel {
    /// Name.
    #[schemars(extend("pattern" = crate::scalar::IDENTIFIER_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// What it says of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

closed! {
    /// Whose calls are counted together.
    pub enum Scope {
        /// Those of one subject.
        Subject = "Subject",
        /// Those of one session.
        Session = "Session",
    }
    default Subject
}

closed! {
    /// Resources with budgets.
    pub enum Resource {
        /// Seconds of CPU time. Where no cgroup counts them, a call costs the whole `limits.cpuTime` of its sandbox.
        CpuSeconds = "CpuSeconds",
        /// Calls.
        Calls = "Calls",
        /// Bytes of output.
        OutputBytes = "OutputBytes",
    }
}

/// A rule over calls. It takes part when a tool pattern matches and `when` is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-some-of" = ["allow", "ask", "deny", "throttle", "narrow", "confirm", "transform", "label"]))]
#[schemars(extend("x-bailiwick-at-most-one-of" = ["allow", "ask", "deny", "throttle", "narrow", "confirm", "label"]))]
pub struct ToolRule {
    /// Name of the rule.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// Names of tools, or `prefix.*`.
    #[schemars(extend("minItems" = 1))]
    pub tools: Vec<String>,
    /// A condition in CEL; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub when: Option<String>,
    /// When the rule is asked.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub phase: Phase,
    /// Whether it has an effect.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub mode: Mode,
    /// Grants the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
    /// Grants the call once people approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// Denies the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Deny>,
    /// Denies calls beyond a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Runs the call in a narrower sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrow: Option<Narrow>,
    /// Asks for approval of a call that is granted otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Ask>,
    /// Changes the arguments of a granted call, or redacts a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// Changes the labels of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<ChangeLabels>,
}

/// Grants the call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allow {}

/// Denies the call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deny {
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Denies calls beyond a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Throttle {
    /// Name of a counter.
    #[schemars(extend("pattern" = crate::scalar::IDENTIFIER_PATTERN, "maxLength" = 63))]
    pub counter: String,
    /// Calls that are admitted within the counter's window.
    #[schemars(schema_with = "crate::scalar::count")]
    pub max: i64,
}

/// Runs the call in a narrower sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Narrow {
    /// The sandbox; provably no wider than the tool's own.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub sandbox: String,
}

/// Changes arguments or a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["args"], ["result"]]))]
pub struct Transform {
    /// CEL: a map of the new arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub args: Option<String>,
    /// CEL: a map with any of `stdout`, `stderr` and `content`, the texts that are delivered in their place. What all redactions leave must not change by any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub result: Option<String>,
}

/// Changes the labels of the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-some-of" = ["add", "remove"]))]
pub struct ChangeLabels {
    /// Labels added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Labels taken away when this pack had people asked about the call and they approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

closed! {
    /// When a rule is asked.
    pub enum Phase {
        /// Before the call.
        Call = "Call",
        /// When its result is there: `deny` withholds it, `transform.result` redacts it, `label.add` adds labels; conditions read it as `result`.
        Result = "Result",
        /// When tools are listed: `deny` hides the tool, and denies no call.
        List = "List",
    }
    default Call
}

closed! {
    /// Whether a rule has an effect.
    pub enum Mode {
        /// Yes.
        Enforce = "Enforce",
        /// It is only recorded.
        Shadow = "Shadow",
    }
    default Enforce
}
