//! `bailiwick explain --log DIR --record SEQ`: makes a recorded decision again from what was recorded, and
//! takes it apart.
//!
//! Where a pack keeps commitments, the inputs can be shown as long as their opening is next to the log. After
//! that, the record says what was decided and by which rules, but shows no value. A user who has the
//! arguments from elsewhere can supply them, and the commitment proves whether they are the same. The state
//! of the session is the sum of the records before.
//!
//! Under other packs than those of the record, counters, budgets and labels are counted again along the log,
//! as `bailiwick replay` does. Where that is not possible, those of the record are used, and the output says
//! so.

use std::convert::Infallible;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use bailiwick_audit::record::{Kind, Record};
use bailiwick_audit::{FoldError, Hash, Held, Opening, fold};
use bailiwick_policy::canonical;
use bailiwick_policy::json::Json;
use bailiwick_policy::tool::{
    DecisionInputs, DecisionRecord, EffectRecord, LoadedPolicy, State, StateDelta, Subject, ToolCall,
    decide_tool_call,
};
use serde_json::json;

use super::call::{explanation, read};
use super::decision::Recorded;
use crate::args::{ExplainOptions, Format};
use crate::effective::Effective;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::out;
use crate::recorded::{Missing, Values};
use crate::render::JSON_VERSION;
use crate::replay::history::{History, Taken, counts};

/// A record and the state before it.
struct Found {
    record: Record,
    segment: u32,
    /// The sum of the records before; `None` if they do not add up.
    state: Option<State>,
}

pub(super) fn run(log: &Path, seq: u64, effective: &Effective, options: &ExplainOptions) -> Result<Outcome> {
    let (found, damage) = find(log, seq)?;
    let Found { record, segment, state } = found.ok_or_else(|| match &damage {
        Some(damage) => anyhow!("the log is damaged before record {seq}: {damage}"),
        None => anyhow!("the log has no record {seq}"),
    })?;
    if !matches!(record.kind, Kind::Intent | Kind::Decision) {
        bail!("nothing was decided in record {seq}; `bailiwick audit inspect` shows it");
    }
    let mut values = Values::of(log);
    let shown = values.inputs(&record, segment);
    let mut notes = Vec::new();
    let is_other = record.policy_digest.as_deref() != Some(&effective.bundle.digest);
    let inputs = match (shown, &options.args) {
        (Ok(inputs), args) => {
            if args.is_some() {
                notes.push("the inputs of the record are at hand, so `--args` was not used".to_owned());
            }
            if is_other { anew(log, seq, inputs, effective, &mut notes)? } else { inputs }
        }
        (Err(missing), None) => return cannot_tell(&record, &missing, options.format),
        (Err(missing), Some(args)) => {
            notes.push(format!("{missing}; explained with the arguments that were given"));
            let state = state.context("the records before this one do not add up to a state")?;
            let salt = options.salt.or_else(|| values.opening("arguments", seq, segment).map(|one| one.salt));
            notes.extend(proved(&record, args, salt)?);
            if is_other {
                notes.extend(not_counted(effective, &missing.to_string())?);
            }
            rebuilt(&record, args, &state, effective)?
        }
    };
    let (explained, decided) = explanation(effective, &inputs)?;
    let outcome =
        explained.with_record(recorded(&record, effective, &decided), notes).print(options.format)?;
    if let Some(damage) = damage {
        out!("the log is damaged: {}", plain(&damage));
        return Ok(Outcome::Tampered);
    }
    Ok(outcome)
}

/// The walk has reached the record.
struct There;

/// The inputs, with what other packs than those of the record count and label along the log.
fn anew(
    log: &Path,
    seq: u64,
    inputs: DecisionInputs,
    effective: &Effective,
    notes: &mut Vec<String>,
) -> Result<DecisionInputs> {
    let policy = LoadedPolicy::new(effective.policy().clone(), effective.bundle.digest.clone())?;
    let mut history = History::new(log, &policy);
    let mut found = Taken::Nothing;
    // Damage before the record has already been reported.
    let _ = fold::<There>(log, None, |record, behind| {
        let taken = history.take(record, behind.segment);
        if record.seq < seq {
            return Ok(());
        }
        found = taken;
        Err(There)
    });
    let why = match found {
        Taken::Call(again) => {
            if counts(&policy) {
                notes.push(
                    "counters, budgets and labels are counted along the log as these packs count".to_owned(),
                );
            }
            return Ok(again.inputs);
        }
        Taken::Cannot(why) => why,
        Taken::Nothing | Taken::Result(_) => "it cannot be made again".to_owned(),
    };
    notes.extend(not_counted(effective, &why)?);
    Ok(inputs)
}

/// The note for packs that count, where the counts are not known.
fn not_counted(effective: &Effective, why: &str) -> Result<Option<String>> {
    let policy = LoadedPolicy::new(effective.policy().clone(), effective.bundle.digest.clone())?;
    let said = || {
        format!(
            "counters, budgets and labels are those that the policy of the record kept, and not what these packs would have counted: {why}"
        )
    };
    Ok(counts(&policy).then(said))
}

/// The record with this number, if it is present and sound, and what is wrong with the log.
fn find(log: &Path, seq: u64) -> Result<(Option<Found>, Option<String>)> {
    let mut state = Some(State::default());
    let mut found = None;
    let folded = fold::<Infallible>(log, None, |record, behind| {
        if record.seq == seq {
            found = Some(Found { record: record.clone(), segment: behind.segment, state: state.clone() });
        }
        if let Some(delta) = record.state_delta.as_ref().filter(|_| record.seq < seq) {
            let delta = serde_json::from_value::<StateDelta>(delta.clone());
            let applied =
                delta.is_ok_and(|delta| state.as_mut().is_some_and(|state| state.apply(&delta).is_ok()));
            if !applied {
                state = None;
            }
        }
        Ok(())
    });
    match folded {
        Ok(_) => Ok((found, None)),
        Err(FoldError::Read(error)) => Ok((found, Some(error.to_string()))),
        Err(FoldError::Caller(never)) => match never {},
    }
}

fn recorded(record: &Record, effective: &Effective, decided: &DecisionRecord) -> Recorded {
    let effect = record.effect.clone().unwrap_or_default();
    let policy_digest = record.policy_digest.clone().unwrap_or_default();
    let now = match decided.effect {
        EffectRecord::Allow => "Allow",
        EffectRecord::Deny(_) => "Deny",
        EffectRecord::Ask(_) => "Ask",
    };
    Recorded {
        seq: record.seq,
        call: record.call.clone().unwrap_or_default(),
        same_policy: policy_digest == effective.bundle.digest,
        same_effect: effect == now,
        policy_digest,
        effect,
    }
}

/// Checks that the given arguments are those of the record: an error if they are not, a note if that cannot
/// be proved.
fn proved(record: &Record, args: &str, salt: Option<Hash>) -> Result<Option<String>> {
    let text = String::from_utf8(canonical::to_vec(&read(args)?)?)?;
    let is_the_one = match (&record.arguments, salt) {
        (Some(Held::Commitment(commitment)), Some(salt)) => {
            let opening = Opening { seq: record.seq, field: "arguments".to_owned(), salt, text };
            opening.commitment() == *commitment
        }
        (Some(Held::Blob(name)), _) => Hash::of(&[text.as_bytes()]) == *name,
        (Some(Held::Plain(value)), _) => canonical::to_vec(value)? == text.as_bytes(),
        (Some(Held::Commitment(commitment)), None) => {
            return Ok(Some(format!(
                "that these are the arguments of the record is not proved: the salt of the commitment {commitment} is not known; \
                 `--salt` takes it"
            )));
        }
        (Some(Held::Dropped) | None, _) => {
            return Ok(Some(
                "that these are the arguments of the record cannot be proved: it keeps none".to_owned(),
            ));
        }
    };
    if !is_the_one {
        bail!("these are not the arguments of record {}: its commitment is to others", record.seq);
    }
    Ok(None)
}

/// The inputs from the plain values of the record, the state before it and the given arguments.
fn rebuilt(record: &Record, args: &str, state: &State, effective: &Effective) -> Result<DecisionInputs> {
    let text = |of: &Option<String>, what| of.clone().with_context(|| format!("the record has no {what}"));
    let (id, session, tool) =
        (text(&record.call, "call")?, text(&record.session, "session")?, text(&record.tool, "tool")?);
    let subject: Subject = serde_json::from_value(record.subject.clone().unwrap_or_default())
        .context("the record has no subject")?;
    let delta: StateDelta = serde_json::from_value(record.state_delta.clone().unwrap_or_default())
        .context("the record has no state delta, which holds the time of the decision")?;
    let args = read(args)?;
    let call = ToolCall::new(&id, &session, subject, &tool, Json::from(&args).into_owned())?;
    // The record of a question has what was asked, not an answer.
    let answered = record.approval.clone().filter(|_| record.effect.as_deref() != Some("Ask"));
    let approval = answered.map(serde_json::from_value).transpose().context("the record's approval")?;
    let policy = LoadedPolicy::new(effective.policy().clone(), effective.bundle.digest.clone())?;
    Ok(decide_tool_call(&policy, &call, state, delta.at_ms, approval.as_ref()).inputs)
}

/// What the record says without its inputs, and what would be needed to say more.
fn cannot_tell(record: &Record, missing: &Missing, format: Format) -> Result<Outcome> {
    let commitment = match &record.arguments {
        Some(Held::Commitment(commitment)) => Some(*commitment),
        _ => None,
    };
    let help = "bring the arguments with `--args FILE`, and with `--salt` the salt of their commitment from a copy of `disclosures/`";
    match format {
        Format::Json => {
            let said = json!({
                "version": JSON_VERSION, "record": {
                    "seq": record.seq, "call": record.call, "tool": record.tool, "effect": record.effect,
                    "rules": record.rules, "policyDigest": record.policy_digest,
                },
                "missing": missing.to_string(), "argumentsCommitment": commitment, "help": help,
            });
            out!("{}", serde_json::to_string_pretty(&said)?);
        }
        Format::Human => {
            let word = |text: &Option<String>| plain(text.as_deref().unwrap_or("?"));
            out!("record {}: {} of {}", record.seq, word(&record.effect), word(&record.tool));
            for rule in record.rules.iter().filter_map(|rules| rules.as_array()).flatten() {
                let member = |name: &str| rule.get(name).and_then(|text| text.as_str()).unwrap_or("?");
                let name = format!("{}/{}", member("pack"), member("rule"));
                out!("  {} ({}): {}", plain(&name), plain(member("kind")), plain(member("outcome")));
            }
            out!("  by policy {}", word(&record.policy_digest));
            out!("what the conditions came to cannot be told: {}", plain(&missing.to_string()));
            if let Some(commitment) = commitment {
                out!("  its arguments are committed to as {commitment}");
            }
            out!("  help: {help}");
        }
    }
    Ok(Outcome::Incomplete)
}
