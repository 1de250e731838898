//! Authored admission rules on the floor: their expressions in the CEL that the API server knows (see
//! [`crate::cel::ApiServer`]).
//!
//! A rule is carried over whole or not at all: a rule with one validation that the API server cannot express
//! has no floor. Variables get new names, `pPvI` for variable I of pack P and `pPoI` for the same over the
//! old object, since one admission policy holds the rules of several packs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_policy::admission::{Excepted, Exception, RuleReads, annotation_name};
use bailiwick_policy::ir::{Cel, Const};
use bailiwick_policy::policy::{AdmissionRule, LabelSelector, Validation};

use crate::cel::{ApiServer, CelError, Context, Parameter, ServerNames, Type};
use crate::emit::EmitError;
use crate::emit::cell::Cell;
use crate::emit::{selector, statements, webhooks};

use super::ratchet::{self, Created, Excuse, WINDS_DOWN};
use super::sections::Contribution;
use super::split::MAX_ANNOTATION;
use super::uses::Uses;
use super::{
    Check, FloorRule, MatchSet, Standing, all_containers, container_variables, governed, labels_of,
    main_containers, status,
};

/// A reason of a validation as the API server takes it: it refuses policies with any but three, whatever its
/// documentation says.
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/admissionregistration/validation/validation.go>,
/// `supportedValidationPolicyReason`
fn reason(authored: &str) -> &'static str {
    match authored {
        "Forbidden" | "Unauthorized" => "Forbidden",
        "RequestEntityTooLarge" => "RequestEntityTooLarge",
        _ => "Invalid",
    }
}

/// Match conditions that a policy may have, see [`super::split`].
const MAX_CONDITIONS: usize = 64;

/// Most characters of a conjunction: the API server accepts 100,000 in an expression, and an authored one has
/// at most 16,384.
const MAX_CONJUNCTION: usize = 64_000;

pub(super) fn rules(cell: &Cell<'_>) -> Result<Vec<Contribution>, EmitError> {
    let mut out = Vec::new();
    let reads = RuleReads::new(&cell.policy.admission);
    for (index, rule) in cell.policy.admission.rules.iter().enumerate() {
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
        let Some(matches) = match_set(cell, rule, &reads) else {
            out.push((statement, None, Standing::none("it matches nothing that the policy governs")));
            continue;
        };
        let pack = cell.policy.packs.get(usize::from(rule.origin.pack)).map(|pack| &pack.name);
        let exceptions: Vec<&Exception> =
            cell.options.exceptions.iter().filter(|one| Some(&one.pack) == pack).collect();
        match Carried::new(cell, (index, rule), &exceptions).rule(matches) {
            Ok((floor, standing)) => out.push((statement, Some(floor), standing)),
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
fn match_set(cell: &Cell<'_>, rule: &AdmissionRule, reads: &RuleReads) -> Option<MatchSet> {
    let pods = cell.pods()?;
    let mut namespaces = vec![cell.hooked_namespaces()?];
    namespaces.extend(rule.matches.namespace_selector.clone());
    let namespaces = selector::conjoin(&namespaces);
    if !selector::can_match(&namespaces) || !selector::can_match(&pods) {
        return None;
    }
    let mut resources = rule.matches.resources.clone();
    let mut conditions: Vec<_> =
        governed(&pods).into_iter().map(|(name, expression)| (name, of_pods(&expression))).collect();
    if status::leads_around(rule, reads, &pods) {
        resources.push(webhooks::status_rule());
        conditions.push(status::changes_metadata());
    }
    Some(MatchSet {
        resources,
        exclude: rule.matches.exclude_resources.clone(),
        namespaces,
        objects: rule.matches.object_selector.clone().filter(|objects| objects != &LabelSelector::default()),
        conditions,
    })
}

/// A condition of pods alone: objects other than pods are governed by their namespace alone.
fn of_pods(expression: &str) -> String {
    format!("request.kind.kind != 'Pod' || request.kind.group != '' || ({expression})")
}

/// One rule that is being carried over to the API server.
struct Carried<'a> {
    rule: &'a AdmissionRule,
    /// Its position in the policy.
    index: usize,
    /// The pods that the policy governs.
    pods: LabelSelector,
    shared: &'a [Cel],
    /// The exceptions that name this pack.
    exceptions: &'a [&'a Exception],
    authored: Context,
    /// New names of the variables, over the object and over the old object.
    names: BTreeMap<String, String>,
    old_names: BTreeMap<String, String>,
}

impl<'a> Carried<'a> {
    fn new(
        cell: &Cell<'a>,
        (index, rule): (usize, &'a AdmissionRule),
        exceptions: &'a [&'a Exception],
    ) -> Self {
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
            index,
            pods: cell.pods().unwrap_or_default(),
            shared: &cell.policy.admission.shared,
            exceptions,
            authored,
            names: named('v'),
            old_names: named('o'),
        }
    }

    fn rule(&self, mut matches: MatchSet) -> Result<(FloorRule, Standing), Vec<CelError>> {
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
        variables.push((WINDS_DOWN.to_owned(), ratchet::winds_down()));
        let excuse = self.excuse(&before, &mut variables)?;
        let guards = self.conditions(&server, &mut matches)?;
        let guards = conjunction(&format!("applies{}", self.index), &guards, &mut variables);
        // A variable, since all validations say the same of it.
        let excepted = excepted(self.exceptions, self.rule).map(|expression| {
            let name = format!("excepted{}", self.index);
            let used = format!("variables.{name}");
            variables.push((name, expression));
            used
        });
        let mut checks = Vec::with_capacity(self.rule.validations.len());
        for validation in &self.rule.validations {
            let mut check = self.check(validation, (&server, &before), &excuse)?;
            if let Some(excepted) = &excepted {
                check.expression = format!("{excepted} || ({}\n)", check.expression);
            }
            check.expression = guarded(&guards, &check.expression, "true");
            checks.push(check);
        }
        let (mut audit, mut left_out) = (Vec::new(), Vec::new());
        for (key, cel) in &self.rule.audit_annotations {
            let value = server.expression(&cel.source, &Type::String)?;
            let value = guarded(&guards, &value, "''");
            if value.len() <= MAX_ANNOTATION {
                audit.push((self.qualified(key), value));
            } else {
                left_out.push(format!("`{key}`"));
            }
        }
        let from = vec![self.rule.origin.clone()];
        let standing = if left_out.is_empty() {
            Standing::full()
        } else {
            Standing::partial(&format!(
                "the API server takes expressions of annotations of at most {MAX_ANNOTATION} bytes; only the webhook writes {}",
                left_out.join(", ")
            ))
        };
        Ok((FloorRule { action: self.rule.action, matches, variables, checks, audit, from }, standing))
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
            let is_full = matches.conditions.len() >= MAX_CONDITIONS;
            if is_full || Uses::of(&cel.expr, self.shared).beyond_conditions {
                guards.push(server.expression(&cel.source, &Type::Bool)?);
            } else {
                let text = inline.expression(&cel.source, &Type::Bool)?;
                matches.conditions.push((self.qualified(name), text));
            }
        }
        Ok(guards)
    }

    /// When a violation of the old object excuses one of the new. Adds the variables that say so.
    fn excuse(
        &self,
        before: &ApiServer<'_>,
        variables: &mut Vec<(String, String)>,
    ) -> Result<Excuse, Vec<CelError>> {
        let matches = &self.rule.matches;
        let created = ratchet::created(matches);
        let foreign = |(_, cel): &(String, Cel)| Uses::of(&cel.expr, self.shared).other_than_object;
        if created == Created::Never || matches.conditions.iter().any(foreign) {
            return Ok(Excuse::Never);
        }
        let always = created == Created::Always;
        let mut was = Vec::new();
        if let Some((variable, expression)) = ratchet::was_governed(&self.pods) {
            was.push(format!("variables.{variable}"));
            variables.push((variable, of_pods(&expression)));
        }
        let mut applied = Vec::new();
        if let Created::Where(expression) = created {
            applied.push(expression);
        }
        if let Some(objects) =
            matches.object_selector.as_ref().filter(|one| **one != LabelSelector::default())
        {
            applied.push(selector::cel(objects, &labels_of("oldObject")));
        }
        for (_, cel) in &matches.conditions {
            applied.push(before.expression(&cel.source, &Type::Bool)?);
        }
        was.extend(conjunction(&format!("applied{}", self.index), &applied, variables));
        Ok(Excuse::Before { was, always })
    }

    /// The validation, without the guards and exceptions that all of the rule's share.
    fn check(
        &self,
        validation: &Validation,
        (server, before): (&ApiServer<'_>, &ApiServer<'_>),
        excuse: &Excuse,
    ) -> Result<Check, Vec<CelError>> {
        let now = server.expression(&validation.expression.source, &Type::Bool)?;
        let uses = Uses::of(&validation.expression.expr, self.shared);
        // An expression that compares or depends on the request means nothing for the old object alone, and
        // one that reads nothing of the object is not excused by it.
        let excused = match excuse {
            Excuse::Before { was, .. } if uses.object && !uses.other_than_object => {
                let old = before.expression(&validation.expression.source, &Type::Bool)?;
                Some(format!("({} && !({old}\n))", ratchet::on_update(was)))
            }
            _ => None,
        };
        let winds_down = (excused.is_none() || !matches!(excuse, Excuse::Before { always: true, .. }))
            .then(|| format!("variables.{WINDS_DOWN}"));
        let terms: Vec<String> =
            [Some(format!("({now}\n)")), excused, winds_down].into_iter().flatten().collect();
        let expression = terms.join(" || ");
        let computed = validation.message_expression.as_ref();
        let message_expression =
            computed.map(|cel| server.expression(&cel.source, &Type::String)).transpose()?;
        Ok(Check {
            expression,
            message: self.message(validation),
            message_expression,
            reason: reason(&validation.reason).to_owned(),
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

/// Whether an exception names the object, as CEL. The API server's policies have no clock, so the caller
/// leaves out expired exceptions and emits again when one expires.
fn excepted(exceptions: &[&Exception], rule: &AdmissionRule) -> Option<String> {
    if !rule.exceptable {
        return None;
    }
    let objects = exceptions.iter().filter(|one| one.rule == rule.name).flat_map(|one| &one.objects);
    let terms: Vec<String> = objects.map(is_excepted).collect();
    (!terms.is_empty()).then(|| terms.join(OR))
}

const OR: &str = " || ";

fn is_excepted(object: &Excepted) -> String {
    let name = "(object == null ? request.name : object.metadata.?name.orValue(request.name))";
    let (is, text) = (selector::cel_string, &object.name);
    let named = if object.prefix {
        format!("{name}.startsWith({})", is(text))
    } else {
        format!("{name} == {}", is(text))
    };
    format!(
        "(request.resource.resource == {} && request.namespace == {} && {named})",
        is(&object.resource),
        is(&object.namespace)
    )
}

/// The characters that these objects add to the expression of their rule's exceptions.
pub(crate) fn excepted_length(objects: &[Excepted]) -> usize {
    objects.iter().map(|object| is_excepted(object).chars().count() + OR.len()).sum()
}

/// That all of the expressions hold, as variables: they are computed once for all validations, on a budget of
/// their own. Returns their uses.
fn conjunction(name: &str, all: &[String], variables: &mut Vec<(String, String)>) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for one in all {
        match parts.last_mut() {
            Some(part) if part.len() + one.len() < MAX_CONJUNCTION => {
                part.push_str(&format!(" && ({one}\n)"));
            }
            _ => parts.push(format!("({one}\n)")),
        }
    }
    let variable = |(at, part): (usize, String)| {
        let name = if at == 0 { name.to_owned() } else { format!("{name}n{at}") };
        let used = format!("variables.{name}");
        variables.push((name, part));
        used
    };
    parts.into_iter().enumerate().map(variable).collect()
}

/// `expression` where all guards hold, otherwise `otherwise`. A guard that fails to evaluate fails the whole
/// expression, as a condition does, unless another guard does not hold.
fn guarded(guards: &[String], expression: &str, otherwise: &str) -> String {
    if guards.is_empty() {
        return expression.to_owned();
    }
    format!("({}) ? ({expression}\n) : {otherwise}", guards.join(" && "))
}
