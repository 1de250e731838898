//! What a call gave, judged before anybody is told: the policy decides, here is carried out what it says.
//!
//! ```text
//! held back ► Docket::result_inputs ► decide ─► Deliver, Redact: the texts go into the call's output
//!                      └ not to be had ────────► Withhold
//! ```
//! The log keeps what was delivered and, where that is something else, what the call gave: as the pack says of results, a commitment unless it says otherwise.

use bailiwick_policy::tool::{CallResult, ResultDecision, ResultEffect, RuleOutcome, RuleReport, ToolCall};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::wire;
use crate::calls::CallState;
use crate::docket::DocketError;
use crate::executor::Executor;
use crate::output::{Part, Stream};
use crate::view;

/// What a call gave.
pub(crate) struct Gave {
    /// What it printed.
    pub(crate) output: Part,
    /// What a workspace tool gave.
    pub(crate) result: Option<Value>,
}

/// What was decided over it.
pub(crate) enum Judgement {
    /// By the policy.
    Decided(Box<ResultDecision>),
    /// It could not be decided, and so is withheld.
    Undecided(String),
}

impl Judgement {
    pub(crate) fn decision(&self) -> Option<&ResultDecision> {
        match self {
            Self::Decided(decision) => Some(decision),
            Self::Undecided(_) => None,
        }
    }

    /// Whether it says nothing: not even which labels the session should have.
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self, Self::Undecided(_))
    }

    /// Whether it adds labels to the session.
    pub(crate) fn labels(&self) -> bool {
        self.decision().is_some_and(|decision| decision.change().is_some())
    }

    /// As clients see it.
    pub(crate) fn view(&self) -> wire::ResultDecision {
        let rules = self.decision().map(|decision| decision.rules.as_slice()).unwrap_or_default();
        let rules = rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
        let (effect, reason, remedy) = match self {
            Self::Undecided(why) => ("Withhold", Some(format!("it cannot be judged: {why}")), None),
            Self::Decided(decision) => match &decision.effect {
                ResultEffect::Withhold(denial) => {
                    ("Withhold", Some(view::why(denial)), denial.remedy.clone())
                }
                ResultEffect::Deliver(redactions) if redactions.is_empty() => ("Deliver", None, None),
                ResultEffect::Deliver(_) => ("Redact", None, None),
            },
        };
        wire::ResultDecision { effect, rules, reason, remedy }
    }
}

/// Has the policy decide over what a call gave.
pub(crate) fn judge(executor: &Executor, call: &ToolCall, outcome: &wire::Outcome, gave: &Gave) -> Judgement {
    let decide = || -> Result<Option<ResultDecision>, DocketError> {
        let inputs = executor.docket().result_inputs(call)?;
        Ok(inputs.map(|inputs| inputs.decide(executor.docket().policy(), &call_result(outcome, gave))))
    };
    match decide() {
        Ok(Some(decision)) => Judgement::Decided(Box::new(decision)),
        Ok(None) => Judgement::Undecided("no rule is about it".to_owned()),
        Err(error) => Judgement::Undecided(error.to_string()),
    }
}

fn call_result(outcome: &wire::Outcome, gave: &Gave) -> CallResult {
    let member = |name: &str| gave.result.as_ref().and_then(|result| result.get(name));
    let content = member("content").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let entries = member("entries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let path = |entry: &Value| entry.get("path").and_then(Value::as_str).map(str::to_owned);
    CallResult {
        outcome: outcome.kind.clone(),
        exit_code: outcome.code,
        signal: outcome.signal,
        stdout: gave.output.stdout.clone(),
        stderr: gave.output.stderr.clone(),
        dropped: gave.output.dropped,
        content,
        paths: entries.iter().filter_map(path).collect(),
    }
}

/// Puts into the call's output what its caller may have of it; gives what a workspace tool gives then.
pub(crate) fn deliver(call: &CallState, judgement: &Judgement, gave: &Gave) -> Option<Value> {
    let redactions = match judgement.decision().map(|decision| &decision.effect) {
        Some(ResultEffect::Deliver(redactions)) => redactions,
        Some(ResultEffect::Withhold(_)) | None => return None,
    };
    for (stream, text, bytes) in [
        (Stream::Stdout, &redactions.stdout, &gave.output.stdout),
        (Stream::Stderr, &redactions.stderr, &gave.output.stderr),
    ] {
        call.output().push(stream, text.as_ref().map_or(bytes.as_slice(), |text| text.as_bytes()));
    }
    call.output().dropped(gave.output.dropped);
    let mut result = gave.result.clone();
    if let (Some(text), Some(Value::Object(members))) = (&redactions.content, &mut result) {
        members.insert("content".to_owned(), json!(STANDARD.encode(text)));
        members.insert("sizeBytes".to_owned(), json!(text.len()));
    }
    result
}

/// What the log keeps of a result: what was delivered, and what the call gave where that is something else.
pub(crate) fn recorded(
    call: &CallState,
    result: Option<&Value>,
    judged: Option<&(Judgement, Gave)>,
) -> Value {
    let kept = |part: &Part, result: Option<&Value>| json!({ "stdout": STANDARD.encode(&part.stdout), "stderr": STANDARD.encode(&part.stderr), "result": result });
    let mut recorded = kept(&call.output().all(), result);
    let Some((judgement, gave)) = judged else { return recorded };
    let original = kept(&gave.output, gave.result.as_ref());
    let differs = recorded != original;
    let rules = judgement.decision().map(|decision| decision.rules.as_slice()).unwrap_or_default();
    let is_failed = |rule: &&RuleReport| matches!(rule.outcome, RuleOutcome::Failed(_));
    let failed: Vec<&RuleReport> = rules.iter().filter(is_failed).collect();
    if let Some(members) = recorded.as_object_mut() {
        if differs {
            members.insert("original".to_owned(), original);
        }
        if !failed.is_empty() {
            members.insert("failed".to_owned(), json!(failed));
        }
    }
    recorded
}
