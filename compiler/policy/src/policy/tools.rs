//! Tools, the rules over their calls, and what is kept of them.
//!
//! Packs are decided separately and met: each pack that has a `tools` section is one [`ToolLayer`]. A layer
//! **names** a tool that it defines or that one of its grants matches. A call is allowed when some layer
//! defines the tool, every layer that names it grants it, and no layer restricts it; a layer that does not
//! name it can still constrain it through its restrictions and budgets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ir::Cel;

/// The `tools` section of one pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolLayer {
    /// Index into [`super::Policy::packs`].
    pub pack: u16,
    /// Tools, sorted by name.
    pub definitions: Vec<Tool>,
    /// Groups of approvers, sorted by name.
    pub approvers: Vec<ApproverGroup>,
    /// Counters, sorted by name. Names belong to the pack: two packs' counters never mix.
    pub counters: Vec<Counter>,
    /// Budgets, sorted by name. Each applies to every tool.
    pub budgets: Vec<Budget>,
    /// Labels of sessions, sorted by name. Names belong to the pack: two packs' labels never mix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Rules in the order of the text.
    pub rules: Vec<ToolRule>,
    /// Patterns of [`crate::ir::Expr::Matches`] in the rules' conditions.
    pub regexes: Vec<String>,
}

/// A tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    /// Name, such as `shell.exec`.
    pub name: String,
    /// What it does, for the agent.
    pub description: String,
    /// What its arguments must be: JSON Schema in the closed subset, as the author wrote it; prepared when
    /// the policy is loaded.
    pub input: serde_json::Value,
    /// What a call does.
    pub run: Run,
    /// Facts that are derived from arguments.
    pub derive: Vec<Derive>,
    /// What happens to a call that no grant of this layer matches.
    pub otherwise: Otherwise,
    /// Whether a call may read from its caller while it runs.
    pub stdin: Stdin,
    /// Labels of the layer that every call of it adds to its session, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_add: Vec<String>,
    /// Field path in the pack.
    pub at: String,
}

/// What a call does: a command in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// Name of the sandbox.
    pub sandbox: String,
    /// What is executed there.
    pub program: Program,
}

/// What is executed in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Program {
    /// A command; the first word is an absolute path.
    Argv(Vec<Word>),
    /// Source text for the sandbox's runtime, passed through a read-only file.
    Code(Word),
}

/// A fixed text, or an argument of the call (a string).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Word {
    /// A fixed text.
    Value(String),
    /// The argument of this name; an absent optional argument leaves the word out.
    Arg(String),
}

/// A fact derived from an argument. An absent argument gives an opaque fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Derive {
    /// `facts.commands` and `facts.shell` of a shell command line.
    Shell(String),
    /// `facts.path`.
    Path(String),
    /// `facts.url`.
    Url(String),
    /// `facts.git`.
    Git(String),
}

/// What happens to a call that no grant matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Otherwise {
    /// Denied.
    Deny(Deny),
    /// Approvers decide.
    Ask(Ask),
}

/// Whether a call may read from its caller while it runs; the earlier value is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stdin {
    /// Its standard input is empty.
    Forbidden,
    /// What is delivered to it is recorded with its result, in the form of its arguments.
    Stream,
}

/// Approvers decide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask {
    /// Name of a group of the layer's approvers.
    pub approvers: String,
    /// How many principals of it must approve; at least one.
    pub quorum: u32,
    /// How long the question stays open.
    pub expires_ms: u64,
}

/// A denial, and what the agent learns about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deny {
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A group of people who may approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproverGroup {
    /// Name, unique within the layer.
    pub name: String,
    /// Their keys, sorted by id.
    pub keys: Vec<ApproverKey>,
}

/// The key of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproverKey {
    /// Name of the key.
    pub id: String,
    /// The person; a quorum counts people.
    pub principal: String,
    /// The Ed25519 public key, 32 bytes in lower-case hex.
    pub ed25519: String,
}

/// A counter of admitted calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counter {
    /// Name.
    pub name: String,
    /// Calls older than this no longer count; `None`: all count.
    pub window_ms: Option<u64>,
    /// Whose calls are counted together.
    pub scope: Scope,
}

/// A budget of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Name.
    pub name: String,
    /// The resource.
    pub resource: Resource,
    /// How much of it, in thousandths: milliseconds of CPU time, thousandths of a call, thousandths of a
    /// byte.
    pub limit_milli: u64,
    /// Use older than this no longer counts; `None`: all counts.
    pub window_ms: Option<u64>,
    /// Whose use is counted together.
    pub scope: Scope,
}

/// A label that sessions carry once a call has added it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Label {
    /// Name.
    pub name: String,
    /// What it says about a session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Whose calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Those of one subject.
    Subject,
    /// Those of one session.
    Session,
}

/// Resources with budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// Seconds of CPU time.
    CpuSeconds,
    /// Calls.
    Calls,
    /// Bytes of output.
    OutputBytes,
}

/// A rule on calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolRule {
    /// Name, unique within its pack.
    pub name: String,
    /// Field path in the pack.
    pub at: String,
    /// When it is evaluated.
    #[serde(default, skip_serializing_if = "Phase::is_call")]
    pub phase: Phase,
    /// Any of these; at least one.
    pub tools: Vec<ToolPattern>,
    /// A boolean condition; `None`: always.
    pub when: Option<Cel>,
    /// What it does.
    pub effect: RuleEffect,
    /// For a grant: the new arguments of the call, a map; `None`: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Cel>,
    /// In phase `Result`: a map with any of `stdout`, `stderr` and `content`, the texts that are delivered
    /// instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact: Option<Cel>,
    /// Whether it has an effect, or is only recorded.
    #[serde(default, skip_serializing_if = "Mode::is_enforce")]
    pub mode: Mode,
}

impl ToolRule {
    /// Whether it has an effect.
    #[must_use]
    pub const fn is_enforced(&self) -> bool {
        self.mode.is_enforce()
    }

    /// Whether it lets calls run: an `allow` or `ask` that has an effect.
    #[must_use]
    pub const fn grants(&self) -> bool {
        self.is_enforced() && matches!(self.effect, RuleEffect::Allow | RuleEffect::Ask(_))
    }

    /// Its expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Cel> {
        self.when.iter().chain(&self.transform).chain(&self.redact)
    }

    /// The sandbox that it narrows calls to.
    #[must_use]
    pub fn narrows_to(&self) -> Option<&str> {
        match &self.effect {
            RuleEffect::Narrow { sandbox } => Some(sandbox),
            _ => None,
        }
    }
}

/// Whether a rule has an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// It has an effect.
    #[default]
    Enforce,
    /// It is evaluated, and what it would have done is recorded. It has no effect, whatever its outcome.
    Shadow,
}

impl Mode {
    /// Whether a rule of this mode has an effect; serialised rules then omit the mode.
    #[must_use]
    pub const fn is_enforce(&self) -> bool {
        matches!(self, Mode::Enforce)
    }
}

/// When a rule is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// When a call is decided.
    #[default]
    Call,
    /// When a call has a result: only [`RuleEffect::Deny`], which withholds it, [`RuleEffect::Redact`], and
    /// labels that are added.
    Result,
    /// When tools are listed: only [`RuleEffect::Deny`], which hides the tool and denies no call.
    List,
}

impl Phase {
    /// Whether it is [`Phase::Call`].
    #[must_use]
    pub const fn is_call(&self) -> bool {
        matches!(self, Phase::Call)
    }
}

/// Which tools a rule covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ToolPattern {
    /// The tool of this name.
    Exact(String),
    /// Every tool whose name begins with this text, which ends in a dot; empty: every tool.
    Prefix(String),
}

impl ToolPattern {
    /// Whether it matches the tool of this name.
    #[must_use]
    pub fn matches(&self, tool: &str) -> bool {
        match self {
            Self::Exact(name) => name == tool,
            Self::Prefix(prefix) => tool.starts_with(prefix.as_str()),
        }
    }

    /// Whether it matches every tool that the other matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(name)) => self.matches(name),
            (Self::Prefix(outer), Self::Prefix(inner)) => inner.starts_with(outer.as_str()),
            (Self::Exact(_), Self::Prefix(_)) => false,
        }
    }
}

/// As packs write it.
impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// What a rule does. Grants: `Allow`, `Ask`. Restrictions: the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum RuleEffect {
    /// Grants the call.
    Allow,
    /// Grants the call after approval.
    Ask(Ask),
    /// Denies the call.
    Deny(Deny),
    /// Denies calls beyond a number, and counts those that it allows.
    Throttle {
        /// Name of a counter of the layer.
        counter: String,
        /// Calls that are admitted within the counter's window.
        max: u64,
    },
    /// Asks for approval of a call that another rule grants.
    Confirm(Ask),
    /// Only [`ToolRule::redact`].
    Redact,
    /// Changes the labels of the session of a call that is admitted, or that has a result.
    Label {
        /// Labels of the layer that it adds, sorted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<String>,
        /// Labels of the layer that it removes if approvers whom the layer asked approved the call, sorted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<String>,
    },
    /// Runs the call in another sandbox, which provably allows no more than the tool's own.
    Narrow {
        /// Name of the sandbox.
        sandbox: String,
    },
}

/// What is kept of calls and admissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audit {
    /// Arguments of tool calls.
    pub arguments: Keep,
    /// Results of tool calls.
    pub results: Keep,
    /// The minimum retention of records; `None`: forever.
    pub retention_ms: Option<u64>,
    /// Whether an admission decision must be recorded before it is answered.
    pub admission: AuditAdmission,
}

/// How a value is kept in the audit log.
///
/// Two packs that differ are met at `Commit`, which discloses nothing and can be proved later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Keep {
    /// A salted commitment.
    Commit,
    /// The value itself.
    Plain,
    /// Nothing.
    Drop,
}

/// Whether admission decisions must be recorded; the later value is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AuditAdmission {
    /// Where possible.
    Optional,
    /// A decision that cannot be recorded is a denial.
    Required,
}
