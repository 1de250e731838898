//! All inputs of a decision: with them and the policy, the decision can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::approval::{ApprovalRequest, VerifiedApproval};
use super::call::ToolCall;
use super::decide;
use super::decision::{EffectRecord, RuleReport};
use super::loaded::LoadedPolicy;
use super::state::{State, StateDelta};
use super::tally::{Owner, TallyKey};
use crate::policy::tools::Scope;

/// Everything that a decision reads except the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionInputs {
    /// The call.
    pub call: ToolCall,
    /// When, in milliseconds since 1970: never earlier than the state's latest time.
    pub now_ms: u64,
    /// The session; `None`: none has this name, or it belongs to another subject.
    pub session: Option<SessionView>,
    /// The labels of the session, each as `PACK/NAME`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// What the policy counts, by [`TallyKey::name`].
    pub tallies: BTreeMap<String, TallyView>,
    /// The open question about this call.
    pub pending: Option<ApprovalRequest>,
    /// The answer that came with this attempt.
    pub approval: Option<VerifiedApproval>,
}

/// A session at the time when one of its calls is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionView {
    /// When it began, in milliseconds since 1970.
    pub opened_ms: u64,
    /// Calls that were admitted before.
    pub calls: u64,
    /// Its generation.
    pub generation: u64,
    /// Calls that run.
    pub running: usize,
    /// Questions that are open.
    pub pending: usize,
}

/// A tally at the time when a call is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TallyView {
    /// What currently counts.
    pub sum: u64,
    /// Milliseconds until less will count.
    pub falls_after_ms: Option<u64>,
}

/// A decision for the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRecord {
    /// Whether the call runs.
    pub effect: EffectRecord,
    /// The rules that took part.
    pub rules: Vec<RuleReport>,
    /// What it changed.
    pub delta: StateDelta,
    /// The facts derived from the arguments.
    pub facts: serde_json::Value,
    /// The arguments with which transforms replaced the call's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<serde_json::Value>,
}

/// A repeated decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Redecided {
    /// The decision.
    pub record: DecisionRecord,
    /// The sandbox in which the call runs, or would after approval; `None`: it runs in none.
    pub sandbox: Option<String>,
}

/// A record whose decision cannot be repeated.
#[derive(Debug, Error)]
#[error("the record holds no inputs of a decision: {0}")]
pub struct RecordError(#[from] serde_json::Error);

impl DecisionInputs {
    /// What a decision on a call reads of the state.
    pub(super) fn of(
        policy: &LoadedPolicy,
        call: &ToolCall,
        state: &State,
        now_ms: u64,
        approval: Option<&VerifiedApproval>,
    ) -> Self {
        let now_ms = now_ms.max(state.now_ms);
        let session = state.sessions.get(call.session());
        let session = session.filter(|session| session.subject == call.subject_key());
        let mut tallies = BTreeMap::new();
        for (key, window_ms) in tally_keys(policy, call) {
            let tally = state.tallies.get(&key);
            let view = tally.map_or_else(TallyView::default, |tally| TallyView {
                sum: tally.sum(now_ms, window_ms),
                falls_after_ms: tally.falls_after_ms(now_ms, window_ms),
            });
            tallies.insert(key.name, view);
        }
        Self {
            call: call.clone(),
            now_ms,
            session: session.map(|session| SessionView {
                opened_ms: session.opened_ms,
                calls: session.calls,
                generation: session.generation,
                running: session.open.len(),
                pending: session.pending.len(),
            }),
            labels: session.map(|session| session.labels.clone()).unwrap_or_default(),
            tallies,
            pending: session.and_then(|session| session.pending.get(call.id())).cloned(),
            approval: approval.cloned(),
        }
    }

    /// Reads the inputs from a record of the log, if their values were kept.
    ///
    /// # Errors
    /// A value that is not written as [`DecisionInputs`].
    pub fn from_record(value: &serde_json::Value) -> Result<Self, RecordError> {
        Ok(Self::deserialize(value)?)
    }

    /// Decides again. With the policy of the record this gives the decision of the record; with another one,
    /// the decision of that policy. No permit is made.
    #[must_use]
    pub fn decide(&self, policy: &LoadedPolicy) -> DecisionRecord {
        self.redecide(policy).record
    }

    /// The same, with where the call would run.
    #[must_use]
    pub fn redecide(&self, policy: &LoadedPolicy) -> Redecided {
        decide::replay(policy, self)
    }

    pub(super) fn tally(&self, name: &str) -> TallyView {
        self.tallies.get(name).copied().unwrap_or_default()
    }
}

/// Every tally that the policy keeps for a call, and its window.
fn tally_keys<'p>(
    policy: &'p LoadedPolicy,
    call: &'p ToolCall,
) -> impl Iterator<Item = (TallyKey, Option<u64>)> + 'p {
    policy.policy.tools.iter().zip(&policy.tools.layers).flat_map(move |(layer, loaded)| {
        let counters = layer.counters.iter().map(|counter| {
            (counter_key(&loaded.pack, &counter.name, counter.scope, call), counter.window_ms)
        });
        let budgets = layer
            .budgets
            .iter()
            .map(|budget| (budget_key(&loaded.pack, &budget.name, budget.scope, call), budget.window_ms));
        counters.chain(budgets)
    })
}

pub(super) fn counter_key(pack: &str, name: &str, scope: Scope, call: &ToolCall) -> TallyKey {
    TallyKey { owner: owner(scope, call), name: format!("counter/{pack}/{name}") }
}

pub(super) fn budget_key(pack: &str, name: &str, scope: Scope, call: &ToolCall) -> TallyKey {
    TallyKey { owner: owner(scope, call), name: format!("budget/{pack}/{name}") }
}

/// A label of a pack, as sessions carry it; without the pack's version, as in tallies.
pub(super) fn label_name(pack: &str, name: &str) -> String {
    format!("{pack}/{name}")
}

fn owner(scope: Scope, call: &ToolCall) -> Owner {
    match scope {
        Scope::Subject => Owner::Subject(call.subject_key().to_owned()),
        Scope::Session => Owner::Session(call.session().to_owned()),
    }
}
