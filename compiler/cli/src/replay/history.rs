//! The walk over a log: makes each decision again, and counts between them.
//!
//! ```text
//! intent, decision ► inputs ► what the packs count and label, from the sum so far ► decide ► the sum, as they count
//! result           ► the call, if it runs now as it ran then ► what it gave ► decide ► the sum, as they label
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_audit::record::{Kind, Record};
use bailiwick_policy::canonical;
use bailiwick_policy::json::Json;
use bailiwick_policy::tool::{
    ApprovalRequest, CallResult, Change, DecisionInputs, EffectRecord, LoadedPolicy, Redactions, Redecided,
    ResultInputs, State, StateDelta, ToolCall, VerifiedApproval, decide_tool_call,
};
use serde_json::Value;

use super::verdict::{Verdict, people};
use crate::recorded::Values;

/// A log during the walk.
pub(crate) struct History<'h> {
    values: Values<'h>,
    policy: &'h LoadedPolicy,
    /// Sessions, questions and calls as they were; tallies and labels as the packs would have kept them.
    /// `None` if the records do not add up.
    state: Option<State>,
    /// Whether all decisions so far are by these packs, so that the tallies are exactly those of the record.
    is_uniform: bool,
    /// The first record whose counts under these packs are unknown.
    uncounted: Option<u64>,
    /// The sessions with a record whose labels under these packs are unknown, each with the first such
    /// record.
    unlabelled: BTreeMap<String, u64>,
    /// The calls that run, by their intents; at most those that are open in the log.
    running: BTreeMap<u64, Running>,
}

/// The outcome for one record.
pub(crate) enum Taken {
    /// The record holds no decision.
    Nothing,
    /// It cannot be decided again, and why.
    Cannot(String),
    /// The decision over a call.
    Call(Box<Again>),
    /// The decision over the result of a call.
    Result(Box<Compared>),
}

/// A decision then and now.
pub(crate) struct Compared {
    pub(super) was: Verdict,
    pub(super) now: Verdict,
}

/// A decision over a call, made again.
pub(crate) struct Again {
    /// Its inputs now.
    pub(crate) inputs: DecisionInputs,
    decided: Redecided,
    /// The same people would be asked, and their answer from then holds.
    stands: bool,
    pub(super) compared: Compared,
    /// What happens to the result of the call.
    running: Running,
}

/// A call that ran then.
enum Running {
    /// It runs now as it ran then.
    Same(ToolCall),
    /// It does not run now, so there is no result.
    Not,
    /// Its result now is unknown, and why.
    Unknown(String),
}

/// Whether the packs count or label at all.
pub(crate) fn counts(policy: &LoadedPolicy) -> bool {
    has_tallies(policy) || has_labels(policy)
}

fn has_tallies(policy: &LoadedPolicy) -> bool {
    let mut layers = policy.policy().tools.iter();
    layers.any(|layer| !(layer.counters.is_empty() && layer.budgets.is_empty()))
}

fn has_labels(policy: &LoadedPolicy) -> bool {
    policy.policy().tools.iter().any(|layer| !layer.labels.is_empty())
}

impl<'h> History<'h> {
    pub(crate) fn new(log: &'h Path, policy: &'h LoadedPolicy) -> Self {
        Self {
            values: Values::of(log),
            policy,
            state: Some(State::default()),
            is_uniform: true,
            uncounted: None,
            unlabelled: BTreeMap::new(),
            running: BTreeMap::new(),
        }
    }

    /// Processes the next record.
    pub(crate) fn take(&mut self, record: &Record, segment: u32) -> Taken {
        let recorded = record.state_delta.clone().map(serde_json::from_value::<StateDelta>);
        let recorded = match recorded.transpose() {
            Ok(delta) => delta,
            Err(_) => {
                self.state = None;
                None
            }
        };
        for change in recorded.iter().flat_map(|delta| &delta.changes) {
            if let Change::Closed { session } = change {
                self.unlabelled.remove(session);
            }
        }
        let (taken, counted) = match record.kind {
            Kind::Intent | Kind::Decision => self.call(record, segment, recorded),
            Kind::Result => self.result(record, segment, recorded),
            // What was open then never ends.
            Kind::Recovered => {
                self.running.clear();
                (Taken::Nothing, recorded)
            }
            _ => (Taken::Nothing, recorded),
        };
        if let Some(counted) = counted
            && self.state.as_mut().is_some_and(|state| state.apply(&counted).is_err())
        {
            self.state = None;
        }
        taken
    }

    /// A decision over a call, and how it changes the state as the packs count.
    fn call(
        &mut self,
        record: &Record,
        segment: u32,
        recorded: Option<StateDelta>,
    ) -> (Taken, Option<StateDelta>) {
        let again = self.decide(record, segment, recorded.as_ref());
        let is_intent = record.kind == Kind::Intent;
        // A call decided by the packs themselves counts as recorded.
        if is_intent && !self.is_uniform && again.is_err() {
            if has_tallies(self.policy) {
                self.uncounted.get_or_insert(record.seq);
            }
            if has_labels(self.policy) {
                self.lose_labels(record);
            }
        }
        let mut again = match again {
            Ok(again) => again,
            Err(why) => {
                if is_intent {
                    let call = Running::Unknown("its call cannot be decided again".to_owned());
                    self.running.insert(record.seq, call);
                }
                return (Taken::Cannot(why), recorded);
            }
        };
        let counted = recorded.map(|recorded| if is_intent { recounted(recorded, &again) } else { recorded });
        if is_intent {
            let running = std::mem::replace(&mut again.running, Running::Not);
            self.running.insert(record.seq, running);
        }
        (Taken::Call(Box::new(again)), counted)
    }

    /// Decides the call of a record again and compares.
    fn decide(&mut self, record: &Record, segment: u32, delta: Option<&StateDelta>) -> Result<Again, String> {
        let same_policy = record.policy_digest.as_deref() == Some(self.policy.digest());
        self.is_uniform &= same_policy;
        let inputs = self.values.inputs(record, segment).map_err(|missing| missing.to_string())?;
        let ran = self.values.value("arguments", record.arguments.as_ref(), record.seq, segment);
        let state = self.sum(inputs.call.session())?;
        let rebuilt = rebuilt(self.policy, &inputs, state);
        let is_as_recorded = rebuilt.session == inputs.session
            && rebuilt.pending == inputs.pending
            && (!self.is_uniform || rebuilt == inputs);
        if !is_as_recorded {
            return Err("it was decided in another state than the records add up to".to_owned());
        }
        let question = inputs.pending.clone();
        let answer = inputs.approval.clone();
        let mut again = DecisionInputs {
            tallies: rebuilt.tallies,
            labels: rebuilt.labels,
            approval: inputs.approval.clone().filter(|_| same_policy),
            pending: inputs.pending.clone().filter(|_| same_policy),
            ..inputs
        };
        let mut decided = again.redecide(self.policy);
        let asked = serde_json::to_value(again.call.arguments()).unwrap_or_default();
        let was = Verdict::recorded(record, ran.as_ref().ok().map(|ran| (&asked, ran)), delta);
        // The same people would be asked the same question, so their answer from then holds.
        let mut stands = match (&decided.record.effect, &question) {
            (EffectRecord::Ask(request), Some(question)) if !same_policy => {
                people(request) == people(question)
            }
            _ => false,
        };
        if stands
            && record.kind == Kind::Intent
            && let (EffectRecord::Ask(request), Some(answer)) = (&decided.record.effect, answer)
        {
            again.approval = Some(answered(request, answer));
            again.pending = Some(request.clone());
            decided = again.redecide(self.policy);
            stands = false;
        }
        let now = if stands { was.clone() } else { Verdict::again(&again, &decided) };
        let running = runs_as_then(record, &again, &decided, ran.ok().as_ref());
        Ok(Again { inputs: again, decided, stands, compared: Compared { was, now }, running })
    }

    /// Notes that later calls of the session may be decided by unknown labels.
    fn lose_labels(&mut self, record: &Record) {
        let session = record.session.clone().unwrap_or_default();
        self.unlabelled.entry(session).or_insert(record.seq);
    }

    /// The sum of the records so far, as the packs count, for a call of this session.
    fn sum(&self, session: &str) -> Result<&State, String> {
        if let Some(seq) = self.unlabelled.get(session) {
            return Err(format!("it is not known how record {seq} labels the session under these packs"));
        }
        if let Some(seq) = self.uncounted {
            return Err(format!("it is not known how record {seq} counts under these packs"));
        }
        self.state.as_ref().ok_or_else(|| "the records before it do not add up to a state".to_owned())
    }

    /// A decision over a result, and how it changes the state as the packs label.
    fn result(
        &mut self,
        record: &Record,
        segment: u32,
        recorded: Option<StateDelta>,
    ) -> (Taken, Option<StateDelta>) {
        let running = record.intent.and_then(|intent| self.running.remove(&intent));
        let tool = record.tool.as_deref().unwrap_or_default();
        if record.effect.is_none() && !self.policy.asks_of_results(tool) {
            return (Taken::Nothing, recorded);
        }
        let judged = match running {
            Some(Running::Not) => return (Taken::Nothing, recorded.map(unlabelled)),
            Some(Running::Same(call)) => self.judge(record, segment, &call, recorded.as_ref()),
            Some(Running::Unknown(why)) => Err(why),
            None => Err("its call is not in the log".to_owned()),
        };
        match judged {
            // Labels that the packs themselves assigned hold as recorded.
            Ok((compared, _)) if self.is_uniform => (Taken::Result(Box::new(compared)), recorded),
            Ok((compared, change)) => {
                let mut counted = recorded.map(unlabelled);
                counted.iter_mut().for_each(|counted| counted.changes.extend(change.clone()));
                (Taken::Result(Box::new(compared)), counted)
            }
            Err(why) if self.is_uniform => (Taken::Cannot(why), recorded),
            Err(why) => {
                if self.policy.labels_by_results(tool) {
                    self.lose_labels(record);
                }
                (Taken::Cannot(why), recorded.map(unlabelled))
            }
        }
    }

    /// Decides over the result of a call, as it is recorded.
    fn judge(
        &mut self,
        record: &Record,
        segment: u32,
        call: &ToolCall,
        delta: Option<&StateDelta>,
    ) -> Result<(Compared, Option<Change>), String> {
        let told = self.values.value("result", record.result.as_ref(), record.seq, segment);
        let told = told.map_err(|missing| missing.to_string())?;
        let outcome = record.outcome.clone().unwrap_or_default();
        let read = |value| CallResult::recorded(call.tool(), &outcome, value);
        let delivered = read(&told)?;
        let original = told.get("original").map(read).transpose()?;
        let redactions = original.as_ref().map(|gave| Redactions::of(gave, &delivered));
        let listed = self.values.rules(record, segment);
        let was = Verdict::of_recorded_result(record, listed.as_ref(), redactions.as_ref(), delta);
        let result = original.unwrap_or(delivered);
        let inputs = self.values.inputs(record, segment).ok();
        let inputs = match inputs {
            Some(inputs) if self.is_uniform => Some(ResultInputs::from(inputs)),
            inputs => {
                // The time at which rules were evaluated; if none were, that of the record.
                let at_ms = inputs.map(|inputs| inputs.now_ms).or(delta.map(|delta| delta.at_ms));
                ResultInputs::of(
                    self.policy,
                    call,
                    self.sum(call.session())?,
                    at_ms.ok_or("its record has no time")?,
                )
            }
        };
        let decided = inputs.map(|inputs| inputs.decide(self.policy, &result));
        let now = Verdict::of_result(decided.as_ref());
        Ok((Compared { was, now }, decided.and_then(|decided| decided.change())))
    }
}

/// The answer from then, applied to the question of now.
fn answered(request: &ApprovalRequest, then: VerifiedApproval) -> VerifiedApproval {
    VerifiedApproval {
        id: request.id.clone(),
        call_hash: request.call_hash.clone(),
        policy_digest: request.policy_digest.clone(),
        expires_ms: request.expires_ms,
        keys: then.keys,
    }
}

/// Whether a call that ran then runs now with the same arguments and in a sandbox of the same name. `ran`:
/// the arguments then.
fn runs_as_then(
    record: &Record,
    inputs: &DecisionInputs,
    decided: &Redecided,
    ran: Option<&Value>,
) -> Running {
    if !matches!(decided.record.effect, EffectRecord::Allow) {
        return Running::Not;
    }
    let unknown = |why: &str| Running::Unknown(why.to_owned());
    let sandbox = record.sandbox.as_ref().and_then(|sandbox| sandbox.get("name")?.as_str());
    if decided.sandbox.is_some() && decided.sandbox.as_deref() != sandbox {
        return unknown("its call would run in another sandbox, and what it gives there is not known");
    }
    let Some(ran) = ran else { return unknown("the arguments of its call cannot be shown") };
    let call = match &decided.record.arguments {
        None => Ok(inputs.call.clone()),
        Some(arguments) => {
            let (id, session) = (inputs.call.id(), inputs.call.session());
            let (subject, tool) = (inputs.call.subject().clone(), inputs.call.tool());
            ToolCall::new(id, session, subject, tool, Json::from(arguments).into_owned())
        }
    };
    let Ok(call) = call else { return unknown("the arguments that it is given are none") };
    let now = serde_json::to_value(call.arguments()).unwrap_or_default();
    match (canonical::to_vec(&now), canonical::to_vec(ran)) {
        (Ok(now), Ok(ran)) if now == ran => Running::Same(call),
        _ => unknown("its call would run with other arguments, and what it gives then is not known"),
    }
}

/// The same inputs, with what the policy counts and labels taken from the sum of the records before.
fn rebuilt(policy: &LoadedPolicy, inputs: &DecisionInputs, state: &State) -> DecisionInputs {
    decide_tool_call(policy, &inputs.call, state, inputs.now_ms, inputs.approval.as_ref()).inputs
}

fn unlabelled(delta: StateDelta) -> StateDelta {
    let is_kept = |change: &Change| !matches!(change, Change::Labelled { .. });
    StateDelta { changes: delta.changes.into_iter().filter(is_kept).collect(), ..delta }
}

/// The changes that the intent of a call makes, counted as the packs count: none if the packs would not have
/// allowed it to run.
fn recounted(recorded: StateDelta, again: &Again) -> StateDelta {
    let is_count = |change: &Change| {
        matches!(change, Change::Counted { .. } | Change::Admitted { .. } | Change::Labelled { .. })
    };
    let StateDelta { at_ms, changes } = recorded;
    let mut kept: Vec<Change> = Vec::new();
    match &again.decided.record.effect {
        EffectRecord::Ask(_) if again.stands => kept = changes,
        EffectRecord::Allow => {
            kept.extend(changes.into_iter().filter(|change| !is_count(change)));
            kept.extend(again.decided.record.delta.changes.iter().filter(|change| is_count(change)).cloned());
        }
        EffectRecord::Ask(_) | EffectRecord::Deny(_) => {
            for change in changes {
                match change {
                    Change::Counted { .. } | Change::Labelled { .. } => {}
                    // The call ran, whatever the packs decide now.
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
