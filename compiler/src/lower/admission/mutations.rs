//! Lowers the mutations of one rule.

use bailiwick_crds::admission::Mutation as Wire;
use bailiwick_policy::admission::MAX_SEGMENTS;
use bailiwick_policy::policy::{MutateWhen, Mutation};

use super::super::expressions::Expressions;
use crate::cel::Type;
use crate::check::bw0225_mutation_field;
use crate::diagnostic::{Diagnostic, FieldPath};

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
