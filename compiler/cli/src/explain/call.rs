//! `bailiwick explain --call`: a tool call, decided by the code that decides it in the executor; with a
//! `result`, what the caller gets of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use bailiwick_compiler::cases::Bench;
use bailiwick_compiler::diagnostic::FieldPath;
use bailiwick_compiler::nearest;
use bailiwick_compiler::policy_test::ToolCallCase;
use bailiwick_compiler::schema_check;
use bailiwick_compiler::yaml::{Limits, SourceMap};
use bailiwick_policy::cel::Watching;
use bailiwick_policy::policy::tools::Mode;
use bailiwick_policy::tool::{
    CallResult, DecisionInputs, DecisionRecord, Denial, Effect, EffectRecord, LoadedPolicy, ResultEffect,
    ResultInputs, RuleExpression, RuleKind, RuleOutcome, RuleReport, ToolDecision, WatchedRule,
};
use serde::Serialize;
use serde_json::Value;

use super::decision::{Because, Explanation, Rule, Verdict};
use super::parts::Expression;
use crate::args::Format;
use crate::effective::Effective;
use crate::files;
use crate::outcome::Outcome;

pub(super) fn run(call: &str, effective: &Effective, format: Format) -> Result<Outcome> {
    let case = case(call)?;
    let bench = Bench::new(effective.policy().clone(), Watching::Off);
    let staged = bench.staged(&case).map_err(|error| anyhow!(error))?;
    staged.refuse_unknown().map_err(|error| anyhow!(error))?;
    let decision = staged.decide().map_err(|error| anyhow!(error))?;
    if case.result.is_none() {
        let notes = misspelt(&bench, &case.tool).map_err(|error| anyhow!(error))?;
        return explanation(effective, &decision.inputs)?.0.with_notes(notes).print(format);
    }
    match staged.result_inputs(&decision).map_err(|error| anyhow!(error))? {
        Some(inputs) => of_result(effective, &decision, inputs)?.print(format),
        None => {
            let note = "the call is not allowed, so it has no result".to_owned();
            explanation(effective, &decision.inputs)?.0.with_notes(vec![note]).print(format)
        }
    }
}

/// The tool that was meant, if no pack defines the one that is called.
fn misspelt(bench: &Bench, tool: &str) -> Result<Vec<String>, String> {
    let tools = bench.tools()?;
    let mut names = tools.iter().map(|(name, _)| name.as_str());
    if names.clone().any(|name| name == tool) {
        return Ok(Vec::new());
    }
    let near = nearest(tool, names.by_ref()).map(|near| format!("did you mean `{near}`?"));
    Ok(near.into_iter().collect())
}

/// A call as the cases of a PolicyTest have it.
fn case(call: &str) -> Result<ToolCallCase> {
    let document = document(call)?;
    let schema = schema_check::POLICY_TEST.pointer(CASE).context("cases have no calls")?;
    let found = schema_check::check(document.root(), schema, &FieldPath::root());
    if let Some(wrong) = found.first() {
        let at = if wrong.at.segments().is_empty() { String::new() } else { format!(" `{}`:", wrong.at) };
        bail!("the call is not what `toolCall` of a PolicyTest is:{at} {}; {}", wrong.message, wrong.help);
    }
    Ok(serde_json::from_value(document.root().to_json())?)
}

/// Where the schema of tests has that of a call.
const CASE: &str = "/properties/spec/properties/cases/items/properties/toolCall";

/// Takes apart what the caller gets of a result.
fn of_result(
    effective: &Effective,
    decision: &ToolDecision,
    inputs: Option<(ResultInputs, CallResult)>,
) -> Result<Explanation> {
    let about = format!("the result of {}", decision.call().tool());
    let mut notes = Vec::new();
    if matches!(decision.effect, Effect::Ask(_)) {
        notes.push("people approved the call".to_owned());
    }
    let Some((inputs, result)) = inputs else {
        return Ok(Explanation::new(effective, about, Verdict::Delivered).with_notes(notes));
    };
    let (policy, digest) = (effective.policy().clone(), effective.bundle.digest.clone());
    let traced = LoadedPolicy::tracing(policy, digest)?;
    let judged = inputs.decide(&traced, &result);
    let (verdict, because) = match &judged.effect {
        ResultEffect::Withhold(denial) => (Verdict::Withheld, vec![denied(denial)]),
        ResultEffect::Deliver(redactions) => {
            let redacted = [
                ("standard output", &redactions.stdout),
                ("standard error", &redactions.stderr),
                ("the content", &redactions.content),
            ];
            let told = |(what, text): (&str, &Option<String>)| {
                text.as_ref().map(|text| format!("{what} becomes {text:?}"))
            };
            notes.extend(redacted.into_iter().filter_map(told));
            (Verdict::Delivered, Vec::new())
        }
    };
    notes.extend(judged.added.iter().map(|label| format!("the session gains the label {label}")));
    let decides = |report: &RuleReport| match &judged.effect {
        ResultEffect::Withhold(denial) => is_of(denial, report),
        ResultEffect::Deliver(_) => {
            report.kind == RuleKind::Redact
                && report.outcome == RuleOutcome::Applied
                && report.mode == Mode::Enforce
        }
    };
    Ok(Explanation::new(effective, about, verdict)
        .because(because)
        .with_rules(rules(effective, &traced, &judged.rules, &decides))
        .with_notes(notes))
}

/// A YAML or JSON value, inline or in a file.
pub(super) fn read(word: &str) -> Result<Value> {
    Ok(document(word)?.root().to_json())
}

fn document(word: &str) -> Result<SourceMap> {
    let (name, bytes) = if word.trim_start().starts_with('{') {
        ("the command line", word.as_bytes().to_vec())
    } else {
        let name = if word == "-" { "standard input" } else { word };
        (name, files::read(Path::new(word))?)
    };
    let (mut documents, diagnostics) = SourceMap::read(name, &bytes, &Limits::MANIFESTS);
    if let Some(wrong) = diagnostics.first() {
        bail!("cannot read {name}: {}", wrong.message);
    }
    match (documents.pop(), documents.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => bail!("{name} does not hold one document"),
    }
}

/// Decides from these inputs and takes the decision apart.
pub(super) fn explanation(
    effective: &Effective,
    inputs: &DecisionInputs,
) -> Result<(Explanation, DecisionRecord)> {
    let (policy, digest) = (effective.policy().clone(), effective.bundle.digest.clone());
    let traced = LoadedPolicy::tracing(policy, digest)?;
    let record = inputs.decide(&traced);
    let (verdict, because) = match &record.effect {
        EffectRecord::Allow => (Verdict::Allow, Vec::new()),
        EffectRecord::Deny(denial) => (Verdict::Deny, vec![denied(denial)]),
        EffectRecord::Ask(request) => {
            let asked = request.requirements.iter().map(|one| Because {
                reason: "approval".to_owned(),
                message: format!("{} of {}", one.quorum, one.group),
                ..Because::default()
            });
            (Verdict::Ask, asked.collect())
        }
    };
    let explanation = Explanation::new(effective, inputs.call.tool().to_owned(), verdict)
        .because(because)
        .with_facts(record.facts.clone())
        .with_rules(rules(effective, &traced, &record.rules, &|report| decides(&record, report)));
    Ok((explanation, record))
}

fn denied(denial: &Denial) -> Because {
    Because {
        reason: word(&denial.reason),
        pack: denial.pack.clone(),
        rule: denial.rule.clone(),
        message: denial.message.clone(),
        remedy: denial.remedy.clone(),
        ..Because::default()
    }
}

/// Every rule that was evaluated: those that took part, and those whose condition is false.
fn rules(
    effective: &Effective,
    traced: &LoadedPolicy,
    reports: &[RuleReport],
    decides: &dyn Fn(&RuleReport) -> bool,
) -> Vec<Rule> {
    let expressions: BTreeMap<_, _> = traced.traced().collect();
    let mut all = Vec::new();
    for (at_layer, layer) in effective.policy().tools.iter().enumerate() {
        let pack = effective.label(layer.pack);
        for (at_rule, rule) in layer.rules.iter().enumerate() {
            let report = reports.iter().find(|report| report.pack == pack && report.rule == rule.name);
            let mut said = Rule::at(effective, &pack, &rule.name, &rule.at);
            for (expression, cel, field) in [
                (RuleExpression::When, &rule.when, "when"),
                (RuleExpression::Transform, &rule.transform, "transform.args"),
                (RuleExpression::Redact, &rule.redact, "transform.result"),
            ] {
                let at = WatchedRule { layer: at_layer, rule: at_rule, expression };
                let (Some(cel), Some(nodes)) = (cel, expressions.get(&at)) else { continue };
                let field = format!("{}.{field}", rule.at);
                let expression = Expression::of(effective, &pack, &field, cel, nodes);
                if expression.was_reached() {
                    said.expressions.push(expression);
                }
            }
            if report.is_none() && said.expressions.is_empty() {
                continue;
            }
            said.kind = word(&rule.effect);
            said.outcome = report.map_or_else(|| "its condition is false".to_owned(), outcome);
            said.decides = report.is_some_and(decides);
            all.push(said);
        }
    }
    all
}

fn outcome(report: &RuleReport) -> String {
    let outcome = match &report.outcome {
        RuleOutcome::Applied => "applied".to_owned(),
        RuleOutcome::WithinLimit => "within its limit".to_owned(),
        RuleOutcome::Failed(why) => format!("cannot be evaluated: {why}"),
    };
    match report.mode {
        Mode::Enforce => outcome,
        Mode::Shadow => format!("{outcome}, in shadow and so without effect"),
    }
}

/// Whether the effect follows from a rule: the one that denies, those that ask, or those that grant.
fn decides(record: &DecisionRecord, report: &RuleReport) -> bool {
    let applied = report.outcome == RuleOutcome::Applied && report.mode == Mode::Enforce;
    match &record.effect {
        EffectRecord::Deny(denial) => is_of(denial, report),
        EffectRecord::Allow => applied && report.kind.is_grant(),
        EffectRecord::Ask(_) => {
            // An `allow` of the same pack beats its `ask`.
            let allows = |other: &RuleReport| {
                other.pack == report.pack
                    && other.kind == RuleKind::Allow
                    && other.outcome == RuleOutcome::Applied
                    && other.mode == Mode::Enforce
            };
            applied
                && match report.kind {
                    RuleKind::Confirm => true,
                    RuleKind::Ask => !record.rules.iter().any(allows),
                    _ => false,
                }
        }
    }
}

fn is_of(denial: &Denial, report: &RuleReport) -> bool {
    denial.pack.as_deref() == Some(&report.pack) && denial.rule.as_deref() == Some(&report.rule)
}

/// The word for a value in packs and bundles; for a value with members, the name of the first.
pub(super) fn word(of: &impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(members)) => members.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}
