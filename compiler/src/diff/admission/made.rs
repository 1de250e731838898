//! The requests that concern one rule: each resource and operation that it names, with labels that its
//! selectors distinguish. Each is made in every way in which the rule applies and makes a finding.

use std::collections::BTreeSet;

use bailiwick_policy::admission::manifest::plural;
use bailiwick_policy::policy::{LabelSelector, ResourceRule};
use serde_json::Value;

use super::change::{apply, debugged, wrapped};
use super::labels::{Labels, Relabelling, relabel, told_apart};
use super::{Suspect, objects, security};
use crate::policy_test::{AdmissionCase, CaseNamespace, CaseOperation};

/// Requests to start from for one rule, one for each resource and operation. Rules name a few.
const MAX_BEGUN: usize = 24;
/// Label sets that are tried on a rule's objects, and as many on its namespaces.
const MAX_LABELS: usize = 16;
/// Ways to a finding that are tried with each further label set.
const MAX_WITH_LABELS: usize = 8;
/// Resources that represent all where a rule names none.
const ANY_RESOURCE: &[&str] = &["pods", "configmaps", "services"];
/// Subresources that represent all of a resource: itself, its status, and for pods what runs or reaches
/// something in them.
const ANY_SUBRESOURCE: &[&str] = &["", "status", "ephemeralcontainers", "exec"];

/// The requests of one rule, and whether some were left out.
pub(super) struct Made {
    pub(super) requests: Vec<AdmissionCase>,
    pub(super) is_cut: bool,
}

/// Makes the requests of a rule from a pod that is allowed. `repaired`: adds to a request what other rules
/// require of it.
pub(super) fn requests(
    suspect: &Suspect<'_>,
    suspects: &[Suspect<'_>],
    start: &AdmissionCase,
    repaired: &mut dyn FnMut(AdmissionCase) -> AdmissionCase,
) -> Made {
    let mut begun = begun(suspect, start);
    let mut is_cut = begun.len() > MAX_BEGUN;
    begun.truncate(MAX_BEGUN);
    let begun: Vec<AdmissionCase> = begun.into_iter().map(repaired).collect();
    let (objects, namespaces) = (
        selectors(suspect, suspects, |one| one.rule.matches.object_selector.as_ref()),
        selectors(suspect, suspects, |one| one.rule.matches.namespace_selector.as_ref()),
    );
    is_cut |= objects.len() > MAX_LABELS || namespaces.len() > MAX_LABELS;
    is_cut |= objects.len().max(namespaces.len()) > 1 && suspect.fails.len() > MAX_WITH_LABELS;
    let none = Relabelling::new();
    let (own, place) = (objects.first().unwrap_or(&none), namespaces.first().unwrap_or(&none));
    let asked: Vec<AdmissionCase> = begun.iter().map(|case| labelled(case, own, place)).collect();
    let mut all: Vec<AdmissionCase> = Vec::new();
    // First the requests most likely to cause a finding.
    for case in &asked {
        all.push(case.clone());
        all.extend(suspect.fails.iter().map(|way| apply(case, way)));
    }
    let others = objects.iter().skip(1).take(MAX_LABELS).map(|labels| (labels, place));
    let others = others.chain(namespaces.iter().skip(1).take(MAX_LABELS).map(|labels| (own, labels)));
    for (object, namespace) in others {
        for case in begun.iter().map(|case| labelled(case, object, namespace)) {
            all.extend(suspect.fails.iter().take(MAX_WITH_LABELS).map(|way| apply(&case, way)));
            all.push(case);
        }
    }
    for case in &asked {
        all.extend(suspect.ways.iter().map(|way| apply(case, way)));
        if case.operation == CaseOperation::Update && is_pod(case) {
            all.push(debugged(case));
        }
    }
    if suspect.rule.pod_templates {
        let created = asked.iter().filter(|case| case.operation == CaseOperation::Create && is_pod(case));
        let ways = || suspect.fails.iter().chain(&suspect.ways);
        let templates: Vec<_> =
            created.flat_map(|case| ways().map(|way| wrapped(&apply(case, way)))).collect();
        all.extend(templates);
    }
    Made { requests: all, is_cut }
}

fn is_pod(case: &AdmissionCase) -> bool {
    case.object.as_ref().is_some_and(|object| kind(object) == "Pod")
}

/// Labels distinguished by a rule's own selector and by those of its forms in the other policy. If the other
/// policy has no rule of that name, by the selectors of all its rules.
fn selectors(
    suspect: &Suspect<'_>,
    suspects: &[Suspect<'_>],
    of: impl for<'s> Fn(&'s Suspect<'_>) -> Option<&'s LabelSelector>,
) -> Vec<Relabelling> {
    let is_form = |other: &&Suspect<'_>| other.side != suspect.side && other.name == suspect.name;
    let has_form = suspects.iter().any(|other| is_form(&other));
    let others = suspects.iter().filter(|other| !has_form || is_form(other));
    let others: Vec<&LabelSelector> = others.filter_map(&of).collect();
    told_apart(of(suspect), &others)
}

/// The request with other labels on its objects and its namespace.
fn labelled(case: &AdmissionCase, object: &Relabelling, namespace: &Relabelling) -> AdmissionCase {
    let mut case = case.clone();
    for one in [&mut case.object, &mut case.old_object].into_iter().flatten() {
        relabel_object(one, object);
        // The labels of a namespace are its own.
        if kind(one) == "Namespace" {
            relabel_object(one, namespace);
        }
    }
    relabel(&mut case.namespace.get_or_insert_with(CaseNamespace::default).labels, namespace);
    case
}

fn relabel_object(object: &mut Value, to: &Relabelling) {
    let known = object.pointer("/metadata/labels").cloned().unwrap_or_default();
    let mut labels: Labels = serde_json::from_value(known).unwrap_or_default();
    relabel(&mut labels, to);
    security::change(object, &["metadata", "labels"], serde_json::to_value(labels).unwrap_or_default());
}

/// One request for each resource, subresource and operation that the rule names, plus one beyond the limit if
/// there are more.
fn begun(suspect: &Suspect<'_>, start: &AdmissionCase) -> Vec<AdmissionCase> {
    let mut all: Vec<AdmissionCase> = Vec::new();
    let mut seen = BTreeSet::new();
    for matched in &suspect.rule.matches.resources {
        for object in &matched.resources {
            let (resources, subresources) = named(object);
            for (resource, subresource) in
                resources.iter().flat_map(|one| subresources.iter().map(move |other| (*one, *other)))
            {
                for made in made(matched, resource, start) {
                    for operation in operations(matched) {
                        let case = request(&made, operation, (resource, subresource), start);
                        if all.len() <= MAX_BEGUN
                            && seen.insert(serde_json::to_string(&case).unwrap_or_default())
                        {
                            all.push(case);
                        }
                    }
                }
            }
        }
    }
    all
}

/// The resources and subresources that a rule's pattern matches.
fn named(pattern: &str) -> (Vec<&str>, Vec<&str>) {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    let any = |name, all: &[&'static str]| if name == "*" { all.to_vec() } else { vec![name] };
    (any(resource, ANY_RESOURCE), any(subresource, ANY_SUBRESOURCE))
}

fn operations(matched: &ResourceRule) -> Vec<CaseOperation> {
    use CaseOperation::{Connect, Create, Delete, Update};
    let about = |operation: &CaseOperation| {
        matched.operations.iter().any(|one| one == operation.as_str() || one == "*")
    };
    [Create, Update, Delete, Connect].into_iter().filter(about).collect()
}

/// The smallest objects of a resource in the groups and versions that a rule names; for pods the one that is
/// allowed.
fn made(matched: &ResourceRule, resource: &str, start: &AdmissionCase) -> Vec<Value> {
    if resource == "pods" {
        return start.object.iter().cloned().collect();
    }
    let mut all = objects::smallest(resource, &matched.api_groups, &matched.api_versions);
    for object in all.iter_mut().filter(|object| kind(object) == "Namespace") {
        // A namespace is governed by its own labels.
        let labels = start.namespace.as_ref().map(|one| &one.labels);
        let labels = serde_json::to_value(labels).unwrap_or_default();
        security::change(object, &["metadata", "labels"], labels);
    }
    all
}

fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

fn request(
    object: &Value,
    operation: CaseOperation,
    (resource, subresource): (&str, &str),
    start: &AdmissionCase,
) -> AdmissionCase {
    let is_there = operation != CaseOperation::Delete;
    let was_there = matches!(operation, CaseOperation::Update | CaseOperation::Delete);
    AdmissionCase {
        operation,
        object: is_there.then(|| object.clone()),
        old_object: was_there.then(|| object.clone()),
        // Stated only where it does not follow from the kind.
        resource: (plural(kind(object)) != resource).then(|| resource.to_owned()),
        subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
        ..start.clone()
    }
}
