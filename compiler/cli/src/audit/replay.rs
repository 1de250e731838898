//! `bailiwick audit replay`: makes every recorded decision again, over calls and over their results, by the
//! policy of its record and from its own inputs. If the decisions of a log do not follow from its inputs,
//! something other than the named policy wrote it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use anyhow::{Context as _, Result};
use bailiwick_audit::record::{Kind, Record};
use bailiwick_audit::{FoldError, fold};
use bailiwick_policy::bundle;
use bailiwick_policy::tool::{
    CallResult, Change, DecisionInputs, DecisionRecord, EffectRecord, LoadedPolicy, Redactions, ResultEffect,
    ResultInputs, RuleReport,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{json_line, shown};
use crate::args::Format;
use crate::args::audit::AuditReplayOptions;
use crate::files;
use crate::outcome::Outcome;
use crate::print::out;
use crate::recorded::Values;

/// The outcome for the decisions of a log.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    /// Decisions that came out as recorded.
    equal: u64,
    /// Decisions that came out differently.
    different: Vec<Difference>,
    /// Decisions whose inputs are gone, or were never kept.
    without_inputs: u64,
    /// Decisions by a bundle that was not given.
    other_policies: BTreeMap<String, u64>,
}

/// A decision that did not come out as recorded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    seq: u64,
    call: String,
    recorded: Value,
    replayed: Value,
}

pub(crate) fn run(options: &AuditReplayOptions) -> Result<Outcome> {
    let policies = options.bundles.iter().map(|path| policy(path)).collect::<Result<BTreeMap<_, _>>>()?;
    let mut replay = Replay {
        values: Values::of(&options.dir),
        policies,
        report: Report { version: 1, ..Report::default() },
    };
    let folded = fold::<Infallible>(&options.dir, None, |record, behind| {
        replay.take(record, behind.segment);
        Ok(())
    });
    let damage = match folded {
        Ok(_) => None,
        Err(FoldError::Read(error)) => Some(error.to_string()),
        Err(FoldError::Caller(never)) => match never {},
    };
    let report = replay.report;
    match options.format {
        Format::Json => out!("{}", json_line(&json!({ "replay": report, "damage": damage }))?),
        Format::Human => print(&report, damage.as_deref()),
    }
    Ok(match (damage, report.different.is_empty()) {
        (Some(_), _) | (_, false) => Outcome::Tampered,
        (None, true) if report.without_inputs > 0 || !report.other_policies.is_empty() => Outcome::Incomplete,
        (None, true) => Outcome::Holds,
    })
}

fn policy(path: &Path) -> Result<(String, LoadedPolicy)> {
    let bundle = bundle::load(&files::read(path)?);
    let bundle = bundle.with_context(|| format!("the bundle `{}` is refused", path.display()))?;
    Ok((bundle.digest.clone(), LoadedPolicy::of_bundle(bundle)?))
}

/// A walk over the log and the openings kept next to it.
struct Replay<'o> {
    values: Values<'o>,
    policies: BTreeMap<String, LoadedPolicy>,
    report: Report,
}

impl Replay<'_> {
    fn take(&mut self, record: &Record, segment: u32) {
        let is_result = record.kind == Kind::Result && record.effect.is_some();
        if !is_result && !matches!(record.kind, Kind::Intent | Kind::Decision) {
            return;
        }
        let digest = record.policy_digest.clone().unwrap_or_default();
        let inputs = self.values.inputs(record, segment);
        let Some(policy) = self.policies.get(&digest) else {
            *self.report.other_policies.entry(digest).or_default() += 1;
            return;
        };
        let Ok(inputs) = inputs else {
            self.report.without_inputs += 1;
            return;
        };
        let (recorded, replayed) = if is_result {
            match self.values.value("result", record.result.as_ref(), record.seq, segment) {
                Ok(told) => {
                    let rules = self.values.rules(record, segment);
                    over_result(record, rules.as_ref(), &told, inputs, policy)
                }
                Err(_) => {
                    self.report.without_inputs += 1;
                    return;
                }
            }
        } else {
            let recorded =
                json!({ "effect": record.effect, "rules": record.rules, "stateDelta": record.state_delta });
            (recorded, said(&inputs.decide(policy)))
        };
        if replayed == recorded {
            self.report.equal += 1;
        } else {
            let call = record.call.clone().unwrap_or_default();
            self.report.different.push(Difference { seq: record.seq, call, recorded, replayed });
        }
    }
}

/// A decision over the result of a call, as its record has it and as it comes out again. `listed`: the rules
/// that the record names; `told`: what the record keeps of the result.
fn over_result(
    record: &Record,
    listed: Option<&Value>,
    told: &Value,
    inputs: DecisionInputs,
    policy: &LoadedPolicy,
) -> (Value, Value) {
    let gave = told.get("original").unwrap_or(told);
    let outcome = record.outcome.clone().unwrap_or_default();
    let read = |value| CallResult::recorded(inputs.call.tool(), &outcome, value);
    let (told_of_it, gave) = match (read(told), read(gave)) {
        (Ok(told), Ok(gave)) => (told, gave),
        (Err(why), _) | (_, Err(why)) => {
            return (json!({ "effect": record.effect }), json!({ "unread": why }));
        }
    };
    let decided = ResultInputs::from(inputs).decide(policy, &gave);
    let rules = decided.rules.iter().map(RuleReport::bare).collect::<Vec<_>>();
    let was = match (record.effect.as_deref(), told.get("original")) {
        // In records of earlier versions.
        (Some("Allow"), Some(_)) => Some("Redact"),
        (effect, _) => effect,
    };
    let redacted = Redactions::of(&gave, &told_of_it);
    let (effect, is_told_so) = match &decided.effect {
        ResultEffect::Withhold(_) => ("Deny", is_nothing(&told_of_it)),
        ResultEffect::Deliver(redactions) if redactions.is_empty() => ("Allow", redacted.is_empty()),
        ResultEffect::Deliver(redactions) => ("Redact", *redactions == redacted),
    };
    let labels: Vec<Change> = decided.change().into_iter().collect();
    // The texts may be what the reader of this output must not see.
    (
        json!({ "effect": was, "rules": listed, "toldSo": true, "labels": labelled(record) }),
        json!({ "effect": effect, "rules": rules, "toldSo": is_told_so, "labels": labels }),
    )
}

/// The label changes that a record holds: the labels that a result adds decide later calls of its session.
fn labelled(record: &Record) -> Vec<Value> {
    let changes =
        record.state_delta.as_ref().and_then(|delta| delta.get("changes")).and_then(Value::as_array);
    let is_of_labels = |change: &&Value| change.get("labelled").is_some();
    changes.into_iter().flatten().filter(is_of_labels).cloned().collect()
}

/// Whether nothing of the call's result is available.
fn is_nothing(result: &CallResult) -> bool {
    result.stdout.is_empty()
        && result.stderr.is_empty()
        && result.content.is_none()
        && result.paths.is_empty()
}

/// A decision as a record has it: rules without the texts that may repeat values.
fn said(decision: &DecisionRecord) -> Value {
    let effect = match decision.effect {
        EffectRecord::Allow => "Allow",
        EffectRecord::Deny(_) => "Deny",
        EffectRecord::Ask(_) => "Ask",
    };
    let rules = decision.rules.iter().map(RuleReport::bare);
    json!({ "effect": effect, "rules": rules.collect::<Vec<_>>(), "stateDelta": decision.delta })
}

fn print(report: &Report, damage: Option<&str>) {
    for Difference { seq, call, recorded, replayed } in &report.different {
        out!("record {seq}, call {}: decided otherwise", shown(call));
        out!("  recorded {}", shown(&recorded.to_string()));
        out!("  replayed {}", shown(&replayed.to_string()));
    }
    for (digest, count) in &report.other_policies {
        out!("{count} decisions of policy {}: its bundle was not given", shown(digest));
    }
    if report.without_inputs > 0 {
        out!("{} decisions whose inputs can not be shown any more", report.without_inputs);
    }
    out!("{} decisions reproduced, {} differ", report.equal, report.different.len());
    if let Some(damage) = damage {
        out!("the log is damaged: {}", shown(damage));
    }
}
