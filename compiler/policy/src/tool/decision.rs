//! What a decision says: whether the call runs, which rules took part, and what it changes.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::approval::ApprovalRequest;
use super::call::ToolCall;
use super::decide::Permit;
use super::facts::Facts;
use super::plan::PlannedCall;
use super::record::{DecisionInputs, DecisionRecord};
use super::state::StateDelta;
use crate::policy::tools::Mode;

/// A decision. It has no effect until its delta is applied and its record is durable.
#[derive(Debug)]
pub struct ToolDecision {
    /// Whether the call runs.
    pub effect: Effect,
    /// The rules that took part, in the order of layers and their text; a rule whose condition is false does
    /// not take part.
    pub rules: Vec<RuleReport>,
    /// What it changes.
    pub delta: StateDelta,
    /// The call with the arguments that transforms gave it. This is the call that is decided, approved,
    /// recorded and run.
    pub(super) transformed: Option<ToolCall>,
    /// The facts derived from the arguments, unless the call was denied before. They are written out only for
    /// the record.
    pub(super) facts: Option<Facts>,
    /// For a call that needs approval: everything that the approval binds, to be shown to the approvers; see
    /// [`super::bound_call_hash`].
    pub binds: Option<serde_json::Value>,
    /// Everything that it was made from, except the policy.
    pub inputs: DecisionInputs,
}

impl ToolDecision {
    /// The call that was decided, with the arguments that transforms gave it, if any.
    #[must_use]
    pub fn call(&self) -> &ToolCall {
        self.transformed.as_ref().unwrap_or(&self.inputs.call)
    }

    /// The decision without the permit, for the log.
    #[must_use]
    pub fn record(&self) -> DecisionRecord {
        let effect = match &self.effect {
            Effect::Allow(_) => EffectRecord::Allow,
            Effect::Deny(denial) => EffectRecord::Deny(denial.clone()),
            Effect::Ask(request) => EffectRecord::Ask(request.clone()),
        };
        DecisionRecord {
            effect,
            rules: self.rules.clone(),
            delta: self.delta.clone(),
            facts: self.facts.as_ref().map_or(serde_json::Value::Null, Facts::to_json),
            arguments: self.transformed.as_ref().map(ToolCall::arguments_value),
        }
    }
}

/// Whether a call runs.
#[derive(Debug)]
pub enum Effect {
    /// It may, exactly as planned.
    Allow(Permit<PlannedCall>),
    /// It does not.
    Deny(Denial),
    /// Only after approval.
    Ask(ApprovalRequest),
}

/// [`Effect`] for the log: reading it back gives no permit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum EffectRecord {
    /// It may run.
    Allow,
    /// It does not.
    Deny(Denial),
    /// Only after approval.
    Ask(ApprovalRequest),
}

/// Why a call does not run. Texts may repeat names of the arguments, but never their values beyond what an
/// author's rule says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Denial {
    /// The kind of reason.
    pub reason: DenyReason,
    /// `name@version` of the pack that denies, where one does.
    pub pack: Option<String>,
    /// Its rule, counter or budget.
    pub rule: Option<String>,
    /// Why, for people to read.
    pub message: String,
    /// What the agent can do instead.
    pub remedy: Option<String>,
    /// The earliest time at which another attempt can succeed, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

/// Kinds of reasons. Of several, the one that comes first here is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenyReason {
    /// The session does not exist, or belongs to another subject.
    UnknownSession,
    /// No layer defines the tool.
    UnknownTool,
    /// The arguments do not match a schema of the tool.
    Arguments,
    /// Two packs define the tool differently.
    DefinitionConflict,
    /// A rule denies.
    Rule,
    /// A rule that could deny cannot be evaluated.
    EvaluationError,
    /// A rule exceeded its fuel.
    FuelExhausted,
    /// A layer that names the tool does not grant the call.
    NoRule,
    /// A counter is at its limit.
    Throttled,
    /// Two grants give the call different arguments.
    TransformConflict,
    /// The grants would give other arguments for the arguments that they gave; or redactions would change
    /// again what they left of a result.
    TransformUnstable,
    /// The sandboxes that the call is narrowed to cannot be compared, or one is not provably narrower than
    /// the tool's own.
    NarrowConflict,
    /// A budget does not cover what the call may use.
    BudgetExhausted,
    /// The command cannot be executed with these arguments.
    Plan,
    /// Too few people remain who may approve.
    NoApprover,
    /// The question was not answered in time.
    ApprovalExpired,
    /// The approval is for another call, policy or state of the session, or was already used.
    ApprovalStale,
    /// The session has too many open calls or questions.
    Busy,
}

/// A rule that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleReport {
    /// `name@version` of its pack.
    pub pack: String,
    /// Its name.
    pub rule: String,
    /// Its purpose.
    pub kind: RuleKind,
    /// What it did; for a rule in shadow, what it would have done.
    pub outcome: RuleOutcome,
    /// Whether that had an effect.
    #[serde(default, skip_serializing_if = "Mode::is_enforce")]
    pub mode: Mode,
}

impl RuleReport {
    /// The report as it is in a record of the log: without the texts that may repeat values of the arguments.
    #[must_use]
    pub fn bare(&self) -> serde_json::Value {
        let outcome = match self.outcome {
            RuleOutcome::Applied => "applied",
            RuleOutcome::WithinLimit => "withinLimit",
            RuleOutcome::Failed(_) => "failed",
        };
        let mut bare = json!({ "pack": self.pack, "rule": self.rule, "kind": self.kind, "outcome": outcome });
        if let (Mode::Shadow, Some(members)) = (self.mode, bare.as_object_mut()) {
            members.insert("mode".to_owned(), json!(self.mode));
        }
        bare
    }
}

/// The purpose of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the rules' fields")]
pub enum RuleKind {
    Allow,
    Ask,
    Deny,
    Throttle,
    Confirm,
    Label,
    Narrow,
    Redact,
}

impl RuleKind {
    /// Whether it can only permit.
    #[must_use]
    pub const fn is_grant(self) -> bool {
        matches!(self, RuleKind::Allow | RuleKind::Ask)
    }
}

/// What a rule did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum RuleOutcome {
    /// It had its effect: it granted, denied, asked for approval, or found its counter at the limit.
    Applied,
    /// A throttle whose counter is below its limit.
    WithinLimit,
    /// Its condition cannot be evaluated; the text may repeat values of the arguments.
    Failed(String),
}
