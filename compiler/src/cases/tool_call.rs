//! Calls of tools, decided by the executor's own code, after a session that the case describes.

use std::collections::BTreeSet;

use bailiwick_policy::cel::{parse_duration, parse_timestamp};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::tools::{Mode, Scope, ToolLayer};
use bailiwick_policy::tool::{
    ApprovalRequest, CallResult, Change, Effect, Listing, LoadedPolicy, Owner, Plan, Redactions, Reservation,
    ResultDecision, ResultEffect, ResultInputs, RuleKind, RuleOutcome, RuleReport, State, StateDelta,
    Subject, TallyKey, ToolCall, ToolDecision, Usage, VerifiedApproval, decide_tool_call,
};
use serde_json::Value;

use super::{Happened, Relabelled};
use crate::policy_test::{
    CaseResult, CaseSession, CaseSubject, Delivered, Effect as Expected, PriorCall, ToolCallCase,
};

/// The session of every case.
const SESSION: &str = "case";
/// The call of every case.
const CALL: &str = "call";
/// Most calls that a case may make before its own, counting repetitions.
const MAX_BEFORE: usize = 1_000;
/// The time of a case that states none: 2026-01-01T00:00:00Z.
const DEFAULT_NOW_MS: u64 = 1_767_225_600_000;

/// Decides the call of a case. `Err`: why the case itself cannot be judged.
pub(super) fn decide(policy: &LoadedPolicy, case: &ToolCallCase) -> Result<ToolDecision, String> {
    staged(policy, case)?.decide(CALL, &case.tool, case.args.as_ref(), None)
}

/// The outcome of a call once its result is judged; if approval is needed, after the approvers agreed. A call
/// that is not allowed has none.
pub(super) fn judged(
    policy: &LoadedPolicy,
    case: &ToolCallCase,
    decision: &ToolDecision,
    happened: Happened,
) -> Result<Happened, String> {
    let Some(result) = &case.result else { return Ok(happened) };
    let (stage, approved) = settled(policy, case, decision)?;
    let Effect::Allow(permit) = &approved.as_ref().unwrap_or(decision).effect else { return Ok(happened) };
    delivered(&stage, permit.get().call(), result, happened)
}

/// The plan of a call, once every approver that is needed agreed; and what happens to its result, with the
/// labels that the result alone adds. `None`: the call is not allowed.
pub(super) fn judged_once_approved(
    policy: &LoadedPolicy,
    case: &ToolCallCase,
    decision: &ToolDecision,
) -> Result<Option<(Plan, Happened)>, String> {
    let (stage, approved) = settled(policy, case, decision)?;
    let Effect::Allow(permit) = &approved.as_ref().unwrap_or(decision).effect else { return Ok(None) };
    let Some(result) = &case.result else { return Ok(None) };
    let happened = Happened { labels: Some(Relabelled::default()), ..happened(decision) };
    let happened = delivered(&stage, permit.get().call(), result, happened)?;
    Ok(Some((permit.get().plan().clone(), happened)))
}

/// What the decision on a case's result reads, once its call is decided and every approver that is needed
/// agreed. The outer `None`: the call is not allowed; the inner one: no rule is about its result.
pub(super) fn result_inputs(
    policy: &LoadedPolicy,
    case: &ToolCallCase,
    decision: &ToolDecision,
) -> Result<Option<Option<(ResultInputs, CallResult)>>, String> {
    let (stage, approved) = settled(policy, case, decision)?;
    let Effect::Allow(permit) = &approved.as_ref().unwrap_or(decision).effect else { return Ok(None) };
    let result = call_result(&case.result.clone().unwrap_or_default())?;
    let inputs = ResultInputs::of(policy, permit.get().call(), &stage.state, stage.now_ms);
    Ok(Some(inputs.map(|inputs| (inputs, result))))
}

/// What is delivered of a result, in a session that admitted its call.
fn delivered(
    stage: &Stage<'_>,
    call: &ToolCall,
    result: &CaseResult,
    mut happened: Happened,
) -> Result<Happened, String> {
    let policy = stage.policy;
    let result = call_result(result)?;
    let inputs = ResultInputs::of(policy, call, &stage.state, stage.now_ms);
    let judged = inputs.map(|inputs| inputs.decide(policy, &result));
    if let Some(labels) = &mut happened.labels {
        labels.take(judged.iter().filter_map(ResultDecision::change));
    }
    let mut rules = happened.rules.clone();
    let took_part = |report: &RuleReport| format!("{}/{}", report.pack, report.rule);
    rules.extend(judged.iter().flat_map(|judged| &judged.rules).map(took_part));
    let redactions = match judged.map(|judged| judged.effect) {
        Some(ResultEffect::Withhold(denial)) => {
            let by = denial.rule.map(|rule| format!("{}/{rule}", denial.pack.unwrap_or_default()));
            let messages = [Some(denial.message), denial.remedy].into_iter().flatten().collect();
            let rules = by.into_iter().collect();
            return Ok(Happened {
                effect: Some(Expected::Deny),
                rules,
                messages,
                listed: happened.listed,
                labels: happened.labels,
                ..Happened::new(false)
            });
        }
        Some(ResultEffect::Deliver(redactions)) => redactions,
        None => Redactions::default(),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let delivered = Delivered {
        stdout: Some(redactions.stdout.unwrap_or_else(|| text(&result.stdout))),
        stderr: Some(redactions.stderr.unwrap_or_else(|| text(&result.stderr))),
        content: redactions.content.or_else(|| result.content.as_deref().map(text)),
    };
    Ok(Happened { rules, delivered: Some(delivered), ..happened })
}

/// The labels that the session of a case gains and loses by its call; if approval is needed, after the
/// approvers agreed.
pub(super) fn relabelled(
    policy: &LoadedPolicy,
    case: &ToolCallCase,
    decision: &ToolDecision,
) -> Result<Relabelled, String> {
    let mut labels = Relabelled::default();
    match &decision.effect {
        Effect::Allow(_) => labels.take(decision.delta.changes.iter().cloned()),
        Effect::Deny(_) => {}
        Effect::Ask(_) => {
            let approved = settled(policy, case, decision)?.1;
            labels.take(approved.into_iter().flat_map(|approved| approved.delta.changes));
        }
    }
    Ok(labels)
}

/// The session of a case after its call was decided; if approval is needed, after every approver agreed, with
/// the decision that followed.
fn settled<'p>(
    policy: &'p LoadedPolicy,
    case: &ToolCallCase,
    decision: &ToolDecision,
) -> Result<(Stage<'p>, Option<ToolDecision>), String> {
    let mut stage = staged(policy, case)?;
    stage.apply(&decision.delta)?;
    let Effect::Ask(request) = &decision.effect else { return Ok((stage, None)) };
    let approved = stage.decide(CALL, &case.tool, case.args.as_ref(), Some(&everybody(request)))?;
    if let Effect::Deny(denial) = &approved.effect {
        return Err(format!("once people approve, the call is denied: {}", denial.message));
    }
    stage.apply(&approved.delta)?;
    Ok((stage, Some(approved)))
}

/// The approval of every possible approver.
fn everybody(request: &ApprovalRequest) -> VerifiedApproval {
    let keys = request.requirements.iter().flat_map(|requirement| &requirement.keys);
    VerifiedApproval {
        id: request.id.clone(),
        call_hash: request.call_hash.clone(),
        policy_digest: request.policy_digest.clone(),
        expires_ms: request.expires_ms,
        keys: keys.map(|key| key.ed25519.clone()).collect(),
    }
}

impl Relabelled {
    fn take(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            if let Change::Labelled { add, remove, .. } = change {
                self.added.extend(add);
                self.removed.extend(remove);
            }
        }
    }
}

fn call_result(case: &CaseResult) -> Result<CallResult, String> {
    let outcome = case.outcome.clone().unwrap_or_else(|| "Exited".to_owned());
    let code = case.exit_code.or((outcome == "Exited").then_some(0));
    let code = code.map(i32::try_from).transpose().map_err(|_| "no program has this exit code".to_owned())?;
    let signal =
        case.signal.map(i32::try_from).transpose().map_err(|_| "there is no such signal".to_owned())?;
    let dropped = u64::try_from(case.dropped.unwrap_or(0));
    let bytes = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
    Ok(CallResult {
        outcome,
        exit_code: code,
        signal,
        stdout: bytes(&case.stdout),
        stderr: bytes(&case.stderr),
        dropped: dropped.map_err(|_| "less than nothing cannot be dropped".to_owned())?,
        content: case.content.clone().map(String::into_bytes),
        paths: case.paths.clone(),
    })
}

/// Rejects a session with a label that no pack has, or with an earlier call of an unknown tool, since what
/// the case says of it would be meaningless. When two policies are compared, it suffices that one of them has
/// it.
pub(super) fn refuse_unknown(policy: &LoadedPolicy, case: &ToolCallCase) -> Result<(), String> {
    let known = |name: &String| {
        policy.policy().tools.iter().any(|layer| layer.labels.iter().any(|label| label.name == *name))
    };
    let Some(session) = &case.session else { return Ok(()) };
    if let Some(name) = session.labels.iter().find(|name| !known(name)) {
        return Err(format!("no pack has a label `{name}`"));
    }
    let is_tool = |call: &&PriorCall| policy.tools().any(|(name, ..)| name == call.tool);
    match session.before.iter().find(|call| !is_tool(call)) {
        Some(call) => Err(format!("no pack defines `{}`, of which `session.before` has a call", call.tool)),
        None => Ok(()),
    }
}

/// Rejects a session of which an earlier call is decided otherwise than the case says: then the session is not
/// the one that the case is about. When two policies are compared, that is a difference like any other.
pub(super) fn refuse_unexpected(policy: &LoadedPolicy, case: &ToolCallCase) -> Result<(), String> {
    if case.session.as_ref().is_none_or(|session| session.before.is_empty()) {
        return Ok(());
    }
    staged(policy, case)?.unexpected.map_or(Ok(()), Err)
}

/// Whether the tool of a case is listed for its subject; the inner `Err` says what hides it.
pub(super) fn listed(policy: &LoadedPolicy, case: &ToolCallCase) -> Result<Result<(), String>, String> {
    let stage = staged(policy, case)?;
    let listing = Listing::of(policy, &stage.subject, Some(SESSION), &stage.state, stage.now_ms);
    let listing = listing.map_err(|error| error.to_string())?;
    let found = listing.tools(policy).into_iter().find(|tool| tool.name == case.tool);
    let Some(found) = found else { return Ok(Err("no pack defines it".to_owned())) };
    Ok(found.hidden.map_or(Ok(()), |hidden| {
        let rule = hidden.rule.map(|rule| format!("/{rule}")).unwrap_or_default();
        Err(format!("{}{rule}: {:?}", hidden.pack.unwrap_or_default(), hidden.reason))
    }))
}

/// The session that a case describes, just before the case's own call.
fn staged<'p>(policy: &'p LoadedPolicy, case: &ToolCallCase) -> Result<Stage<'p>, String> {
    let now_ms = match &case.now {
        None => DEFAULT_NOW_MS,
        Some(text) => {
            let at = parse_timestamp(text).map_err(|_| format!("`{text}` is not an RFC 3339 time"))?;
            u64::try_from(at.since_epoch().as_millis()).map_err(|_| format!("`{text}` lies before 1970"))?
        }
    };
    let subject = case.subject.as_ref().map(subject).unwrap_or_default();
    let session = case.session.clone().unwrap_or_default();
    let mut stage = Stage { policy, subject, state: State::default(), now_ms, unexpected: None };
    stage.begin(&session)?;
    let repeated = session.before.iter().enumerate().flat_map(|(entry, call)| {
        let times = usize::try_from(call.times.unwrap_or(1)).unwrap_or_default();
        (0..times.min(MAX_BEFORE + 1)).map(move |time| (entry, call, time))
    });
    for (index, (entry, call, time)) in repeated.enumerate() {
        if index >= MAX_BEFORE {
            return Err(format!("a case may make at most {MAX_BEFORE} calls before its own"));
        }
        let decision = stage.make(call, index)?;
        if stage.unexpected.is_none() {
            stage.unexpected = unexpected(call, &decision).map(|what| {
                let time = if call.times.is_some() { format!(", time {}", time + 1) } else { String::new() };
                format!("`session.before[{entry}]` (`{}`{time}) {what}", call.tool)
            });
        }
    }
    Ok(stage)
}

/// What is decided of an earlier call and not what the case says of it, and how to say it.
fn unexpected(call: &PriorCall, decision: &ToolDecision) -> Option<String> {
    let happened = happened(decision);
    let effect = happened.effect?;
    match call.effect {
        Some(expected) if expected == effect => None,
        Some(expected) => {
            Some(format!("was to be {}, and is {}: correct its `effect`", expected.as_str(), effect.as_str()))
        }
        None if effect == Expected::Deny => {
            let by = happened.rules.first().map(|rule| format!(" by {rule}")).unwrap_or_default();
            let why = happened.messages.first().map(|said| format!(" ({said})")).unwrap_or_default();
            Some(format!(
                "is denied{by}{why}, so it leaves nothing in the session: write `effect: Deny` there if that is meant"
            ))
        }
        None => None,
    }
}

fn subject(case: &CaseSubject) -> Subject {
    Subject {
        agent: case.agent.clone().unwrap_or_default(),
        user: case.user.clone().unwrap_or_default(),
        namespace: case.namespace.clone().unwrap_or_default(),
        groups: case.groups.clone(),
        labels: case.labels.clone(),
        chain: case.chain.clone(),
    }
}

/// The state in which calls of a case are decided.
struct Stage<'p> {
    policy: &'p LoadedPolicy,
    subject: Subject,
    state: State,
    now_ms: u64,
    /// The first earlier call that is not decided as the case says.
    unexpected: Option<String>,
}

impl Stage<'_> {
    fn apply(&mut self, delta: &StateDelta) -> Result<(), String> {
        self.state.apply(delta).map_err(|error| error.to_string())
    }

    fn decide(
        &self,
        id: &str,
        tool: &str,
        args: Option<&Value>,
        approval: Option<&VerifiedApproval>,
    ) -> Result<ToolDecision, String> {
        let args = args.map_or_else(|| Json::Map(Default::default()), |args| Json::from(args).into_owned());
        let call = ToolCall::new(id, SESSION, self.subject.clone(), tool, args)
            .map_err(|error| error.to_string())?;
        Ok(decide_tool_call(self.policy, &call, &self.state, self.now_ms, approval))
    }

    /// A call that was made before. It counts if it is admitted; of a budget it uses only its own share.
    fn make(&mut self, call: &PriorCall, index: usize) -> Result<ToolDecision, String> {
        let id = format!("before-{index}");
        let decision = self.decide(&id, &call.tool, call.args.as_ref(), None)?;
        self.apply(&decision.delta)?;
        match &decision.effect {
            Effect::Allow(_) => {
                let settled = State::settle(SESSION, &id, Some(Usage::default()), self.now_ms);
                self.apply(&settled)?;
            }
            Effect::Deny(_) => {}
            Effect::Ask(_) => {
                let withdrawn = State::withdraw(SESSION, &id, self.now_ms);
                self.apply(&withdrawn)?;
            }
        }
        Ok(decision)
    }

    /// A session with the age, calls, counters and budgets that the case specifies.
    fn begin(&mut self, session: &CaseSession) -> Result<(), String> {
        let age = session.age.as_ref().map_or(Ok(0), |age| parse_duration(age.as_str()));
        let age_ms = age.map_err(|error| error.to_string())? / 1_000_000;
        let opened_ms = self.now_ms.saturating_sub(u64::try_from(age_ms).unwrap_or_default());
        let opened = State::open(SESSION, &self.subject, opened_ms);
        self.apply(&opened)?;
        let mut changes = Vec::new();
        for (name, count) in &session.counters {
            changes.extend(self.counted(name, *count)?);
        }
        changes.push(Change::Labelled {
            session: SESSION.to_owned(),
            add: session.labels.iter().flat_map(|name| self.labelled(name)).collect(),
            remove: BTreeSet::new(),
        });
        let mut reserved = Vec::new();
        for (name, used) in &session.budgets {
            reserved.extend(self.used(name, *used)?);
        }
        let calls = session.calls.map_or(Ok(0), |calls| small(calls, "calls"))?;
        let needed = if reserved.is_empty() { calls } else { calls.max(1) };
        for index in 0..needed {
            let call = format!("earlier-{index}");
            // The first call accounts for everything used.
            let reserved = std::mem::take(&mut reserved);
            changes.push(Change::Admitted { session: SESSION.to_owned(), call: call.clone(), reserved });
            changes.push(Change::Settled { session: SESSION.to_owned(), call, used: None });
        }
        let delta = StateDelta { at_ms: self.now_ms, changes };
        self.apply(&delta)
    }

    fn owner(&self, scope: Scope) -> Owner {
        match scope {
            Scope::Subject => Owner::Subject(self.subject.key()),
            Scope::Session => Owner::Session(SESSION.to_owned()),
        }
    }

    /// Each layer's counter of this name, advanced.
    fn counted(&self, name: &str, count: i64) -> Result<Vec<Change>, String> {
        let count = small(count, name)?;
        let policy = self.policy.policy();
        let mut changes = Vec::new();
        for layer in &policy.tools {
            let pack = policy.packs.get(usize::from(layer.pack)).map_or("", |pack| pack.name.as_str());
            for counter in layer.counters.iter().filter(|counter| counter.name == name) {
                let tally =
                    TallyKey { owner: self.owner(counter.scope), name: format!("counter/{pack}/{name}") };
                let change = Change::Counted { tally, window_ms: counter.window_ms };
                changes.extend(std::iter::repeat_n(change, count));
            }
        }
        if changes.is_empty() && count > 0 {
            return Err(format!("no pack has a counter `{name}`"));
        }
        Ok(changes)
    }

    /// Each layer's label of this name.
    fn labelled(&self, name: &str) -> Vec<String> {
        let policy = self.policy.policy();
        let has = |layer: &&ToolLayer| layer.labels.iter().any(|label| label.name == name);
        let packs =
            policy.tools.iter().filter(has).filter_map(|layer| policy.packs.get(usize::from(layer.pack)));
        packs.map(|pack| format!("{}/{name}", pack.name)).collect()
    }

    /// Each layer's budget of this name, used.
    fn used(&self, name: &str, used: i64) -> Result<Vec<Reservation>, String> {
        let amount_milli = u64::try_from(used).ok().and_then(|used| used.checked_mul(1_000));
        let amount_milli =
            amount_milli.ok_or_else(|| format!("{used} of budget `{name}` cannot have been used"))?;
        let policy = self.policy.policy();
        let mut reserved = Vec::new();
        for layer in &policy.tools {
            let pack = policy.packs.get(usize::from(layer.pack)).map_or("", |pack| pack.name.as_str());
            for budget in layer.budgets.iter().filter(|budget| budget.name == name) {
                reserved.push(Reservation {
                    tally: TallyKey {
                        owner: self.owner(budget.scope),
                        name: format!("budget/{pack}/{name}"),
                    },
                    resource: budget.resource,
                    amount_milli,
                    window_ms: budget.window_ms,
                    at_ms: self.now_ms,
                });
            }
        }
        if reserved.is_empty() { Err(format!("no pack has a budget `{name}`")) } else { Ok(reserved) }
    }
}

/// A number of calls within what a case may assume.
fn small(count: i64, name: &str) -> Result<usize, String> {
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_BEFORE);
    count.ok_or_else(|| format!("`{name}` may stand at 0 to {MAX_BEFORE} in a case"))
}

/// The result of the call.
pub(super) fn happened(decision: &ToolDecision) -> Happened {
    let (effect, rules, messages) = match &decision.effect {
        Effect::Allow(_) => {
            let decides = |kind: RuleKind| kind.is_grant() || kind == RuleKind::Narrow;
            (Expected::Allow, applied(decision, decides), Vec::new())
        }
        Effect::Ask(request) => {
            let asks = |kind| matches!(kind, RuleKind::Ask | RuleKind::Confirm);
            let asked = request.requirements.iter().map(|one| format!("{} of {}", one.quorum, one.group));
            (Expected::Ask, applied(decision, asks), asked.collect())
        }
        Effect::Deny(denial) => {
            let pack = denial.pack.as_deref().unwrap_or_default();
            let rule = denial.rule.iter().map(|rule| format!("{pack}/{rule}"));
            let mut rules = applied(decision, |kind| !kind.is_grant());
            rules.extend(rule);
            rules.sort();
            rules.dedup();
            let mut messages = vec![denial.message.clone()];
            messages.extend(denial.remedy.clone());
            (Expected::Deny, rules, messages)
        }
    };
    let sandbox = place(decision);
    let runs = effect != Expected::Deny;
    let args = runs.then(|| serde_json::to_value(decision.call().arguments()).unwrap_or_default());
    let plain = Happened::new(effect == Expected::Allow);
    Happened { effect: Some(effect), rules, messages, sandbox, args, ..plain }
}

/// The sandbox in which the call runs, or would run once approved.
fn place(decision: &ToolDecision) -> Option<String> {
    let bound = || decision.binds.as_ref()?.get("sandbox")?.as_str();
    match &decision.effect {
        Effect::Allow(permit) => permit.get().plan().sandbox().map(str::to_owned),
        Effect::Ask(_) => bound().map(str::to_owned),
        Effect::Deny(_) => None,
    }
}

/// The rules of some kinds that took effect, or that could not be evaluated.
fn applied(decision: &ToolDecision, of: impl Fn(RuleKind) -> bool) -> Vec<String> {
    let took_part = decision.rules.iter().filter(|report| {
        of(report.kind)
            && report.mode == Mode::Enforce
            && matches!(report.outcome, RuleOutcome::Applied | RuleOutcome::Failed(_))
    });
    took_part.map(|report| format!("{}/{}", report.pack, report.rule)).collect()
}
