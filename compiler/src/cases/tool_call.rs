//! Calls of tools, decided by the executor's own code, after a session that the case describes.

use bailiwick_policy::policy::tools::Mode;
use bailiwick_policy::tool::{
    ApprovalRequest, CallResult, Change, Effect, Listing, LoadedPolicy, Plan, PlannedCall, Redactions,
    ResultDecision, ResultEffect, ResultInputs, RuleKind, RuleOutcome, RuleReport, ToolCall, ToolDecision,
    VerifiedApproval,
};

use super::stage::{SESSION, Stage, staged};
use super::{Happened, Relabelled};
use crate::policy_test::{CaseResult, Delivered, Effect as Expected, PriorCall, ToolCallCase};

/// The call of every case.
const CALL: &str = "call";

/// The call of a case in the session that the case describes, whose earlier calls are decided already.
#[derive(Debug)]
pub struct Staged<'c> {
    case: &'c ToolCallCase,
    stage: Stage<'c>,
}

impl<'c> Staged<'c> {
    pub(super) fn new(policy: &'c LoadedPolicy, case: &'c ToolCallCase) -> Result<Self, String> {
        Ok(Self { case, stage: staged(policy, case)? })
    }

    /// Rejects a session with a label, a counter or an earlier call that no pack knows, or with an earlier call
    /// that is not decided as the case says: then the session is not the one that the case is about. When two
    /// policies are compared, both are differences like any other.
    ///
    /// # Errors
    /// The unknown label, counter or call, or the call that is decided otherwise.
    pub fn refuse_unknown(&self) -> Result<(), String> {
        let policy = self.stage.policy;
        let known = |name: &String| {
            policy.policy().tools.iter().any(|layer| layer.labels.iter().any(|label| label.name == *name))
        };
        let Some(session) = &self.case.session else { return Ok(()) };
        if let Some(name) = session.labels.iter().find(|name| !known(name)) {
            return Err(format!("no pack has a label `{name}`"));
        }
        let counts = |name: &&String| {
            policy.policy().tools.iter().any(|layer| layer.counters.iter().any(|one| one.name == **name))
        };
        if let Some(name) = session.counters.keys().find(|name| !counts(name)) {
            return Err(format!("no pack has a counter `{name}`, which `session.counters` has a value of"));
        }
        let is_tool = |call: &&PriorCall| policy.tools().any(|(name, ..)| name == call.tool);
        if let Some(call) = session.before.iter().find(|call| !is_tool(call)) {
            return Err(format!("no pack defines `{}`, of which `session.before` has a call", call.tool));
        }
        self.stage.unexpected.clone().map_or(Ok(()), Err)
    }

    /// Decides the call.
    ///
    /// # Errors
    /// Why it cannot be decided.
    pub fn decide(&self) -> Result<ToolDecision, String> {
        self.stage.decide(CALL, &self.case.tool, self.case.args.as_ref(), None)
    }

    /// The outcome of the call once its result is judged; if approval is needed, after the approvers agreed. A
    /// call that is not allowed has none.
    pub(super) fn judged(&self, decision: &ToolDecision, happened: Happened) -> Result<Happened, String> {
        let Some(result) = &self.case.result else { return Ok(happened) };
        let judged = self.admitted(decision, |stage, planned| {
            delivered(stage, planned.call(), result, happened.clone())
        })?;
        Ok(judged.unwrap_or(happened))
    }

    /// The plan of a call with a result, once every approver that is needed agreed; and what happens to the
    /// result, with the labels that it alone adds. `None`: the call is not allowed.
    ///
    /// # Errors
    /// Why the result cannot be judged.
    pub fn judge(&self, decision: &ToolDecision) -> Result<Option<(Plan, Happened)>, String> {
        let Some(result) = &self.case.result else { return Ok(None) };
        self.admitted(decision, |stage, planned| {
            let happened = Happened { labels: Some(Relabelled::default()), ..happened(decision) };
            let happened = delivered(stage, planned.call(), result, happened)?;
            Ok((planned.plan().clone(), happened))
        })
    }

    /// What the decision on the result reads, and the result, once every approver that is needed agreed. The
    /// outer `None`: the call is not allowed; the inner one: no rule is about its result.
    ///
    /// # Errors
    /// Why the result cannot be judged.
    pub fn result_inputs(
        &self,
        decision: &ToolDecision,
    ) -> Result<Option<Option<(ResultInputs, CallResult)>>, String> {
        self.admitted(decision, |stage, planned| {
            let result = call_result(&self.case.result.clone().unwrap_or_default())?;
            let inputs = ResultInputs::of(stage.policy, planned.call(), &stage.state, stage.now_ms);
            Ok(inputs.map(|inputs| (inputs, result)))
        })
    }

    /// The labels that the session gains and loses by the call; if approval is needed, after the approvers
    /// agreed.
    ///
    /// # Errors
    /// Why it cannot be decided.
    pub fn relabelled(&self, decision: &ToolDecision) -> Result<Relabelled, String> {
        let mut labels = Relabelled::default();
        match &decision.effect {
            Effect::Allow(_) => labels.take(decision.delta.changes.iter().cloned()),
            Effect::Deny(_) => {}
            Effect::Ask(_) => {
                let approved = self.settled(decision)?.1;
                labels.take(approved.into_iter().flat_map(|approved| approved.delta.changes));
            }
        }
        Ok(labels)
    }

    /// Whether the tool is listed for the case's subject; the inner `Err` says what hides it.
    ///
    /// # Errors
    /// Why that cannot be decided.
    pub fn listed(&self) -> Result<Result<(), String>, String> {
        let Stage { policy, subject, state, now_ms, .. } = &self.stage;
        let listing = Listing::of(policy, subject, Some(SESSION), state, *now_ms);
        let listing = listing.map_err(|error| error.to_string())?;
        let found = listing.tools(policy).into_iter().find(|tool| tool.name == self.case.tool);
        let Some(found) = found else { return Ok(Err("no pack defines it".to_owned())) };
        Ok(found.hidden.map_or(Ok(()), |hidden| {
            let rule = hidden.rule.map(|rule| format!("/{rule}")).unwrap_or_default();
            Err(format!("{}{rule}: {:?}", hidden.pack.unwrap_or_default(), hidden.reason))
        }))
    }

    /// What comes of the call, in the session that admitted it, once every approver that is needed agreed; `None`: it
    /// is not allowed.
    fn admitted<T>(
        &self,
        decision: &ToolDecision,
        of: impl FnOnce(&Stage<'c>, &PlannedCall) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let (stage, approved) = self.settled(decision)?;
        match &approved.as_ref().unwrap_or(decision).effect {
            Effect::Allow(permit) => of(&stage, permit.get()).map(Some),
            Effect::Ask(_) | Effect::Deny(_) => Ok(None),
        }
    }

    /// The session after the call was decided; if approval is needed, after every approver agreed, with the
    /// decision that followed.
    fn settled(&self, decision: &ToolDecision) -> Result<(Stage<'c>, Option<ToolDecision>), String> {
        let mut stage = self.stage.clone();
        stage.apply(&decision.delta)?;
        let Effect::Ask(request) = &decision.effect else { return Ok((stage, None)) };
        let (tool, args) = (&self.case.tool, self.case.args.as_ref());
        let approved = stage.decide(CALL, tool, args, Some(&everybody(request)))?;
        if let Effect::Deny(denial) = &approved.effect {
            return Err(format!("once people approve, the call is denied: {}", denial.message));
        }
        stage.apply(&approved.delta)?;
        Ok((stage, Some(approved)))
    }
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
    // A label of the result decides nothing about what is delivered.
    let redacts = |report: &&RuleReport| report.kind == RuleKind::Redact && has_applied(report);
    rules.extend(judged.iter().flat_map(|judged| &judged.rules).filter(redacts).map(named));
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

/// The result of the call.
pub(super) fn happened(decision: &ToolDecision) -> Happened {
    let (effect, messages) = match &decision.effect {
        Effect::Allow(_) => (Expected::Allow, Vec::new()),
        Effect::Ask(request) => {
            let asked = request.requirements.iter().map(|one| format!("{} of {}", one.quorum, one.group));
            (Expected::Ask, asked.collect())
        }
        Effect::Deny(denial) => {
            let remedy = denial.remedy.clone();
            (Expected::Deny, [Some(denial.message.clone()), remedy].into_iter().flatten().collect())
        }
    };
    let rules = deciding(decision);
    let sandbox = place(decision);
    let runs = effect != Expected::Deny;
    let args = runs.then(|| serde_json::to_value(decision.call().arguments()).unwrap_or_default());
    let plain = Happened::new(effect == Expected::Allow);
    Happened { effect: Some(effect), rules, messages, sandbox, args, ..plain }
}

/// The rules from which the effect follows. One that matched without that, such as the `label` of a call that
/// another rule denies, is not among them.
fn deciding(decision: &ToolDecision) -> Vec<String> {
    let rules = |of: &dyn Fn(&RuleReport) -> bool| -> Vec<String> {
        decision.rules.iter().filter(|report| of(report)).map(named).collect()
    };
    match &decision.effect {
        Effect::Allow(_) => rules(&|report| {
            has_applied(report) && matches!(report.kind, RuleKind::Allow | RuleKind::Narrow)
                || asks(decision, report)
        }),
        Effect::Ask(_) => {
            rules(&|report| has_applied(report) && report.kind == RuleKind::Confirm || asks(decision, report))
        }
        Effect::Deny(denial) => {
            let mut rules = rules(&denies);
            let pack = denial.pack.as_deref().unwrap_or_default();
            rules.extend(denial.rule.iter().map(|rule| format!("{pack}/{rule}")));
            rules.sort();
            rules.dedup();
            rules
        }
    }
}

/// Whether a rule's `ask` counts: an `allow` of the same pack beats it.
fn asks(decision: &ToolDecision, report: &RuleReport) -> bool {
    let allows =
        |other: &RuleReport| other.pack == report.pack && other.kind == RuleKind::Allow && has_applied(other);
    report.kind == RuleKind::Ask && has_applied(report) && !decision.rules.iter().any(allows)
}

/// Whether a rule denies by itself: by its effect, or as a restriction that cannot be evaluated.
fn denies(report: &RuleReport) -> bool {
    let fails = matches!(report.outcome, RuleOutcome::Failed(_)) && report.mode == Mode::Enforce;
    match report.kind {
        RuleKind::Deny | RuleKind::Throttle => fails || has_applied(report),
        RuleKind::Confirm | RuleKind::Label | RuleKind::Narrow | RuleKind::Redact => fails,
        RuleKind::Allow | RuleKind::Ask => false,
    }
}

/// Whether a rule had its effect.
fn has_applied(report: &RuleReport) -> bool {
    report.mode == Mode::Enforce && report.outcome == RuleOutcome::Applied
}

fn named(report: &RuleReport) -> String {
    format!("{}/{}", report.pack, report.rule)
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
