//! The decision on one tool call: total, deterministic, and the only place where a permit is made.
//!
//! Steps, each of which can only deny: the session belongs to the caller; some layer defines the tool; the
//! arguments match every schema; all definitions run the same thing; facts are derived; every layer is
//! evaluated; if grants give the call other arguments, all of this again with those; the command can be
//! planned; open questions are answered.

use std::collections::BTreeSet;

use super::VerifiedApproval;
use super::approval::{ApprovalRequest, Binding, bound, bound_call_hash};
use super::call::ToolCall;
use super::decision::{Denial, DenyReason, Effect, EffectRecord, RuleReport, ToolDecision};
use super::environment::Shared;
use super::facts::Facts;
use super::layer::{Asking, Findings, refusal};
use super::loaded::{Entry, LoadedPolicy};
use super::plan::{self, Plan, PlannedCall};
use super::record::{DecisionInputs, DecisionRecord, Redecided, SessionView};
use super::state::{Change, MAX_OPEN, MAX_PENDING, State, StateDelta};

/// Permission to run. Only [`decide_tool_call`] makes one, it cannot be copied, and its content cannot be
/// changed.
#[derive(Debug)]
pub struct Permit<T>(T);

impl<T> Permit<T> {
    /// What may run.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// Consumes the permission.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Decides a call. The decision has no effect until the delta is applied to the same state and the record is
/// durable.
///
/// `now_ms` is in milliseconds since 1970; a time before the state's own counts as the state's. `approval` is
/// what approvers signed over the question of an earlier attempt of the same call, its signatures verified.
#[must_use]
pub fn decide_tool_call(
    policy: &LoadedPolicy,
    call: &ToolCall,
    state: &State,
    now_ms: u64,
    approval: Option<&VerifiedApproval>,
) -> ToolDecision {
    let inputs = DecisionInputs::of(policy, call, state, now_ms, approval);
    let Decided { verdict, rules, delta, transformed, facts, binds } = decide(policy, &inputs);
    let effect = match verdict {
        Verdict::Allow(plan) => {
            let call = transformed.as_ref().unwrap_or(call);
            Effect::Allow(Permit(PlannedCall::new(call.clone(), plan)))
        }
        Verdict::Deny(denial) => Effect::Deny(denial),
        Verdict::Ask(request) => Effect::Ask(request),
    };
    ToolDecision { effect, rules, delta, transformed, facts, binds, inputs }
}

/// Decides from recorded inputs.
pub(super) fn replay(policy: &LoadedPolicy, inputs: &DecisionInputs) -> Redecided {
    let Decided { verdict, rules, delta, transformed, facts, binds } = decide(policy, inputs);
    let asked = || Some(binds.as_ref()?.get("sandbox")?.as_str()?.to_owned());
    let (effect, sandbox) = match verdict {
        Verdict::Allow(plan) => (EffectRecord::Allow, plan.sandbox().map(str::to_owned)),
        Verdict::Deny(denial) => (EffectRecord::Deny(denial), None),
        Verdict::Ask(request) => (EffectRecord::Ask(request), asked()),
    };
    let record = DecisionRecord {
        effect,
        rules,
        delta,
        facts: facts.map_or(serde_json::Value::Null, |facts| facts.to_json()),
        arguments: transformed.as_ref().map(ToolCall::arguments_value),
    };
    Redecided { record, sandbox }
}

enum Verdict {
    Allow(Plan),
    Deny(Denial),
    Ask(ApprovalRequest),
}

struct Decided {
    verdict: Verdict,
    rules: Vec<RuleReport>,
    delta: StateDelta,
    /// The call with the arguments that grants gave it.
    transformed: Option<ToolCall>,
    /// `None`: the call was denied before facts were derived.
    facts: Option<Facts>,
    binds: Option<serde_json::Value>,
}

fn decide(policy: &LoadedPolicy, inputs: &DecisionInputs) -> Decided {
    let mut decided = Decided {
        verdict: Verdict::Deny(refusal(DenyReason::UnknownTool, "this tool is not defined".to_owned())),
        rules: Vec::new(),
        delta: StateDelta { at_ms: inputs.now_ms, changes: Vec::new() },
        transformed: None,
        facts: None,
        binds: None,
    };
    let verdict = match eligible(policy, inputs) {
        Err(denial) => Verdict::Deny(denial),
        Ok((session, entry)) => {
            let first = pass(policy, inputs, entry, Findings::default());
            let (last, finals) = transformed(policy, inputs, entry, first);
            let Pass { facts, mut findings } = last;
            decided.rules = std::mem::take(&mut findings.reports);
            let step =
                Step { policy, inputs: finals.as_ref().unwrap_or(inputs), session, entry, facts: &facts };
            let verdict = step.verdict(findings, &mut decided.delta.changes, &mut decided.binds);
            decided.facts = Some(facts);
            decided.transformed = finals.map(|finals| finals.call);
            verdict
        }
    };
    // A denial ends the open question about the call.
    if let (Verdict::Deny(_), Some(_)) = (&verdict, &inputs.pending) {
        decided.delta.changes.push(withdrawn(&inputs.call));
    }
    decided.verdict = verdict;
    decided
}

/// What was derived from a call's arguments, and what every layer says about it.
struct Pass {
    facts: Facts,
    findings: Findings,
}

fn pass(policy: &LoadedPolicy, inputs: &DecisionInputs, entry: &Entry, carried: Findings) -> Pass {
    let facts = Facts::of(&entry.derives, &inputs.call, entry.workspace.as_deref());
    let members = facts.members();
    let shared = Shared::new(policy, inputs, &members);
    let findings = Asking::new(policy, inputs, entry, shared, carried).all();
    drop(members);
    Pass { facts, findings }
}

/// The second pass, if grants give the call other arguments and nothing denies it. The call is decided with
/// those, and the same grants must give the same arguments again.
fn transformed(
    policy: &LoadedPolicy,
    inputs: &DecisionInputs,
    entry: &Entry,
    first: Pass,
) -> (Pass, Option<DecisionInputs>) {
    let other = first.findings.transforms.other_than(inputs.call.arguments());
    let Some(arguments) = other.filter(|_| first.findings.denials.is_empty()).cloned() else {
        return (first, None);
    };
    let finals = DecisionInputs { call: inputs.call.with_arguments(arguments), ..inputs.clone() };
    if let Err(denial) = fitting(policy, entry, &finals.call) {
        let Pass { facts, mut findings } = first;
        findings.denials.push(denial);
        return (Pass { facts, findings }, None);
    }
    let mut second = pass(policy, &finals, entry, first.findings.carried());
    if second.findings.transforms.other_than(finals.call.arguments()).is_some() {
        let message = "the arguments that grants give this call are not those that they would give it then";
        second.findings.denials.push(refusal(DenyReason::TransformUnstable, message.to_owned()));
    }
    second.findings.recall(first.findings);
    (second, Some(finals))
}

/// Whether the arguments match the schemas of all definitions.
fn fitting(policy: &LoadedPolicy, entry: &Entry, call: &ToolCall) -> Result<(), Denial> {
    policy.schemas(entry).try_for_each(|schema| {
        crate::arguments::matches(schema, call.arguments())
            .map_err(|mismatch| refusal(DenyReason::Arguments, mismatch.to_string()))
    })
}

/// What can be decided before any rule is evaluated.
fn eligible<'p>(
    policy: &'p LoadedPolicy,
    inputs: &DecisionInputs,
) -> Result<(SessionView, &'p Entry), Denial> {
    let refuse = |reason, message: String| Err(refusal(reason, message));
    let Some(session) = inputs.session else {
        return refuse(DenyReason::UnknownSession, "there is no such session of this subject".to_owned());
    };
    let Some(entry) = policy.tools.index.get(inputs.call.tool()) else {
        return refuse(DenyReason::UnknownTool, "this tool is not defined".to_owned());
    };
    if session.running >= MAX_OPEN {
        return refuse(DenyReason::Busy, format!("{MAX_OPEN} calls of this session run already"));
    }
    if policy.schemas(entry).next().is_none() {
        return refuse(DenyReason::UnknownTool, "this tool is not defined".to_owned());
    }
    fitting(policy, entry, &inputs.call)?;
    // A layer names what it defines, so this covers the built-in tools.
    if !entry.layers.iter().any(|layer| layer.names) {
        return refuse(DenyReason::NoRule, "no rule is about this tool".to_owned());
    }
    if policy.differs(entry) {
        let message = "two packs define this tool, and what it runs is not the same".to_owned();
        return refuse(DenyReason::DefinitionConflict, message);
    }
    Ok((session, entry))
}

/// What remains to be decided after the layers.
struct Step<'s> {
    policy: &'s LoadedPolicy,
    inputs: &'s DecisionInputs,
    session: SessionView,
    entry: &'s Entry,
    facts: &'s Facts,
}

impl Step<'_> {
    fn verdict(
        &self,
        findings: Findings,
        changes: &mut Vec<Change>,
        binds: &mut Option<serde_json::Value>,
    ) -> Verdict {
        // Among denials with the weightiest reason, that of the earliest layer.
        let worst = findings.denials.iter().min_by_key(|denial| denial.reason);
        if let Some(denial) = worst {
            return Verdict::Deny(denial.clone());
        }
        let plan = match self.plan(findings.sandbox.as_deref()) {
            Ok(plan) => plan,
            Err(denial) => return Verdict::Deny(denial),
        };
        let (added, removed) = self.labels(&findings);
        if !findings.asks.is_empty() {
            let facts = self.facts.to_json();
            let bound = bound(&self.inputs.call, &self.binding(&plan, &facts, &removed));
            let answer = self.question(&findings, &bound);
            *binds = Some(bound);
            match answer {
                Ok(Answer::Given) => {}
                Ok(Answer::Awaited(request)) => return Verdict::Ask(request),
                Ok(Answer::Asked(request)) => {
                    changes.push(Change::Asked {
                        session: self.inputs.call.session().to_owned(),
                        call: self.inputs.call.id().to_owned(),
                        request: request.clone(),
                    });
                    return Verdict::Ask(request);
                }
                Err(denial) => return Verdict::Deny(denial),
            }
        }
        if self.inputs.pending.is_some() {
            changes.push(withdrawn(&self.inputs.call));
        }
        let counted = findings.counted.into_iter();
        changes.extend(counted.map(|(tally, window_ms)| Change::Counted { tally, window_ms }));
        changes.push(Change::Admitted {
            session: self.inputs.call.session().to_owned(),
            call: self.inputs.call.id().to_owned(),
            reserved: findings.reserved,
        });
        if !(added.is_empty() && removed.is_empty()) {
            let session = self.inputs.call.session().to_owned();
            changes.push(Change::Labelled { session, add: added, remove: removed });
        }
        Verdict::Allow(plan)
    }

    /// The labels that the session gains, and those that it loses, if the call is admitted. Only a pack that
    /// itself asks for approval removes labels, and only its own; a label that any pack adds stays.
    fn labels(&self, findings: &Findings) -> (BTreeSet<String>, BTreeSet<String>) {
        let has = &self.inputs.labels;
        let asked =
            findings.removed.iter().filter(|(_, pack)| findings.asks.are_of(pack)).map(|(label, _)| label);
        let removed = asked.filter(|label| has.contains(*label) && !findings.added.contains(*label));
        (findings.added.difference(has).cloned().collect(), removed.cloned().collect())
    }

    /// What runs, in the tool's own sandbox or the one that the call is narrowed to.
    fn plan(&self, narrowed: Option<&str>) -> Result<Plan, Denial> {
        let call = &self.inputs.call;
        let planned = match (self.policy.definitions(self.entry).next(), self.entry.builtin) {
            (Some((_, tool)), _) => plan::of_run(&tool.run, narrowed, self.stdin(), call),
            (None, Some(builtin)) => plan::of_builtin(builtin, call),
            (None, None) => {
                return Err(refusal(DenyReason::UnknownTool, "this tool is not defined".to_owned()));
            }
        };
        planned.map_err(|error| refusal(DenyReason::Plan, error.to_string()))
    }

    fn binding<'b>(
        &'b self,
        plan: &'b Plan,
        facts: &'b serde_json::Value,
        removes: &'b BTreeSet<String>,
    ) -> Binding<'b> {
        Binding {
            removes,
            sandbox: plan.sandbox(),
            facts,
            policy_digest: &self.policy.digest,
            generation: self.session.generation,
        }
    }

    /// A call may read from its caller only if every definition says so.
    fn stdin(&self) -> crate::policy::tools::Stdin {
        use crate::policy::tools::Stdin;
        let stdin = self.policy.definitions(self.entry).map(|(_, tool)| tool.stdin).min();
        stdin.unwrap_or(Stdin::Forbidden)
    }

    /// The state of the approval. It answers exactly the open question, and only while that question would be
    /// asked again.
    fn question(&self, findings: &Findings, bound: &serde_json::Value) -> Result<Answer, Denial> {
        let refuse = |reason, message: &str| Err(refusal(reason, message.to_owned()));
        let inputs = self.inputs;
        let Some(hash) = bound_call_hash(bound) else {
            return refuse(DenyReason::Arguments, "the arguments have no canonical form");
        };
        let now = findings.asks.request(&inputs.call, hash, &self.policy.digest, inputs.now_ms);
        let Some(pending) = &inputs.pending else {
            if inputs.approval.is_some() {
                return refuse(DenyReason::ApprovalStale, "there is no open question that this answers");
            }
            if !now.requirements.iter().all(super::Requirement::can_be_met) {
                let message = "too few of those who may approve take no part in the call themselves";
                return refuse(DenyReason::NoApprover, message);
            }
            if self.session.pending >= MAX_PENDING {
                return refuse(DenyReason::Busy, "too many questions of this session are open");
            }
            return Ok(Answer::Asked(now));
        };
        if inputs.now_ms >= pending.expires_ms {
            return refuse(DenyReason::ApprovalExpired, "nobody approved in time");
        }
        let same = pending.call_hash == now.call_hash
            && pending.policy_digest == now.policy_digest
            && pending.requirements == now.requirements;
        if !same {
            let message = "the session, the policy or the question changed since people were asked";
            return refuse(DenyReason::ApprovalStale, message);
        }
        match inputs.approval.as_ref().map(|approval| pending.is_met_by(approval)) {
            None | Some(Ok(false)) => Ok(Answer::Awaited(pending.clone())),
            Some(Ok(true)) => Ok(Answer::Given),
            Some(Err(reason)) => refuse(reason, "the approval answers another question"),
        }
    }
}

/// The state of a question.
enum Answer {
    /// It is now asked for the first time.
    Asked(ApprovalRequest),
    /// It was asked before and is not fully answered.
    Awaited(ApprovalRequest),
    /// All required approvals are there.
    Given,
}

fn withdrawn(call: &ToolCall) -> Change {
    Change::Withdrawn { session: call.session().to_owned(), call: call.id().to_owned() }
}
