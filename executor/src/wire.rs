//! The bodies of requests and responses. `docs/executor-api.json` describes them; a test compares the two.
//!
//! Output is bytes and therefore base64. Times are RFC 3339 or milliseconds, as the name says.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call that a client requests: an allegation until it is decided.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallRequest {
    /// Name of the tool.
    pub tool: String,
    /// Its arguments, a JSON object.
    #[serde(default)]
    pub args: Option<Box<serde_json::value::RawValue>>,
    /// The approval that an earlier attempt of the same call received.
    #[serde(default)]
    pub approval: Option<String>,
    /// Answer only when the result's record is on disk, not only the intent's.
    #[serde(default)]
    pub wait_for_result_record: bool,
}

/// A session.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The policy that decides its calls.
    pub policy_digest: String,
    /// When it was opened, milliseconds since 1970.
    pub opened_ms: u64,
    /// How many calls it has made.
    pub calls: u64,
    /// `Open`, or `WorkspaceLost`: then calls are refused, and a new session is the remedy.
    pub state: &'static str,
}

/// A decision, as a client sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// `Allow`, `Deny` or `Ask`.
    pub effect: &'static str,
    /// The rules that took part, as `pack/rule`.
    pub rules: Vec<String>,
    /// Why, for `Deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do instead, for `Deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// When the same call may be tried again, for a throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What is to be approved, for `Ask`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<PendingApproval>,
    /// Digest of the policy that decided.
    pub policy_digest: String,
}

/// A question to approvers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// Its id, to be sent with the repeated call.
    pub id: String,
    /// SHA-256 of everything that the approval binds.
    pub call_hash: String,
    /// The groups of approvers, each with the number of its members that must agree.
    pub groups: Vec<ApprovalGroup>,
    /// When the question lapses, milliseconds since 1970.
    pub expires_ms: u64,
}

/// One group that must agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalGroup {
    /// `pack/group`.
    pub name: String,
    /// How many of its members.
    pub quorum: u32,
}

/// How a command ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `Exited`, `Signaled`, `TimedOut`, `CpuTimeExceeded`, `MemoryExceeded`, `OutputExceeded`,
    /// `ProcessesExceeded`, `SyscallDenied`, `Cancelled`, `SetupFailed`, `Unknown`: a fault of the executor ended
    /// the call, and its command may have run. What a command does to itself cannot
    /// be distinguished from what is done to it: `SyscallDenied` says that SIGSYS ended it. The filter kills
    /// with SIGSYS, but a command can also send itself that signal, like any other.
    pub kind: String,
    /// Exit code, for `Exited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Signal number, for `Signaled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The step that failed, for `SetupFailed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Bytes of output that were discarded.
    pub output_dropped: u64,
    /// What it used, with the source of each figure.
    pub usage: Value,
}

/// A call, decided and perhaps ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The decision.
    pub decision: Decision,
    /// How it ended; absent: it runs, or was never run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Standard output from the requested offset on, base64.
    pub stdout: String,
    /// Standard error from the requested offset on, base64.
    pub stderr: String,
    /// The result of a workspace tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The decision over the result; absent: no rule covers results of the tool, or the call has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_decision: Option<ResultDecision>,
    /// Which records are on disk: `intent`, `result`, or `decision` for a call that did not run.
    pub durable: &'static str,
    /// The newest signed checkpoint of the audit log, a C2SP note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// A decision over the results of a call, as a client sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultDecision {
    /// `Deliver`, `Redact` or `Withhold`. Of withheld results, only the outcome is reported.
    pub effect: &'static str,
    /// The rules that took part, as `pack/rule`.
    pub rules: Vec<String>,
    /// Why, for `Withhold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do instead, for `Withhold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// One line of a streamed call.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// First: the decision.
    Decision {
        /// The call's id.
        id: String,
        /// The decision.
        decision: Decision,
    },
    /// Some output.
    Chunk {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// Offset of its first byte.
        offset: usize,
        /// Base64.
        data: String,
    },
    /// Last: the call as `GET` would return it, without the output.
    Outcome {
        /// The call.
        call: Box<Call>,
    },
}

/// A tool, as an agent sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input: Value,
}

/// A question that waits for approvers, with everything that they need to see.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenQuestion {
    /// Its id.
    pub id: String,
    /// SHA-256 over the canonical JSON of `binds`.
    pub call_hash: String,
    /// The groups that must agree.
    pub groups: Vec<ApprovalGroup>,
    /// Ids of the keys that have approved so far.
    pub approved: Vec<String>,
    /// When it lapses, milliseconds since 1970.
    pub expires_ms: u64,
    /// Everything that an approval binds: tool, arguments, facts, subject, session, its generation, sandbox,
    /// policy digest.
    pub binds: Value,
}

/// An approver's answer to a question.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalSubmission {
    /// Id of the approver's key in the pack.
    pub key: String,
    /// The Ed25519 signature over the approval's message, base64.
    pub signature: String,
}

/// What has not ended yet; no calls are accepted any more.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    /// Calls that run or are being cleared away. It only decreases.
    pub running: usize,
}

/// Why a request was refused.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A word for programs, such as `unknown-session`.
    pub error: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}
