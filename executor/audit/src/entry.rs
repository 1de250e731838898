//! What a caller passes in to be recorded. The writer adds the position in the log, the commitments and the
//! checksum.

use serde_json::Value;

use crate::field::{Aside, FieldError, Mode};
use crate::record::{Kind, Record};

/// Kinds that a caller appends with [`crate::Writer::append`]. Intents and results have methods of their own;
/// the writer makes the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session began, changed or ended.
    Session,
    /// A tool call was denied, or an approval is asked for.
    Decision,
    /// An approval was given or refused.
    Approval,
    /// An administrator did something.
    Admin,
}

impl From<Event> for Kind {
    fn from(event: Event) -> Self {
        match event {
            Event::Session => Self::Session,
            Event::Decision => Self::Decision,
            Event::Approval => Self::Approval,
            Event::Admin => Self::Admin,
        }
    }
}

/// When the openings of a record's commitments reach the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Openings {
    /// Together, after as long as records may go without a checkpoint, at most twice that. A crash of the
    /// machine before that leaves a record that cannot be replayed.
    #[default]
    WithCheckpoint,
    /// Before the record is acknowledged: the question must still be there when the approval arrives, however
    /// long that takes.
    WithRecord,
}

/// What is recorded. Absent fields are left out.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The time that the decision used, in milliseconds since 1970-01-01T00:00:00Z; without it, the machine's
    /// clock.
    pub time_ms: Option<u64>,
    /// On whose behalf.
    pub subject: Option<Value>,
    /// Name of the session.
    pub session: Option<String>,
    /// Name of the call.
    pub call: Option<String>,
    /// Name of the tool.
    pub tool: Option<String>,
    /// The arguments, kept as `values` says.
    pub arguments: Option<Value>,
    /// The facts derived from them, kept as `values` says.
    pub facts: Option<Value>,
    /// What the record does to the executor's state. Never secret: state is a fold over it.
    pub state_delta: Option<Value>,
    /// SHA-256 of the bundle that decided.
    pub policy_digest: Option<String>,
    /// The rules that applied.
    pub rules: Option<Value>,
    /// What was decided.
    pub effect: Option<String>,
    /// Why, for a person; may quote the arguments, so it is kept as `values` says.
    pub reason: Option<String>,
    /// The approval that was asked for, given or used.
    pub approval: Option<Value>,
    /// The sandbox that the call ran in.
    pub sandbox: Option<Value>,
    /// How it ended.
    pub outcome: Option<Value>,
    /// What it used.
    pub usage: Option<Value>,
    /// What it gave, kept as `results` says.
    pub result: Option<Value>,
    /// How the arguments and whatever derives from them are kept.
    pub values: Mode,
    /// How results are kept.
    pub results: Mode,
    /// When the openings reach the disk.
    pub openings: Openings,
}

/// The entry of a call that was decided and will run as soon as the entry is durable.
#[derive(Clone, Debug, Default)]
pub struct Intent(Entry);

impl From<Entry> for Intent {
    fn from(entry: Entry) -> Self {
        Self(entry)
    }
}

impl From<Intent> for Entry {
    fn from(intent: Intent) -> Self {
        intent.0
    }
}

impl Entry {
    /// The record without its position in the log, and what must be stored next to it.
    pub(crate) fn into_record(self, kind: Kind) -> Result<(Record, Aside), FieldError> {
        let mut aside = Aside::default();
        let mut hold =
            |field, value: Option<Value>, mode| value.map(|value| aside.hold(field, value, mode)).transpose();
        let arguments = hold("arguments", self.arguments, self.values)?;
        let facts = hold("facts", self.facts, self.values)?;
        let reason = hold("reason", self.reason.map(Value::String), self.values)?;
        let result = hold("result", self.result, self.results)?;
        let record = Record {
            time: Some(self.time_ms.unwrap_or_else(now_ms)),
            subject: self.subject,
            session: self.session,
            call: self.call,
            tool: self.tool,
            arguments,
            facts,
            state_delta: self.state_delta,
            policy_digest: self.policy_digest,
            rules: self.rules,
            effect: self.effect,
            reason,
            approval: self.approval,
            sandbox: self.sandbox,
            outcome: self.outcome,
            usage: self.usage,
            result,
            ..Record::new(kind)
        };
        Ok((record, aside))
    }
}

/// The machine's clock, in milliseconds since 1970. A claim: nothing in the log depends on it.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
