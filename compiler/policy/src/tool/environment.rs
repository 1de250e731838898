//! What expressions over a call see: the values of `subject`, `session`, `facts` and `now`.

use jiff::SignedDuration;

use super::call::Subject;
use super::facts::Members;
use super::loaded::{Layer, LoadedPolicy};
use super::record::{DecisionInputs, SessionView};
use crate::cel::{Arguments, CallEnv, Timestamp, Value};
use crate::policy::tools::{Derive, ToolLayer};

/// Thousandths per unit: budgets are kept in thousandths and shown in their unit.
const MILLI: f64 = 1_000.0;

/// What is the same for every layer.
pub(super) struct Shared<'a> {
    pub(super) inputs: &'a DecisionInputs,
    pub(super) facts: &'a Members<'a>,
    pub(super) reads_subject: bool,
    pub(super) reads_session: bool,
    pub(super) reads_facts: bool,
}

impl<'a> Shared<'a> {
    /// For a decision with these inputs and facts.
    pub(super) const fn new(
        policy: &'a LoadedPolicy,
        inputs: &'a DecisionInputs,
        facts: &'a Members<'a>,
    ) -> Self {
        let LoadedPolicy { tools, .. } = policy;
        let (reads_subject, reads_session, reads_facts) =
            (tools.reads_subject, tools.reads_session, tools.reads_facts);
        Self { inputs, facts, reads_subject, reads_session, reads_facts }
    }

    /// The variables of one layer, which may read these facts.
    pub(super) fn of(&self, layer: &'a ToolLayer, loaded: &'a Layer, derives: &[Derive]) -> CallEnv<'a> {
        CallEnv {
            call: self.inputs.call.root(),
            arguments: Arguments::Known,
            subject: if self.reads_subject { subject(self.inputs.call.subject()) } else { Value::Null },
            session: if self.reads_session { self.session(layer, loaded) } else { Value::Null },
            facts: if self.reads_facts { self.facts.values(derives) } else { Value::Null },
            now: now(self.inputs.now_ms),
            result: Value::Null,
        }
    }

    /// The variables of one layer for a listing, without a call: what only a call has is opaque.
    pub(super) fn looked_at(&self, layer: &'a ToolLayer, loaded: &'a Layer, of_session: bool) -> CallEnv<'a> {
        let env = self.of(layer, loaded, &[]);
        let session = if of_session { env.session } else { Value::Opaque };
        CallEnv { arguments: Arguments::Unknown, facts: Value::Opaque, session, ..env }
    }

    fn session(&self, layer: &'a ToolLayer, loaded: &'a Layer) -> Value<'a> {
        let Some(view) = &self.inputs.session else {
            return Value::Null;
        };
        let counters = layer.counters.iter().map(|counter| {
            let sum = self.inputs.tally(&format!("counter/{}/{}", loaded.pack, counter.name)).sum;
            (counter.name.as_str(), Value::Int(i64::try_from(sum).unwrap_or(i64::MAX)))
        });
        let budgets = layer.budgets.iter().map(|budget| {
            let used = self.inputs.tally(&format!("budget/{}/{}", loaded.pack, budget.name)).sum;
            let left = budget.limit_milli.saturating_sub(used);
            let unit = |milli: u64| Value::Double(milli as f64 / MILLI);
            let members = [("limit", unit(budget.limit_milli)), ("used", unit(used)), ("left", unit(left))];
            (budget.name.as_str(), map(members))
        });
        let own = |label: &'a String| label.strip_prefix(loaded.pack.as_str())?.strip_prefix('/');
        let labels = self.inputs.labels.iter().filter_map(own).map(Value::Str);
        map([
            ("id", Value::Str(self.inputs.call.session())),
            ("age", Value::Duration(age_ns(view, self.inputs.now_ms))),
            ("calls", Value::Int(i64::try_from(view.calls).unwrap_or(i64::MAX))),
            ("counters", map(counters)),
            ("budgets", map(budgets)),
            ("labels", Value::list(labels.collect())),
        ])
    }
}

fn age_ns(view: &SessionView, now_ms: u64) -> i64 {
    let age_ms = i64::try_from(now_ms.saturating_sub(view.opened_ms)).unwrap_or(i64::MAX);
    age_ms.saturating_mul(1_000_000)
}

fn now<'a>(now_ms: u64) -> Value<'a> {
    let since = i64::try_from(now_ms).ok().map(SignedDuration::from_millis);
    let at = since.and_then(|since| Timestamp::from_epoch(since).ok());
    // A time beyond the year 9999 has no value; a rule that reads it fails.
    at.map_or(Value::Null, Value::Timestamp)
}

fn subject(subject: &Subject) -> Value<'_> {
    let labels = subject.labels.iter().map(|(key, value)| (key.as_str(), Value::Str(value)));
    map([
        ("agent", Value::Str(&subject.agent)),
        ("user", Value::Str(&subject.user)),
        ("namespace", Value::Str(&subject.namespace)),
        ("groups", Value::list_of(subject.groups.iter().map(|text| Value::Str(text)))),
        ("labels", map(labels)),
        ("chain", Value::list_of(subject.chain.iter().map(|text| Value::Str(text)))),
    ])
}

/// A map of string keys that are known not to repeat.
pub(super) fn map<'a>(members: impl IntoIterator<Item = (&'a str, Value<'a>)>) -> Value<'a> {
    Value::map_of(members.into_iter())
}
