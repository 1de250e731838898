//! Judges the result of a call before it is delivered: the policy decides, and this module carries the
//! decision out.
//!
//! ```text
//! held back ► Docket::result_inputs ► decide ─► Deliver, Redact: the texts go into the call's output
//!                      └ not to be had ────────► Withhold
//! ```
//! The log keeps what was delivered and, where the two differ, what the call gave: in the form that the pack
//! sets for results, by default a commitment.

use bailiwick_policy::tool::{
    CallResult, Plan, PlannedCall, ResultDecision, ResultEffect, RuleOutcome, RuleReport, WorkspaceOperation,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::calls::CallState;
use crate::executor::Executor;
use crate::output::{Part, Stream};
use crate::view;
use crate::wire;

/// The results of a call.
pub(crate) struct Gave {
    /// Its output.
    pub(crate) output: Part,
    /// The result of a workspace tool.
    pub(crate) result: Option<Value>,
}

/// The decision over the results.
pub(crate) enum Judgement {
    /// By the policy.
    Decided(Box<ResultDecision>),
    /// It could not be decided, so the results are withheld.
    Undecided(String),
}

impl Judgement {
    pub(crate) fn decision(&self) -> Option<&ResultDecision> {
        match self {
            Self::Decided(decision) => Some(decision),
            Self::Undecided(_) => None,
        }
    }

    /// Whether there is no decision at all: not even which labels the session should have.
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self, Self::Undecided(_))
    }

    /// Whether it adds labels to the session.
    pub(crate) fn labels(&self) -> bool {
        self.decision().is_some_and(|decision| decision.change().is_some())
    }

    /// The form that clients see.
    pub(crate) fn view(&self) -> wire::ResultDecision {
        let rules = self.decision().map(|decision| decision.rules.as_slice()).unwrap_or_default();
        // The effect of a rule in shadow is only for the log: the caller sees what is enforced.
        let rules = rules.iter().filter(|rule| rule.mode.is_enforce());
        let rules = rules.map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
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

/// Asks the policy to decide over the results of a call.
pub(crate) fn judge(
    executor: &Executor,
    planned: &PlannedCall,
    outcome: &wire::Outcome,
    gave: &Gave,
) -> Judgement {
    let decide = || -> Result<ResultDecision, String> {
        let inputs = executor.docket().result_inputs(planned.call()).map_err(|error| error.to_string())?;
        let inputs = inputs.ok_or("no rule is about it")?;
        Ok(inputs.decide(executor.docket().policy(), &call_result(planned.plan(), outcome, gave)?))
    };
    decide().map_or_else(Judgement::Undecided, |decision| Judgement::Decided(Box::new(decision)))
}

/// The input of the rules. What they could not see must not be delivered either, and so is an error.
fn call_result(plan: &Plan, outcome: &wire::Outcome, gave: &Gave) -> Result<CallResult, String> {
    let asked = CallResult {
        outcome: outcome.kind.clone(),
        exit_code: outcome.code,
        signal: outcome.signal,
        stdout: gave.output.stdout.clone(),
        stderr: gave.output.stderr.clone(),
        dropped: gave.output.dropped,
        ..CallResult::default()
    };
    match (plan, &gave.result) {
        (_, None) => Ok(asked),
        (Plan::Workspace(operation), Some(answer)) => asked.with_answer(operation.tool(), answer),
        _ => Err("the tool's result has an unexpected shape".to_owned()),
    }
}

/// Whether a workspace tool's result contains only the reason why it failed.
fn has_failed(members: &Map<String, Value>) -> bool {
    members.len() == 1 && members.get("error").is_some_and(Value::is_string)
}

/// The result of a workspace tool, limited to members that the rules have seen or that reveal nothing of the
/// files' content.
fn shown(plan: &Plan, result: Option<&Value>) -> Option<Map<String, Value>> {
    let (Plan::Workspace(operation), Some(Value::Object(members))) = (plan, result) else { return None };
    let only = |members: &Map<String, Value>, names: &[&str]| -> Map<String, Value> {
        let known = |name: &&str| Some(((*name).to_owned(), members.get(*name)?.clone()));
        names.iter().filter_map(known).collect()
    };
    Some(match operation {
        _ if has_failed(members) => only(members, &["error"]),
        WorkspaceOperation::Read { .. } => only(members, &["sizeBytes", "complete", "content", "encoding"]),
        WorkspaceOperation::Write { .. } => only(members, &["sizeBytes"]),
        WorkspaceOperation::List { .. } => {
            let mut listing = only(members, &["complete"]);
            let entries = members.get("entries").and_then(Value::as_array).map(Vec::as_slice);
            let entries = entries.unwrap_or_default().iter().filter_map(Value::as_object);
            let entries = entries.map(|entry| only(entry, &["path", "kind", "sizeBytes"]));
            listing.insert("entries".to_owned(), entries.map(Value::Object).collect());
            listing
        }
    })
}

/// Puts into the call's output what its caller may have of it; returns what a workspace tool then gives.
pub(crate) fn deliver(call: &CallState, plan: &Plan, judgement: &Judgement, gave: &Gave) -> Option<Value> {
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
    let mut members = shown(plan, gave.result.as_ref())?;
    if let Some(text) = &redactions.content {
        members.insert("content".to_owned(), json!(STANDARD.encode(text)));
        members.insert("sizeBytes".to_owned(), json!(text.len()));
    }
    Some(Value::Object(members))
}

/// What the log keeps of a result: what was delivered, and what the call gave where the two differ.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> Plan {
        Plan::Workspace(WorkspaceOperation::Read { path: "a".to_owned() })
    }

    fn asked(plan: &Plan, result: Value) -> Result<CallResult, String> {
        let output = Part { stdout: Vec::new(), stderr: Vec::new(), dropped: 0, ended: true };
        let outcome = view::setup_failed("of no interest".to_owned());
        call_result(plan, &outcome, &Gave { output, result: Some(result) })
    }

    #[test]
    fn a_file_that_rules_could_not_see_is_not_decided_over() {
        let file = |content: Value| json!({ "sizeBytes": 7, "complete": true, "content": content, "encoding": "base64" });
        let seen = asked(&read(), file(json!("aHVudGVyMg=="))).unwrap();
        assert_eq!((seen.content.as_deref(), seen.dropped), (Some(b"hunter2".as_slice()), 0));
        for (result, why) in [
            (file(json!("aHVudGVyMg")), "its content"),
            (file(Value::Null), "it has no content"),
            (json!({ "sizeBytes": 7, "complete": true }), "it has no content"),
            (json!({ "content": "aHVudGVyMg==", "complete": true }), "it has no size"),
            (json!({ "error": "odd", "content": "no base64!" }), "its content"),
            (json!("hunter2"), "unexpected shape"),
        ] {
            let said = asked(&read(), result.clone()).expect_err("not seen");
            assert!(said.contains(why), "{result}: {said}");
        }
        // A failed call has nothing to show.
        assert_eq!(asked(&read(), json!({ "error": "no such file" })).unwrap().content, None);
        let list = Plan::Workspace(WorkspaceOperation::List { path: ".".to_owned() });
        for odd in [json!({ "complete": true }), json!({ "entries": [{ "name": "a" }], "complete": true })] {
            asked(&list, odd).expect_err("not seen");
        }
    }

    #[test]
    fn what_a_file_or_listing_lacks_is_told_to_the_rules() {
        let file = |size: u64, complete: bool| json!({ "sizeBytes": size, "complete": complete, "content": "aHVudGVyMg==", "encoding": "base64" });
        assert_eq!(asked(&read(), file(10, false)).unwrap().dropped, 3);
        assert_eq!(asked(&read(), file(7, true)).unwrap().dropped, 0);
        assert_eq!(asked(&read(), file(0, false)).unwrap().dropped, 1, "it says that it is not whole");
        let list = Plan::Workspace(WorkspaceOperation::List { path: ".".to_owned() });
        let listing =
            |complete: bool| json!({ "entries": [{ "path": "a", "kind": "file" }], "complete": complete });
        assert_eq!(asked(&list, listing(false)).unwrap().dropped, 1);
        assert_eq!(asked(&list, listing(true)).unwrap().dropped, 0);
    }

    #[test]
    fn only_known_members_are_delivered() {
        let file =
            json!({ "sizeBytes": 7, "complete": true, "content": "aHVudGVyMg==", "encoding": "base64" });
        let with = |mut value: Value| {
            value["preview"] = json!("hunter2");
            value
        };
        assert_eq!(shown(&read(), Some(&with(file.clone()))).map(Value::Object), Some(file));
        let list = Plan::Workspace(WorkspaceOperation::List { path: ".".to_owned() });
        let entry = json!({ "path": "a", "kind": "file", "sizeBytes": 7 });
        let listing = with(json!({ "entries": [with(entry.clone())], "complete": true }));
        let expected = json!({ "entries": [entry], "complete": true });
        assert_eq!(shown(&list, Some(&listing)).map(Value::Object), Some(expected));
        let failed = json!({ "error": "no such file" });
        assert_eq!(shown(&read(), Some(&failed)).map(Value::Object), Some(failed.clone()));
        assert_eq!(shown(&read(), Some(&json!("hunter2"))), None);
    }
}
