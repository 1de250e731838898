//! Lowers the mutations of one rule.

use bailiwick_crds::admission::{AdmissionRule, Mutation as Wire, Operation, ResourceRule};
use bailiwick_policy::admission::MAX_SEGMENTS;
use bailiwick_policy::policy::{MutateWhen, Mutation};

use super::super::Findings;
use super::super::expressions::Expressions;
use super::WAYS_TO_CHANGE_A_POD;
use crate::cel::Type;
use crate::check::{bw0225_mutation_field, bw0527_unwritten_mutation};
use crate::diagnostic::{Diagnostic, FieldPath};

/// Refuses mutations of what nothing is written into. The rule's own `match` counts, not the subresources
/// that are added to it.
pub(super) fn refuse_unwritten(rule: &AdmissionRule, at: &FieldPath, out: &mut Findings<'_>) {
    if rule.mutations.is_empty() {
        return;
    }
    let mut refuse = |at: FieldPath, what: &str, help: &'static str| {
        let message = format!("the mutations of rule `{}` are not carried out on {what}", rule.name);
        out.push(Diagnostic::new(bw0527_unwritten_mutation::CODE, at, message).with_help(help));
    };
    for (index, resources) in rule.matches.resources.iter().enumerate() {
        for (position, resource) in resources.resources.iter().enumerate() {
            if resource.contains('/') && !is_written(resources, resource) {
                let at = at.member("match").member("resources").index(index);
                let help = "take it out of this rule, and refuse what is wrong there by the validations of another one";
                refuse(at.member("resources").index(position), &format!("`{resource}`"), help);
            }
        }
    }
    let brings_an_object =
        |one: &Operation| matches!(one, Operation::Create | Operation::Update | Operation::All);
    if !rule.matches.resources.iter().any(|one| one.operations.iter().any(brings_an_object)) {
        let help = "add CREATE or UPDATE to the operations, or take the mutations out";
        refuse(at.member("mutations"), "any of its operations", help);
    }
}

fn is_written(rule: &ResourceRule, resource: &str) -> bool {
    let way = resource.strip_prefix("pods/");
    way.is_some_and(|way| WAYS_TO_CHANGE_A_POD.contains(&way))
        && rule.api_groups.iter().any(|group| group.is_empty() || group == "*")
}

pub(super) fn lower(wire: &[Wire], rule: &FieldPath, cel: &mut Expressions<'_, '_>) -> Vec<Mutation> {
    let mut out = Vec::with_capacity(wire.len());
    for (index, mutation) in wire.iter().enumerate() {
        let at = rule.member("mutations").index(index);
        if let Some(field) = &mutation.field {
            out.extend(set_field(mutation, field, &at, cel));
        }
        if let Some(patch) = &mutation.json_patch {
            let inner = at.member("jsonPatch").member("expression");
            let expression = cel.compile(&patch.expression, Type::list(Type::Dyn), &inner);
            out.extend(expression.map(|expression| Mutation::JsonPatch { expression, at: at.to_string() }));
        }
        if let Some(apply) = &mutation.apply_configuration {
            let inner = at.member("applyConfiguration").member("expression");
            let expression = cel.compile(&apply.expression, Type::map(Type::String, Type::Dyn), &inner);
            out.extend(
                expression.map(|expression| Mutation::ApplyConfiguration { expression, at: at.to_string() }),
            );
        }
    }
    out
}

fn set_field(wire: &Wire, field: &str, at: &FieldPath, cel: &mut Expressions<'_, '_>) -> Option<Mutation> {
    let path = field_path(field);
    if path.as_ref().is_some_and(|path| path.len() > MAX_SEGMENTS) {
        let message = format!("the path has more than {MAX_SEGMENTS} segments");
        cel.out.push(Diagnostic::new(bw0225_mutation_field::CODE, at.member("field"), message));
    }
    if path.is_none() {
        let message = format!("`{field}` is not a path of fields");
        let help = "write `spec.containers[*].imagePullPolicy`, or `metadata.labels['example.org/x']`";
        cel.out
            .push(Diagnostic::new(bw0225_mutation_field::CODE, at.member("field"), message).with_help(help));
    }
    if wire.value.is_none() {
        let message = "a mutation of a field needs `value`";
        cel.out.push(Diagnostic::new(bw0225_mutation_field::CODE, at.clone(), message));
    }
    Some(Mutation::Field {
        path: path?,
        when: if wire.when_absent { MutateWhen::Absent } else { MutateWhen::Always },
        value: wire.value.clone()?,
        at: at.to_string(),
    })
}

/// The segments of `spec.containers[*].env` or `metadata.labels['a/b']`: member names, and `*` for all
/// elements. `None` if the text is not such a path; list indices are not allowed, since lists are reordered.
#[must_use]
pub(crate) fn field_path(text: &str) -> Option<Vec<String>> {
    let starred = text.replace("[*]", ".*");
    let mut out = Vec::new();
    for segment in starred.parse::<FieldPath>().ok()?.segments() {
        match segment {
            crate::diagnostic::Segment::Member(name) => out.push(name.clone()),
            crate::diagnostic::Segment::Index(_) => return None,
        }
    }
    (!out.is_empty() && out.first().is_some_and(|first| first != "*")).then_some(out)
}
