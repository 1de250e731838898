//! `bailiwick explain --review`: a manifest or an AdmissionReview, judged by the code that judges it in the
//! webhook.
//!
//! For an update the object before it is judged as well, so that values of both appear.

use std::path::Path;

use anyhow::{Result, bail};
use bailiwick_compiler::rego::Regorus;
use bailiwick_policy::admission::{AdmissionRequest, Reviewer, WatchedAt};
use bailiwick_policy::cel::Traced;
use bailiwick_policy::decision::{Decision, Effect, Finding};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::AdmissionRule;

use super::call::word;
use super::decision::{Because, Explanation, Rule, Verdict};
use super::parts::Expression;
use crate::args::{ExplainOptions, ReviewPhase};
use crate::custom_kinds::NamedResources;
use crate::effective::Effective;
use crate::manifests;
use crate::outcome::Outcome;
use crate::review;

pub(super) fn run(file: &Path, effective: &Effective, options: &ExplainOptions) -> Result<Outcome> {
    if effective.policy().subject.is_none() {
        bail!(
            "these packs name no subject, so they govern nobody; explain with a pack that has `spec.subjects`"
        );
    }
    let namespaces = review::read_namespaces(options.namespaces.as_deref())?;
    let found = manifests::read(file)?;
    let [manifest] = found.as_slice() else {
        bail!("{} holds {} objects where one is meant", file.display(), found.len());
    };
    let object = Json::parse(manifest)?;
    let about = review::name_of(&object);
    let is_review = object.get("kind").and_then(Json::as_str) == Some("AdmissionReview");
    let named = NamedResources::of(std::slice::from_ref(&effective.bundle));
    let requests = if is_review {
        vec![AdmissionRequest::parse(manifest)?]
    } else {
        review::requests(&named, &object, None, &options.namespace)?
    };
    let Some((request, others)) = requests.split_first() else {
        bail!("the manifest stands for no request");
    };
    let reviewer = Reviewer::tracing(effective.bundle.clone(), namespaces.clone(), &Regorus)?;
    let decision = review::decide(&reviewer, request, ReviewPhase::Validate, is_review);
    // What is not known about the manifest decides here as it does in `bailiwick review`.
    let plainly = Reviewer::with_rego([effective.bundle.clone()], namespaces, &Regorus)?;
    let other =
        |request: &AdmissionRequest<'_>| review::decide(&plainly, request, ReviewPhase::Validate, is_review);
    if others.iter().any(|request| other(request).allowed != decision.allowed) {
        return Ok(review::cannot_tell(&about));
    }
    let verdict = if decision.allowed { Verdict::Allow } else { Verdict::Deny };
    Explanation::new(effective, about, verdict)
        .because(decision.findings.iter().map(found_to_be).collect())
        .with_rules(rules(effective, &reviewer, &decision))
        .print(options.format)
}

fn found_to_be(finding: &Finding) -> Because {
    Because {
        reason: word(&finding.effect).to_ascii_lowercase(),
        pack: Some(finding.pack.clone()),
        rule: Some(finding.rule.clone()),
        field: finding.field.clone(),
        message: finding.message.clone(),
        remedy: finding.remedy.clone(),
    }
}

/// Every authored rule of which some part was evaluated, or that made a finding.
fn rules(effective: &Effective, reviewer: &Reviewer, decision: &Decision) -> Vec<Rule> {
    let traced = reviewer.traced();
    let mut all = Vec::new();
    for (index, rule) in effective.policy().admission.rules.iter().enumerate() {
        let pack = effective.label(rule.origin.pack);
        let finding = decision.findings.iter().find(|one| one.pack == pack && one.rule == rule.name);
        let mut said = Rule::at(effective, &pack, &rule.name, &rule.origin.at);
        for (at, nodes) in &traced {
            let expression = expression(effective, &pack, (index, rule), *at, nodes);
            said.expressions.extend(expression.filter(Expression::was_reached));
        }
        // Any rule may evaluate shared expressions; alone, they say nothing about this one.
        let is_asked = said.expressions.iter().any(|one| !one.is_variable());
        if finding.is_none() && !is_asked {
            continue;
        }
        said.kind = word(&rule.action).to_ascii_lowercase();
        let outcome = if finding.is_some() { "it found something" } else { "it found nothing" };
        outcome.clone_into(&mut said.outcome);
        said.decides = finding.is_some_and(|finding| finding.effect == Effect::Deny);
        all.push(said);
    }
    all
}

/// The expression at this place, if it belongs to the rule.
fn expression(
    effective: &Effective,
    pack: &str,
    (index, rule): (usize, &AdmissionRule),
    at: WatchedAt,
    nodes: &[Traced],
) -> Option<Expression> {
    let origin = &rule.origin.at;
    let of = |field: String, cel| Expression::of(effective, pack, &field, cel, nodes);
    match at {
        WatchedAt::Shared(shared) => {
            let mut variables = rule.variables.iter().enumerate();
            let (position, (name, _)) = variables.find(|(_, (_, used))| *used as usize == shared)?;
            let cel = effective.policy().admission.shared.get(shared)?;
            Some(of(format!("{origin}.variables[{position}].expression"), cel).of_variable(name))
        }
        WatchedAt::Condition { rule: of_rule, at } if of_rule == index => {
            let (_, cel) = rule.matches.conditions.get(at)?;
            Some(of(format!("{origin}.match.conditions[{at}].expression"), cel))
        }
        WatchedAt::Validation { rule: of_rule, at } if of_rule == index => {
            let validation = rule.validations.get(at)?;
            Some(of(format!("{origin}.validations[{at}].expression"), &validation.expression))
        }
        _ => None,
    }
}
