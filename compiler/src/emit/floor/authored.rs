//! Authored admission rules on the floor: their expressions in the CEL that the API server knows (see
//! [`crate::cel::ApiServer`]).
//!
//! A rule is carried over whole or not at all: a rule with one validation that the API server cannot express
//! has no floor. Variables get new names, `pPvI` for variable I of pack P and `pPoI` for the same over the
//! old object, since one admission policy holds the rules of several packs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_policy::admission::{Excepted, Exception, WRITTEN_WHEN_FINALIZED, annotation_name};
use bailiwick_policy::ir::{Cel, Const};
use bailiwick_policy::policy::{AdmissionRule, LabelSelector, Validation};

use crate::cel::{ApiServer, CelError, Context, Parameter, ServerNames, Type};
use crate::emit::EmitError;
use crate::emit::cell::Cell;
use crate::emit::{selector, statements};

use super::sections::Contribution;
use super::uses::Uses;
use super::{
    Check, FloorRule, MatchSet, Standing, all_containers, container_variables, governed, main_containers,
};

/// Reasons that a validation may give;
/// <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>.
const REASONS: [&str; 4] = ["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"];

pub(super) fn rules(cell: &Cell<'_>) -> Result<Vec<Contribution>, EmitError> {
    let mut out = Vec::new();
    for rule in &cell.policy.admission.rules {
        if !rule.judges() {
            continue;
        }
        let statement = statements::rule(cell.pack(rule.origin.pack)?, &rule.name);
        // Carried over whole or not at all: without its Rego, the rule would seem enforced where only half of
        // it is.
        if rule.rego.is_some() {
            let note = "it asks in Rego, which the API server does not evaluate: where the webhook is not asked, nothing asks it";
            out.push((statement, None, Standing::none(note)));
            continue;
        }
        let Some(matches) = match_set(cell, rule) else {
            out.push((statement, None, Standing::none("it matches nothing that the policy governs")));
            continue;
        };
        let pack = cell.policy.packs.get(usize::from(rule.origin.pack)).map(|pack| &pack.name);
        let exceptions: Vec<&Exception> =
            cell.options.exceptions.iter().filter(|one| Some(&one.pack) == pack).collect();
        match Carried::new(cell, rule, &exceptions).rule(matches) {
            Ok(floor) => out.push((statement, Some(floor), Standing::full())),
            Err(errors) => {
                let why: Vec<_> = errors.into_iter().map(|error| error.message).collect();
                let note = format!("the API server's CEL cannot express it: {}", why.join("; "));
                out.push((statement, None, Standing::none(&note)));
            }
        }
    }
    Ok(out)
}

/// The requests to which the rule applies; `None`: it applies to none. Its conditions are added later.
fn match_set(cell: &Cell<'_>, rule: &AdmissionRule) -> Option<MatchSet> {
    let pods = cell.pods()?;
    let mut namespaces = vec![cell.hooked_namespaces()?];
    namespaces.extend(rule.matches.namespace_selector.clone());
    let namespaces = selector::conjoin(&namespaces);
    if !selector::can_match(&namespaces) || !selector::can_match(&pods) {
        return None;
    }
    Some(MatchSet {
        resources: rule.matches.resources.clone(),
        exclude: rule.matches.exclude_resources.clone(),
        namespaces,
        objects: rule.matches.object_selector.clone().filter(|objects| objects != &LabelSelector::default()),
        // Objects other than pods are governed by their namespace alone.
        conditions: governed(&pods)
            .into_iter()
            .map(|(name, expression)| {
                (name, format!("request.kind.kind != 'Pod' || request.kind.group != '' || ({expression})"))
            })
            .collect(),
    })
}

/// One rule that is being carried over to the API server.
struct Carried<'a> {
    rule: &'a AdmissionRule,
    shared: &'a [Cel],
    /// The exceptions that name this pack.
    exceptions: &'a [&'a Exception],
    authored: Context,
    /// New names of the variables, over the object and over the old object.
    names: BTreeMap<String, String>,
    old_names: BTreeMap<String, String>,
}

impl<'a> Carried<'a> {
    fn new(cell: &Cell<'a>, rule: &'a AdmissionRule, exceptions: &'a [&'a Exception]) -> Self {
        let mut authored = Context::admission(Type::Dyn);
        if let Some(pack) = cell.policy.packs.get(usize::from(rule.origin.pack)) {
            authored.pack = Arc::new((pack.name.clone(), pack.version.clone()));
            if let Const::Map(entries) = &pack.parameters {
                let parameter = |(key, value): &(Const, Const)| match key {
                    Const::Str(name) => {
                        Some((name.clone(), Parameter { of: Type::Dyn, value: value.clone() }))
                    }
                    _ => None,
                };
                authored.params = Arc::new(entries.iter().filter_map(parameter).collect());
            }
        }
        let named = |letter: char| {
            let name = |(name, index): &(String, u32)| {
                (name.clone(), format!("p{}{letter}{index}", rule.origin.pack))
            };
            rule.variables.iter().map(name).collect()
        };
        Self {
            rule,
            shared: &cell.policy.admission.shared,
            exceptions,
            authored,
            names: named('v'),
            old_names: named('o'),
        }
    }

    fn rule(&self, mut matches: MatchSet) -> Result<FloorRule, Vec<CelError>> {
        let mut variables = container_variables();
        let server = self.server(
            ServerNames {
                all_containers: Some("variables.containers".to_owned()),
                main_containers: Some("variables.mainContainers".to_owned()),
                variables: self.names.clone(),
                ..ServerNames::default()
            },
            &mut variables,
        )?;
        let before = self.server(
            ServerNames {
                object: Some("oldObject".to_owned()),
                all_containers: Some("variables.oldContainers".to_owned()),
                main_containers: Some("variables.oldMainContainers".to_owned()),
                variables: self.old_names.clone(),
                ..ServerNames::default()
            },
            &mut variables,
        )?;
        variables.push((WINDS_DOWN.to_owned(), winds_down()));
        let guards = self.conditions(&server, &mut matches)?;
        let mut checks = Vec::with_capacity(self.rule.validations.len());
        for validation in &self.rule.validations {
            checks.push(self.check(validation, &server, &before, &guards)?);
        }
        let mut audit = Vec::new();
        for (key, cel) in &self.rule.audit_annotations {
            let value = server.expression(&cel.source, &Type::String)?;
            audit.push((self.qualified(key), guarded(&guards, &value, "null")));
        }
        let from = vec![self.rule.origin.clone()];
        Ok(FloorRule { action: self.rule.action, matches, variables, checks, audit, from })
    }

    /// The environment with the rule's variables declared; adds their definitions to `variables`.
    fn server(
        &self,
        names: ServerNames,
        variables: &mut Vec<(String, String)>,
    ) -> Result<ApiServer<'_>, Vec<CelError>> {
        let renamed = names.variables.clone();
        let mut server = ApiServer::new(&self.authored, names);
        for (name, text) in container_variables() {
            server.declare(&name, &text)?;
        }
        for (name, index) in &self.rule.variables {
            let index = usize::try_from(*index).unwrap_or(usize::MAX);
            let (Some(cel), Some(new)) = (self.shared.get(index), renamed.get(name)) else { continue };
            variables.push((new.clone(), server.variable(name, &cel.source)?));
        }
        Ok(server)
    }

    /// Adds the conditions that the API server can match on to the match set, and returns the others, which
    /// guard each validation.
    fn conditions(
        &self,
        server: &ApiServer<'_>,
        matches: &mut MatchSet,
    ) -> Result<Vec<String>, Vec<CelError>> {
        let inline = ApiServer::new(
            &self.authored,
            ServerNames {
                all_containers: Some(format!("({})", all_containers("object"))),
                main_containers: Some(format!("({})", main_containers("object"))),
                ..ServerNames::default()
            },
        );
        let mut guards = Vec::new();
        for (name, cel) in &self.rule.matches.conditions {
            if Uses::of(&cel.expr, self.shared).beyond_conditions {
                guards.push(server.expression(&cel.source, &Type::Bool)?);
            } else {
                let text = inline.expression(&cel.source, &Type::Bool)?;
                matches.conditions.push((self.qualified(name), text));
            }
        }
        Ok(guards)
    }

    fn check(
        &self,
        validation: &Validation,
        server: &ApiServer<'_>,
        before: &ApiServer<'_>,
        guards: &[String],
    ) -> Result<Check, Vec<CelError>> {
        let now = server.expression(&validation.expression.source, &Type::Bool)?;
        let conditions = self.rule.matches.conditions.iter().map(|(_, cel)| cel);
        let mut asked = conditions.chain([&validation.expression]);
        let expression = if asked.any(|cel| Uses::of(&cel.expr, self.shared).other_than_object) {
            // It compares or depends on the request, so its result for the old object alone means nothing.
            format!("({now}\n) || variables.{WINDS_DOWN}")
        } else {
            let old = before.expression(&validation.expression.source, &Type::Bool)?;
            format!("({now}\n) || (request.operation == 'UPDATE' && !({old}\n))")
        };
        let computed = validation.message_expression.as_ref();
        let message_expression =
            computed.map(|cel| server.expression(&cel.source, &Type::String)).transpose()?;
        let excepted = excepted(self.exceptions, self.rule);
        let expression = match excepted {
            Some(excepted) => format!("({excepted}) || ({expression}\n)"),
            None => expression,
        };
        let reason =
            if REASONS.contains(&validation.reason.as_str()) { &validation.reason } else { "Invalid" };
        Ok(Check {
            expression: guarded(guards, &expression, "true"),
            message: self.message(validation),
            message_expression,
            reason: reason.to_owned(),
        })
    }

    /// A name of at most 63 characters that no other rule's condition or annotation has.
    fn qualified(&self, name: &str) -> String {
        annotation_name(&format!("p{}-{}-{name}", self.rule.origin.pack, self.rule.name))
    }

    /// One line, as the API server requires.
    fn message(&self, validation: &Validation) -> String {
        let failed = || format!("failed expression: {}", validation.expression.source.trim());
        let said = validation.message.clone().unwrap_or_else(failed);
        let remedy = validation.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        let line = format!("{}: {said}{remedy}", self.rule.name);
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The variable that says whether an update only finalizes an object.
const WINDS_DOWN: &str = "windsDown";

/// Whether an update of an object that is being deleted changes nothing but its finalizers, as CEL; follows
/// `ratchet::winds_down` of the decision. `dyn`, since the members of an object with a known type cannot be
/// listed.
fn winds_down() -> String {
    let same = |of: &str, left_out: &[&str]| {
        let (new, old) = (format!("dyn(object{of})"), format!("dyn(oldObject{of})"));
        let left_out = selector::cel_list(left_out.iter().copied());
        format!(
            "{new}.all(k, k in {left_out} || (k in {old} && {new}[k] == {old}[k])) && {old}.all(k, k in {left_out} || k in {new})"
        )
    };
    format!(
        "request.operation == 'UPDATE' && has(oldObject.metadata.deletionTimestamp) && {} && {}",
        same("", &["metadata"]),
        same(".metadata", &WRITTEN_WHEN_FINALIZED)
    )
}

/// Whether an exception names the object, as CEL. The API server's policies have no clock, so the caller
/// leaves out expired exceptions and emits again when one expires.
fn excepted(exceptions: &[&Exception], rule: &AdmissionRule) -> Option<String> {
    if !rule.exceptable {
        return None;
    }
    let name = "(object == null ? request.name : object.metadata.?name.orValue(request.name))";
    let one = |object: &Excepted| {
        let (is, text) = (selector::cel_string, &object.name);
        let named = if object.prefix {
            format!("{name}.startsWith({})", is(text))
        } else {
            format!("{name} == {}", is(text))
        };
        format!(
            "request.resource.resource == {} && request.namespace == {} && {named}",
            is(&object.resource),
            is(&object.namespace)
        )
    };
    let objects = exceptions.iter().filter(|one| one.rule == rule.name).flat_map(|one| &one.objects);
    let terms: Vec<String> = objects.map(|object| format!("({})", one(object))).collect();
    (!terms.is_empty()).then(|| terms.join(" || "))
}

/// `expression` where all guards hold, otherwise `otherwise`. A guard that fails to evaluate fails the whole
/// expression, as a condition does.
fn guarded(guards: &[String], expression: &str, otherwise: &str) -> String {
    guards
        .iter()
        .rev()
        .fold(expression.to_owned(), |inner, guard| format!("({guard}\n) ? ({inner}\n) : {otherwise}"))
}
