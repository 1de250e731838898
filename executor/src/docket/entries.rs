//! The content of records: of a decision, of the end of a call, of a session. Nothing here decides or writes.

use bailiwick_audit::{Entry, Mode, Openings};
use bailiwick_policy::canonical;
use bailiwick_policy::policy::tools::Keep;
use bailiwick_policy::tool::{
    DecisionRecord, Effect, ResultDecision, ResultEffect, RuleOutcome, RuleReport, StateDelta, ToolCall,
    ToolDecision, VerifiedApproval,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Docket, DocketError, End};

/// Most bytes that the rules over a result take in its record, whose length is bounded; larger ones are kept
/// with the facts, which are stored separately.
const RULES_BYTES: usize = 3 << 10;

/// Longest arguments that are kept of a call that was denied before any rule was asked. Everybody may send such
/// calls, and no counter limits them; what is kept of one takes six times its arguments.
const UNRULED_BYTES: usize = 16 << 10;

impl Docket {
    /// The entry for the end of a call.
    pub(super) fn result_entry(
        &self,
        call: &ToolCall,
        end: End,
        delta: &StateDelta,
    ) -> Result<Entry, DocketError> {
        let decided = end.decision.as_ref().map(over_result).transpose()?.unwrap_or_default();
        Ok(Entry {
            time_ms: Some(delta.at_ms),
            session: Some(call.session().to_owned()),
            call: Some(call.id().to_owned()),
            tool: Some(call.tool().to_owned()),
            // What came from the caller after the intent.
            arguments: end.input,
            state_delta: Some(form(delta)?),
            policy_digest: Some(self.policy.digest().to_owned()),
            outcome: Some(end.outcome),
            usage: Some(end.usage),
            result: end.result,
            values: mode(self.audit.arguments),
            results: mode(self.audit.results),
            ..decided
        })
    }

    /// The entry for a change of a session.
    pub(super) fn session_entry(
        &self,
        session: &str,
        why: &str,
        delta: &StateDelta,
    ) -> Result<Entry, DocketError> {
        Ok(Entry {
            time_ms: Some(delta.at_ms),
            session: Some(session.to_owned()),
            state_delta: Some(form(delta)?),
            policy_digest: Some(self.policy.digest().to_owned()),
            outcome: Some(json!(why)),
            ..Entry::default()
        })
    }

    /// The entry for a decision.
    pub(super) fn entry(
        &self,
        call: &ToolCall,
        decision: &ToolDecision,
        record: &DecisionRecord,
        approval: Option<&VerifiedApproval>,
        key: Option<&str>,
    ) -> Result<Entry, DocketError> {
        let (effect, reason, asked) = match &decision.effect {
            Effect::Allow(_) => ("Allow", None, None),
            Effect::Deny(denial) => ("Deny", Some(form(denial)?), None),
            Effect::Ask(request) => ("Ask", None, Some(form(request)?)),
        };
        let failed: Vec<&RuleReport> =
            record.rules.iter().filter(|rule| matches!(rule.outcome, RuleOutcome::Failed(_))).collect();
        let said = json!({ "denial": reason, "failed": failed });
        let used = approval.map(form).transpose()?;
        // The arguments that run; the ones that were sent are in the inputs.
        let arguments = form(decision.call().arguments())?;
        let (arguments, facts) = match unruled(record, &arguments)? {
            Some(sent) => (None, json!({ "facts": null, "sent": sent, "idempotencyKey": key })),
            None => (
                Some(arguments),
                json!({ "facts": record.facts, "inputs": text(&decision.inputs)?, "idempotencyKey": key }),
            ),
        };
        Ok(Entry {
            time_ms: Some(record.delta.at_ms),
            subject: Some(form(call.subject())?),
            session: Some(call.session().to_owned()),
            call: Some(call.id().to_owned()),
            tool: Some(call.tool().to_owned()),
            arguments,
            facts: Some(facts),
            state_delta: Some(form(&record.delta)?),
            policy_digest: Some(self.policy.digest().to_owned()),
            rules: Some(json!(record.rules.iter().map(RuleReport::bare).collect::<Vec<_>>())),
            effect: Some(effect.to_owned()),
            reason: Some(said.to_string()),
            approval: asked.or(used),
            sandbox: sandbox(decision),
            values: mode(self.audit.arguments),
            results: mode(self.audit.results),
            // An approver must be able to read the question, however long the answer takes.
            openings: if effect == "Ask" { Openings::WithRecord } else { Openings::default() },
            ..Entry::default()
        })
    }
}

/// What is kept in the place of long arguments and of all inputs, if the call was denied before any rule was asked:
/// who has the arguments can show that they were sent.
fn unruled(record: &DecisionRecord, arguments: &Value) -> Result<Option<Value>, DocketError> {
    // Facts are derived just before the rules are asked.
    if !record.facts.is_null() {
        return Ok(None);
    }
    let text = canonical::text_of(arguments).map_err(|error| DocketError::Form(error.to_string()))?;
    let sent = || json!({ "bytes": text.len(), "sha256": bailiwick_audit::hex(&Sha256::digest(&text)) });
    Ok((text.len() > UNRULED_BYTES).then(sent))
}

/// The part of a record about a decision over a result. The message of a failed condition may repeat values
/// of the result, and is kept with it.
fn over_result(decision: &ResultDecision) -> Result<Entry, DocketError> {
    let (effect, said) = match &decision.effect {
        ResultEffect::Deliver(redactions) if redactions.is_empty() => ("Allow", None),
        ResultEffect::Deliver(redactions) => ("Redact", Some(json!({ "redacted": redactions.names() }))),
        ResultEffect::Withhold(denial) => ("Deny", Some(json!({ "denial": form(denial)? }))),
    };
    let mut facts = json!({ "inputs": text(&decision.inputs)? });
    let mut rules = Some(json!(decision.rules.iter().map(RuleReport::bare).collect::<Vec<_>>()));
    if rules.as_ref().is_some_and(|rules| rules.to_string().len() > RULES_BYTES)
        && let Some(members) = facts.as_object_mut()
    {
        members.insert("rules".to_owned(), rules.take().unwrap_or_default());
    }
    Ok(Entry {
        facts: Some(facts),
        rules,
        effect: Some(effect.to_owned()),
        reason: said.map(|said| said.to_string()),
        ..Entry::default()
    })
}

/// Where an allowed call runs.
fn sandbox(decision: &ToolDecision) -> Option<Value> {
    let Effect::Allow(permit) = &decision.effect else { return None };
    Some(json!({ "name": permit.get().plan().sandbox().unwrap_or("workspace clerk") }))
}

/// As text: a commitment is over canonical JSON, which would write `1.0` as `1`, and to a condition those are
/// two types.
fn text(value: &impl serde::Serialize) -> Result<String, DocketError> {
    serde_json::to_string(value).map_err(|error| DocketError::Form(error.to_string()))
}

pub(super) fn form(value: &impl serde::Serialize) -> Result<Value, DocketError> {
    serde_json::to_value(value).map_err(|error| DocketError::Form(error.to_string()))
}

const fn mode(keep: Keep) -> Mode {
    match keep {
        Keep::Commit => Mode::Commit,
        Keep::Plain => Mode::Plain,
        Keep::Drop => Mode::Drop,
    }
}
