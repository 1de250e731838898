//! The walk over a log: each decision made again, and what is counted between them.

use std::path::Path;

use bailiwick_audit::record::{Kind, Record};
use bailiwick_policy::tool::{
    Change, DecisionInputs, DecisionRecord, EffectRecord, LoadedPolicy, State, StateDelta, decide_tool_call,
};

use super::report::{Changed, Report, Verdict};
use crate::recorded::Values;

/// A log on the way through it.
pub(super) struct History<'h> {
    values: Values<'h>,
    policy: &'h LoadedPolicy,
    /// Sessions, questions and calls as they were; tallies and labels as the packs would have kept them. `None`: the records do not add up.
    state: Option<State>,
    /// Whether all decisions so far are of these packs, so that the tallies are to the unit those of the record.
    is_uniform: bool,
    /// Whether the policy counts or labels at all.
    counts: bool,
    /// The first call that ran and whose counts under these packs are not known.
    uncounted: Option<u64>,
    report: &'h mut Report,
}

/// A decision that was made again.
struct Again {
    decided: DecisionRecord,
    /// The same people would be asked, so that the recorded verdict stands.
    stands: bool,
}

impl<'h> History<'h> {
    /// `counts`: the policy has counters, budgets or labels.
    pub(super) fn new(log: &'h Path, policy: &'h LoadedPolicy, counts: bool, report: &'h mut Report) -> Self {
        let values = Values::of(log);
        Self {
            values,
            policy,
            state: Some(State::default()),
            is_uniform: true,
            counts,
            uncounted: None,
            report,
        }
    }

    /// Takes in the next record.
    pub(super) fn take(&mut self, record: &Record, segment: u32) {
        let recorded = record.state_delta.clone().map(serde_json::from_value::<StateDelta>);
        let recorded = match recorded.transpose() {
            Ok(delta) => delta,
            Err(_) => {
                self.state = None;
                None
            }
        };
        let again = matches!(record.kind, Kind::Intent | Kind::Decision)
            .then(|| self.decide(record, segment))
            .flatten();
        // A call of the packs themselves counts as it is recorded.
        let is_counted = self.is_uniform || again.as_ref().is_some_and(|again| !again.stands);
        if record.kind == Kind::Intent && self.counts && !is_counted {
            self.uncounted.get_or_insert(record.seq);
        }
        let Some(recorded) = recorded else { return };
        let counted = match again {
            Some(again) if record.kind == Kind::Intent => recounted(recorded, &again),
            _ => recorded,
        };
        if self.state.as_mut().is_some_and(|state| state.apply(&counted).is_err()) {
            self.state = None;
        }
    }

    /// Decides the call of a record again and compares; `None`: it cannot be.
    fn decide(&mut self, record: &Record, segment: u32) -> Option<Again> {
        let same_policy = record.policy_digest.as_deref() == Some(self.policy.digest());
        self.is_uniform &= same_policy;
        let inputs = match self.values.inputs(record, segment) {
            Ok(inputs) => inputs,
            Err(missing) => {
                self.report.cannot(record, missing.to_string());
                return None;
            }
        };
        let Some(state) = &self.state else {
            self.report.cannot(record, "the records before it do not add up to a state".to_owned());
            return None;
        };
        if let Some(seq) = self.uncounted {
            self.report.cannot(
                record,
                format!("it is not known how the call of record {seq} counts under these packs"),
            );
            return None;
        }
        let rebuilt = rebuilt(self.policy, &inputs, state);
        let is_as_recorded = rebuilt.session == inputs.session
            && rebuilt.pending == inputs.pending
            && (!self.is_uniform || rebuilt == inputs);
        if !is_as_recorded {
            self.report
                .cannot(record, "it was decided in another state than the records add up to".to_owned());
            return None;
        }
        let asked = if same_policy { inputs.pending.clone() } else { None };
        let question = inputs.pending.clone();
        let again = DecisionInputs {
            tallies: rebuilt.tallies,
            labels: rebuilt.labels,
            approval: inputs.approval.clone().filter(|_| asked.is_some()),
            pending: asked,
            ..inputs
        };
        let decided = again.decide(self.policy);
        let then = Verdict::recorded(record);
        // The same people would be asked the same: what they said then stands.
        let stands = match (&decided.effect, question) {
            (EffectRecord::Ask(request), Some(question)) if !same_policy => {
                request.requirements == question.requirements
            }
            _ => false,
        };
        let now = if stands { then.clone() } else { Verdict::again(&decided) };
        self.report.compared(Changed::of(record, then, now));
        Some(Again { decided, stands })
    }
}

/// The same inputs with what the policy counts and labels, from the sum of the records before.
fn rebuilt(policy: &LoadedPolicy, inputs: &DecisionInputs, state: &State) -> DecisionInputs {
    decide_tool_call(policy, &inputs.call, state, inputs.now_ms, inputs.approval.as_ref()).inputs
}

/// What the intent of a call changes, counted as the packs count: nothing if they would not have let it run, and as it was where what people said stands.
fn recounted(recorded: StateDelta, again: &Again) -> StateDelta {
    let is_count = |change: &Change| {
        matches!(change, Change::Counted { .. } | Change::Admitted { .. } | Change::Labelled { .. })
    };
    let StateDelta { at_ms, changes } = recorded;
    let mut kept: Vec<Change> = Vec::new();
    match &again.decided.effect {
        EffectRecord::Ask(_) if again.stands => kept = changes,
        EffectRecord::Allow => {
            kept.extend(changes.into_iter().filter(|change| !is_count(change)));
            kept.extend(again.decided.delta.changes.iter().filter(|change| is_count(change)).cloned());
        }
        EffectRecord::Ask(_) | EffectRecord::Deny(_) => {
            for change in changes {
                match change {
                    Change::Counted { .. } | Change::Labelled { .. } => {}
                    // It ran, whatever is thought of it now.
                    Change::Admitted { session, call, .. } => {
                        kept.push(Change::Admitted { session, call, reserved: Vec::new() });
                    }
                    other => kept.push(other),
                }
            }
        }
    }
    StateDelta { at_ms, changes: kept }
}
