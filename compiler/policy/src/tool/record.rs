//! What a decision was made from, in full: with it and the policy, it can be made again.

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

/// Everything that a decision reads but the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionInputs {
    /// The call.
    pub call: ToolCall,
    /// When, in milliseconds since 1970: never earlier than what the state has seen.
    pub now_ms: u64,
    /// The session; `None`: there is none of this name, or it is another subject's.
    pub session: Option<SessionView>,
    /// The labels of the session, each as `PACK/NAME`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// What the policy counts, by [`TallyKey::name`].
    pub tallies: BTreeMap<String, TallyView>,
    /// The question that is open about this call.
    pub pending: Option<ApprovalRequest>,
    /// The answer that came with this attempt.
    pub approval: Option<VerifiedApproval>,
}

/// A session when a call of it is decided.
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

/// A tally when a call is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TallyView {
    /// What counts now.
    pub sum: u64,
    /// After how many milliseconds less will count.
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
    /// What was derived from the arguments.
    pub facts: serde_json::Value,
    /// The arguments that transforms gave the call in the place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<serde_json::Value>,
}

/// A decision that was made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Redecided {
    /// The decision.
    pub record: DecisionRecord,
    /// The sandbox in which the call runs, or would once people approve; `None`: it runs in none.
    pub sandbox: Option<String>,
}

/// A record that cannot be decided again.
#[derive(Debug, Error)]
#[error("the record holds no inputs of a decision: {0}")]
pub struct RecordError(#[from] serde_json::Error);

impl DecisionInputs {
    /// What a decision over a call reads of the state.
    pub(super) fn of(
        policy: &LoadedPolicy,
        call: &ToolCall,
        state: &State,
        now_ms: u64,
        approval: Option<&VerifiedApproval>,
    ) -> Self {
        let now_ms = now_ms.max(state.now_ms);
        let session = state.sessions.get(call.session());
        let session = session.filter(|session| session.subject == call.subject().key());
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

    /// Reads the inputs out of a record of the log, where their values were kept.
    ///
    /// # Errors
    /// A value that is not what [`DecisionInputs`] is written as.
    pub fn from_record(value: &serde_json::Value) -> Result<Self, RecordError> {
        Ok(Self::deserialize(value)?)
    }

    /// Decides again. With the policy of the record this gives the decision of the record; with another one, what that would have
    /// said. Nobody gets a permit.
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

/// A label of a pack, as sessions carry it; without the pack's version, as tallies have it.
pub(super) fn label_name(pack: &str, name: &str) -> String {
    format!("{pack}/{name}")
}

fn owner(scope: Scope, call: &ToolCall) -> Owner {
    match scope {
        Scope::Subject => Owner::Subject(call.subject().key()),
        Scope::Session => Owner::Session(call.session().to_owned()),
    }
}
