//! The floor: ValidatingAdmissionPolicies that the API server evaluates itself, so that they hold while the
//! webhook is down.
//!
//! There is one policy for each action and match set, so that the API server matches each object against few
//! of them. Subject namespaces are a selector of the policy; subject pods are a match condition. An object
//! selector would match the old or the new object, at the API server's discretion; a condition says exactly
//! what is meant.
//!
//! **UPDATE.** The webhook compares a violation's path with the old object and allows an existing violation
//! with a warning. CEL in the API server has no paths, so here a check that the old object already failed is
//! skipped, if it was judged (see [`ratchet`]). On CREATE, the floor gives the webhook's verdict. On UPDATE it
//! may allow what the webhook denies: a second fault of a kind that the object had before. It denies what the webhook allows in two cases only: a
//! label on the binding of a pod to a node (`closed`), and finalizers that are removed from an object that is
//! being deleted, where a rule reads nothing but that object and requires them.
//!
//! Not here: mutations, and pod templates of workload kinds. The pods made from templates are judged when
//! they are created.

mod authored;
mod closed;
mod images;
pub(super) mod own;
mod pod_security;
mod ratchet;
mod sections;
mod split;
mod status;
mod uses;

pub(crate) use authored::excepted_length;

use std::collections::BTreeMap;

use bailiwick_policy::policy::{Action, LabelSelector, Origin, ResourceRule};
use k8s_openapi::api::admissionregistration::v1::{
    AuditAnnotation, MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
    Validation, Variable,
};

use super::artifact::{Artifact, Target, sha256};
use super::cell::Cell;
use super::manifest::Documents;
use super::{EmitError, Enforcement, selector};

pub(super) use closed::{Members, closed};

/// How much of one statement the floor enforces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) enforcement: Enforcement,
    /// Why it is not all; empty for `Full`.
    pub(super) note: String,
}

impl Standing {
    pub(super) const fn full() -> Self {
        Self { enforcement: Enforcement::Full, note: String::new() }
    }

    pub(super) fn partial(note: &str) -> Self {
        Self { enforcement: Enforcement::Partial, note: note.to_owned() }
    }

    pub(super) fn none(note: &str) -> Self {
        Self { enforcement: Enforcement::None, note: note.to_owned() }
    }
}

/// The file, and how much of each statement (see [`super::statements`]) the floor enforces.
pub(super) struct Emitted {
    pub(super) artifact: Option<Artifact>,
    pub(super) standing: BTreeMap<String, Standing>,
}

/// One validation of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    expression: String,
    message: String,
    message_expression: Option<String>,
    reason: String,
}

/// What one statement contributes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FloorRule {
    action: Action,
    matches: MatchSet,
    /// Name and expression, each before its first use.
    variables: Vec<(String, String)>,
    checks: Vec<Check>,
    audit: Vec<(String, String)>,
    from: Vec<Origin>,
}

impl FloorRule {
    /// Whether an expression may use the variable. Compares text, so it may answer yes once too often.
    fn mentions(&self, variable: &str) -> bool {
        let name = format!("variables.{variable}");
        let checks = self
            .checks
            .iter()
            .flat_map(|check| std::iter::once(&check.expression).chain(&check.message_expression));
        let others = self.variables.iter().chain(&self.audit).map(|(_, expression)| expression);
        checks.chain(others).any(|expression| expression.contains(&name))
    }
}

/// The requests that a policy applies to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MatchSet {
    resources: Vec<ResourceRule>,
    exclude: Vec<ResourceRule>,
    namespaces: LabelSelector,
    objects: Option<LabelSelector>,
    /// Name and expression.
    conditions: Vec<(String, String)>,
}

impl MatchSet {
    /// A short name that changes whenever the match set does.
    fn hash(&self) -> Result<String, EmitError> {
        let parts = (&self.resources, &self.exclude, &self.namespaces, &self.objects, &self.conditions);
        let error = |error| EmitError::Json { path: PATH.to_owned(), error };
        Ok(sha256(&serde_json::to_vec(&parts).map_err(error)?).chars().take(8).collect())
    }
}

const PATH: &str = "kubernetes/admission-policies.yaml";

pub(super) fn emit(cell: &Cell<'_>) -> Result<Emitted, EmitError> {
    let Admission { pairs, from, standing } = admission(cell, |action| action)?;
    let mut documents = Documents::new(PATH);
    for (policy, binding) in &pairs {
        documents.push(policy)?;
        documents.push(binding)?;
    }
    let from = cell.fields(&from)?;
    let artifact = documents.bytes().map(|bytes| Artifact { bytes, target: Target::AdmissionPolicy, from });
    Ok(Emitted { artifact, standing })
}

/// The policies of the floor, each with its binding.
pub(super) struct Admission {
    pub(super) pairs: Vec<(ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding)>,
    pub(super) from: Vec<Origin>,
    standing: BTreeMap<String, Standing>,
}

/// The floor of a policy; `stage` maps each action to the one that applies while the policy is not enforced
/// yet.
pub(super) fn admission(cell: &Cell<'_>, stage: impl Fn(Action) -> Action) -> Result<Admission, EmitError> {
    let mut standing = BTreeMap::new();
    let mut groups: BTreeMap<(Action, MatchSet), Vec<FloorRule>> = BTreeMap::new();
    for (statement, rule, holds) in sections::rules(cell).into_iter().chain(authored::rules(cell)?) {
        standing.insert(statement, holds);
        if let Some(rule) = rule {
            groups.entry((stage(rule.action), rule.matches.clone())).or_default().push(rule);
        }
    }
    let mut from: Vec<Origin> = cell.policy.subject.iter().flat_map(|s| s.from.clone()).collect();
    let mut pairs = Vec::with_capacity(groups.len());
    for ((action, matches), rules) in &groups {
        for (at, part) in split::parts(rules).iter().enumerate() {
            let number = if at == 0 { String::new() } else { format!("-{}", at + 1) };
            let name = cell.name(&format!("{}-{}{number}", action_name(*action), matches.hash()?));
            pairs.push((policy(cell, name.clone(), matches, part), binding(cell, name, *action)));
        }
        from.extend(rules.iter().flat_map(|rule| rule.from.clone()));
    }
    Ok(Admission { pairs, from, standing })
}

const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Deny => "deny",
        Action::Warn => "warn",
        Action::Audit => "audit",
    }
}

fn policy(
    cell: &Cell<'_>,
    name: String,
    matches: &MatchSet,
    rules: &[FloorRule],
) -> ValidatingAdmissionPolicy {
    let mut variables: Vec<Variable> = Vec::new();
    for (name, expression) in rules.iter().flat_map(|rule| &rule.variables) {
        let used = rules.iter().any(|rule| rule.mentions(name));
        if used && !variables.iter().any(|variable| &variable.name == name) {
            variables.push(Variable { name: name.clone(), expression: expression.clone() });
        }
    }
    let validations: Vec<_> = rules
        .iter()
        .flat_map(|rule| &rule.checks)
        .map(|check| Validation {
            expression: check.expression.clone(),
            message: Some(check.message.clone()),
            message_expression: check.message_expression.clone(),
            reason: Some(check.reason.clone()),
        })
        .collect();
    let annotations: Vec<_> = rules
        .iter()
        .flat_map(|rule| &rule.audit)
        .map(|(key, expression)| AuditAnnotation { key: key.clone(), value_expression: expression.clone() })
        .collect();
    let conditions: Vec<_> = matches
        .conditions
        .iter()
        .map(|(name, expression)| MatchCondition { name: name.clone(), expression: expression.clone() })
        .collect();
    ValidatingAdmissionPolicy {
        metadata: cell.metadata(name),
        spec: Some(ValidatingAdmissionPolicySpec {
            audit_annotations: (!annotations.is_empty()).then_some(annotations),
            failure_policy: Some("Fail".to_owned()),
            match_conditions: (!conditions.is_empty()).then_some(conditions),
            match_constraints: Some(MatchResources {
                exclude_resource_rules: named(&matches.exclude),
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(selector::kubernetes(&matches.namespaces)),
                object_selector: matches.objects.as_ref().map(selector::kubernetes),
                resource_rules: named(&matches.resources),
            }),
            param_kind: None,
            validations: (!validations.is_empty()).then_some(validations),
            variables: (!variables.is_empty()).then_some(variables),
        }),
        status: None,
    }
}

fn named(rules: &[ResourceRule]) -> Option<Vec<NamedRuleWithOperations>> {
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| NamedRuleWithOperations {
            api_groups: Some(rule.api_groups.clone()),
            api_versions: Some(rule.api_versions.clone()),
            operations: Some(rule.operations.clone()),
            resource_names: None,
            resources: Some(rule.resources.clone()),
            scope: None,
        })
        .collect();
    (!rules.is_empty()).then_some(rules)
}

fn binding(cell: &Cell<'_>, name: String, action: Action) -> ValidatingAdmissionPolicyBinding {
    let actions: &[&str] = match action {
        Action::Deny => &["Deny"],
        Action::Warn => &["Warn"],
        Action::Audit => &["Audit"],
    };
    ValidatingAdmissionPolicyBinding {
        metadata: cell.metadata(name.clone()),
        spec: ValidatingAdmissionPolicyBindingSpec {
            match_resources: None,
            param_ref: None,
            policy_name: name,
            validation_actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        },
    }
}

/// The labels of `object` as a CEL map.
fn labels_of(object: &str) -> String {
    format!("{object}.metadata.?labels.orValue({{}})")
}

/// The match condition that an object is governed, before or after the change. `None`: every object is.
fn governed(pods: &LabelSelector) -> Option<(String, String)> {
    if pods == &LabelSelector::default() {
        return None;
    }
    let new = selector::cel(pods, &labels_of("object"));
    let old = selector::cel(pods, &labels_of("oldObject"));
    let expression = format!("(object != null && ({new})) || (oldObject != null && ({old}))");
    Some(("governed-pods".to_owned(), expression))
}

/// The variables that hold a pod's containers; each is computed only if an expression uses it.
fn container_variables() -> Vec<(String, String)> {
    let old = |containers: String| format!("oldObject == null ? [] : ({containers})");
    vec![
        ("containers".to_owned(), all_containers("object")),
        ("mainContainers".to_owned(), main_containers("object")),
        ("oldContainers".to_owned(), old(all_containers("oldObject"))),
        ("oldMainContainers".to_owned(), old(main_containers("oldObject"))),
    ]
}

/// A pod's init and regular containers.
fn main_containers(pod: &str) -> String {
    format!("{pod}.spec.?initContainers.orValue([]) + {pod}.spec.?containers.orValue([])")
}

/// A pod's init, regular and ephemeral containers.
fn all_containers(pod: &str) -> String {
    format!("{} + {pod}.spec.?ephemeralContainers.orValue([])", main_containers(pod))
}
