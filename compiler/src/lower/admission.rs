//! Lowers admission rules: types of the objects that a rule matches, CEL through [`crate::cel`], and
//! mutations.

pub(crate) mod kinds;
mod mutations;
mod rego;

use std::sync::Arc;

use bailiwick_crds::admission::{
    Action as WireAction, AdmissionRule as WireRule, Match as WireMatch, Operation,
    ResourceRule as WireResource,
};
use bailiwick_policy::admission::takes_in_pods;
use bailiwick_policy::policy::{Action, Admission, AdmissionRule, Match, ResourceRule, Validation};

use super::costs::{Costs, Known};
use super::expressions::Expressions;
use super::{Findings, Pack, costs, origin, selector};
use crate::cel::{Context, Interner};
use crate::check::{bw0226_unknown_resource, bw0606_pod_templates};
use crate::custom_kinds::CustomKinds;
use crate::diagnostic::{Diagnostic, FieldPath};
pub(crate) use mutations::field_path;

/// Subresources that change the spec of an existing pod. To the API server they are resources of their own;
/// to the author of a rule over pod updates they are ways around it.
pub(crate) const WAYS_TO_CHANGE_A_POD: [&str; 2] = ["ephemeralcontainers", "resize"];

pub(super) fn lower(pack: &Pack, out: &mut Findings<'_>) -> Admission {
    let Some(wire) = &pack.spec.admission else { return Admission::default() };
    let at = FieldPath::spec().member("admission").member("rules");
    let mut interner = Interner::default();
    let mut modules = Vec::new();
    let mut rules = Vec::with_capacity(wire.rules.len());
    // What is one policy on the API server: its first rule, and the costs of all.
    let mut policies: Vec<(&WireRule, FieldPath, Vec<Costs>)> = Vec::new();
    for (index, rule) in wire.rules.iter().enumerate() {
        let at = at.index(index);
        let rego = rego::lower(pack, rule, &at, &mut modules, out);
        let (lowered, costs) = lower_rule(pack, rule, &at, &mut interner, out);
        rules.push(AdmissionRule { rego, ..lowered });
        let same = |first: &WireRule| first.action == rule.action && first.matches == rule.matches;
        match policies.iter_mut().find(|(first, ..)| same(first)) {
            Some((.., all)) => all.push(costs),
            None => policies.push((rule, at, vec![costs])),
        }
    }
    for (_, at, costs) in &policies {
        costs::together(costs, at).into_iter().for_each(|note| out.push(note));
    }
    let (shared, regexes) = interner.into_parts();
    Admission { shared, regexes, rego: modules, rules }
}

fn lower_rule(
    pack: &Pack,
    wire: &WireRule,
    at: &FieldPath,
    interner: &mut Interner,
    out: &mut Findings<'_>,
) -> (AdmissionRule, Costs) {
    let kinds = kinds::of(&wire.matches.resources, &pack.kinds);
    if wire.pod_templates && !kinds.only_pods {
        let message = "`podTemplates` is for rules that match pods and nothing else";
        out.push(Diagnostic::new(bw0606_pod_templates::CODE, at.member("podTemplates"), message));
    }
    let mut context = Context::admission(kinds.object);
    context.params = pack.parameters.clone();
    context.pack = (pack.source.name.clone(), pack.source.version.clone()).into();
    context.pod = kinds.pod;
    let known = Known { bounds: kinds.bounds, params: Arc::clone(&context.params) };
    let mut cel = Expressions { context, interner, out, costs: Costs::of(known) };
    let mut variables = Vec::with_capacity(wire.variables.len());
    for (index, variable) in wire.variables.iter().enumerate() {
        let at = at.member("variables").index(index).member("expression");
        if let Some(shared) = cel.variable(&variable.name, &variable.expression, &at) {
            variables.push((variable.name.clone(), shared));
        }
    }
    let validations = validations(wire, at, &mut cel);
    mutations::refuse_unwritten(wire, at, cel.out);
    let mutations = mutations::lower(&wire.mutations, at, &mut cel);
    let audit_annotations = wire.audit_annotations.iter().enumerate().filter_map(|(index, annotation)| {
        let at = at.member("auditAnnotations").index(index).member("valueExpression");
        Some((annotation.key.clone(), cel.annotation(&annotation.value_expression, &at)?))
    });
    let audit_annotations = audit_annotations.collect();
    let rule = AdmissionRule {
        name: wire.name.clone(),
        origin: origin(at),
        matches: matches(&wire.matches, &pack.kinds, at, &mut cel),
        pod_templates: wire.pod_templates,
        variables,
        validations,
        rego: None,
        mutations,
        audit_annotations,
        action: match wire.action {
            WireAction::Deny => Action::Deny,
            WireAction::Warn => Action::Warn,
            WireAction::Audit => Action::Audit,
        },
        exceptable: wire.exceptable,
    };
    (rule, cel.costs)
}

fn validations(wire: &WireRule, at: &FieldPath, cel: &mut Expressions<'_, '_>) -> Vec<Validation> {
    let mut out = Vec::with_capacity(wire.validations.len());
    for (index, validation) in wire.validations.iter().enumerate() {
        let at = at.member("validations").index(index);
        let expression = cel.demand(&validation.expression, &at.member("expression"));
        let message_expression = validation
            .message_expression
            .as_ref()
            .and_then(|source| cel.message(source, &at.member("messageExpression")));
        let Some(expression) = expression else { continue };
        out.push(Validation {
            expression,
            message: validation.message.clone(),
            message_expression,
            reason: validation.reason.as_str().to_owned(),
            remedy: validation.remedy.clone(),
        });
    }
    out
}

fn matches(wire: &WireMatch, kinds: &CustomKinds, at: &FieldPath, cel: &mut Expressions<'_, '_>) -> Match {
    let at = at.member("match");
    let conditions = wire.conditions.iter().enumerate().filter_map(|(index, condition)| {
        let at = at.member("conditions").index(index).member("expression");
        Some((condition.name.clone(), cel.condition(&condition.expression, &at)?))
    });
    let conditions = conditions.collect();
    let out = &mut *cel.out;
    let mut resources = lower_resources(&wire.resources, kinds, &at.member("resources"), out);
    let exclude_resources =
        lower_resources(&wire.exclude_resources, kinds, &at.member("excludeResources"), out);
    resources.extend(ways_to_change_a_pod(&resources, &exclude_resources));
    Match {
        resources,
        exclude_resources,
        namespace_selector: wire
            .namespace_selector
            .as_ref()
            .map(|wire| selector::lower(wire, &at.member("namespaceSelector"), out)),
        object_selector: wire
            .object_selector
            .as_ref()
            .map(|wire| selector::lower(wire, &at.member("objectSelector"), out)),
        conditions,
    }
}

/// The subresources that a rule over pod updates also matches, unless the pack names or excludes them.
fn ways_to_change_a_pod(named: &[ResourceRule], excluded: &[ResourceRule]) -> Option<ResourceRule> {
    let update = Operation::Update.as_str();
    // Excluded pods are not judged through a subresource either.
    if !takes_in_pods(named, "", update) || takes_in_pods(excluded, "", update) {
        return None;
    }
    let left_out = |way: &&str| !takes_in_pods(named, way, update) && !takes_in_pods(excluded, way, update);
    let ways = WAYS_TO_CHANGE_A_POD.into_iter().filter(left_out).map(|way| format!("pods/{way}"));
    let resources: Vec<String> = ways.collect();
    (!resources.is_empty()).then(|| ResourceRule {
        api_groups: vec![String::new()],
        api_versions: vec!["v1".to_owned()],
        resources,
        operations: vec![update.to_owned()],
    })
}

fn lower_resources(
    wire: &[WireResource],
    kinds: &CustomKinds,
    at: &FieldPath,
    out: &mut Findings<'_>,
) -> Vec<ResourceRule> {
    for (index, rule) in wire.iter().enumerate() {
        for (position, resource) in rule.resources.iter().enumerate() {
            if let Some(plural) = kinds::misspelt(&rule.api_groups, resource, kinds) {
                let at = at.index(index).member("resources").index(position);
                let message =
                    format!("`{resource}` is not a resource; the API server would never ask this rule");
                let diagnostic = Diagnostic::new(bw0226_unknown_resource::CODE, at, message);
                out.push(diagnostic.with_help(format!("did you mean `{plural}`?")));
            }
        }
    }
    let operations =
        |operations: &[Operation]| operations.iter().map(|one| one.as_str().to_owned()).collect();
    wire.iter()
        .map(|rule| ResourceRule {
            api_groups: rule.api_groups.clone(),
            api_versions: rule.api_versions.clone(),
            resources: rule.resources.clone(),
            operations: operations(&rule.operations),
        })
        .collect()
}
