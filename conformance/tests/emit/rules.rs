//! A policy of authored rules that use what the API server expresses differently: parameters, variables,
//! containers, conditions.

use std::sync::Arc;

use bailiwick_compiler::cel::{Context, Interner, Parameter, PodAccess, Type, compile, compile_variable};
use bailiwick_compiler::emit::{EmitOptions, Enforcement, artifacts};
use bailiwick_policy::ir::{Cel, Const};
use bailiwick_policy::policy::{
    Action, Admission, AdmissionRule, LabelOperator, Match, Policy, ResourceRule, Unmatched, Validation,
};
use serde_json::{Value, json};

use crate::policies::{bare, digest, expression, labels, origin};

/// Compiles the expressions of one rule.
pub(crate) struct Author {
    context: Context,
    interner: Interner,
    variables: Vec<(String, u32)>,
}

impl Author {
    /// Of rules over pods, without parameters.
    pub(crate) fn new() -> Self {
        Self::of("Pod")
    }

    /// Of rules over objects of the core group.
    pub(crate) fn of(kind: &str) -> Self {
        let mut context = Context::admission(Type::of_kind("", "v1", kind));
        if kind == "Pod" {
            context.pod = PodAccess::Available;
        }
        Self { context, interner: Interner::default(), variables: Vec::new() }
    }

    pub(crate) fn into_parts(self) -> (Vec<Cel>, Vec<String>) {
        self.interner.into_parts()
    }

    fn cel(&mut self, source: &str, of: Type) -> Cel {
        compile(source, &self.context.expecting(of), &mut self.interner).unwrap().0
    }

    pub(crate) fn condition(&mut self, rule: &mut AdmissionRule, name: &str, source: &str) {
        let cel = self.cel(source, Type::Bool);
        rule.matches.conditions.push((name.to_owned(), cel));
    }

    pub(crate) fn annotation(&mut self, rule: &mut AdmissionRule, key: &str, source: &str) {
        let cel = self.cel(source, Type::String);
        rule.audit_annotations.push((key.to_owned(), cel));
    }

    pub(crate) fn variable(&mut self, name: &str, source: &str) {
        let index = compile_variable(name, source, &mut self.context, &mut self.interner).unwrap();
        self.variables.push((name.to_owned(), index));
    }

    pub(crate) fn rule(
        &mut self,
        name: &str,
        operations: &[&str],
        validation: &str,
        message: &str,
    ) -> AdmissionRule {
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let resources = vec![ResourceRule {
            api_groups: owned(&[""]),
            api_versions: owned(&["v1"]),
            resources: owned(&["pods"]),
            operations: owned(operations),
        }];
        AdmissionRule {
            name: name.to_owned(),
            origin: origin(&format!("spec.admission.rules[{name}]")),
            matches: Match { resources, ..Match::default() },
            pod_templates: true,
            variables: std::mem::take(&mut self.variables),
            validations: vec![Validation {
                expression: self.cel(validation, Type::Bool),
                message: Some(message.to_owned()),
                message_expression: None,
                reason: "Forbidden".to_owned(),
                remedy: None,
            }],
            mutations: Vec::new(),
            audit_annotations: Vec::new(),
            action: Action::Deny,
            exceptable: false,
            rego: None,
        }
    }
}

/// The policy, over pods with the label `ruled`.
pub(crate) fn policy() -> Policy {
    let mut policy = bare();
    policy.cell = "ffffffffffffffff".to_owned();
    let subject = policy.subject.as_mut().unwrap();
    subject.unmatched = Unmatched::Allow;
    subject.exclusive = false;
    subject.pods = vec![expression("ruled", LabelOperator::Exists, &[])];
    let teams = Const::List(["red", "it's \"blue\""].map(|team| Const::Str(team.to_owned())).into());
    policy.packs[0].parameters = Const::Map(vec![(Const::Str("teams".to_owned()), teams.clone())]);

    let mut author = Author::new();
    author.context.params =
        Arc::new([("teams".to_owned(), Parameter { of: Type::list(Type::String), value: teams })].into());
    author.context.pack = Arc::new(("sample".to_owned(), "1.2.3".to_owned()));
    let written = &["CREATE", "UPDATE"];

    let mut memory = author.rule(
        "memory-limits",
        written,
        "pod.mainContainers.all(c, 'memory' in c.?resources.?limits.orValue({}))",
        "set a memory limit",
    );
    memory.validations[0].message_expression = Some(author.cel(
        "'no memory limit: ' + pod.mainContainers.filter(c, !('memory' in c.?resources.?limits.orValue({}))).map(c, c.name).join(', ')",
        Type::String,
    ));
    author.variable("team", "object.metadata.?annotations[?'team'].orValue('none')");
    author.variable("known", "variables.team in params.teams");
    let mut team = author.rule("team", written, "variables.known", "the team is not known");
    team.validations[0].message_expression = Some(author.cel("'team is ' + variables.team", Type::String));
    author.variable("team", "object.metadata.?labels[?'exempt'].orValue('no')");
    let mut conditions =
        author.rule("conditions", written, "object.spec.?priorityClassName.orValue('') == ''", "no priority");
    conditions.matches.conditions = vec![
        ("named".to_owned(), author.cel("pod.allContainers.exists(c, c.name == 'main')", Type::Bool)),
        ("not-exempt".to_owned(), author.cel("variables.team == 'no'", Type::Bool)),
        (
            "zone".to_owned(),
            author.cel("namespaceObject.metadata.labels['bailiwick.dev/zone'] == 'agents'", Type::Bool),
        ),
    ];
    let fixed = author.rule(
        "fixed-annotation",
        &["UPDATE"],
        "object.metadata.?annotations[?'fixed'] == oldObject.metadata.?annotations[?'fixed']",
        "the annotation may not change",
    );
    let mut selected =
        author.rule("selected", written, "has(object.spec.activeDeadlineSeconds)", "set a deadline");
    selected.matches.object_selector = Some(labels(&[("deadline", "yes")]));
    let (shared, regexes) = author.interner.into_parts();
    policy.admission = Admission {
        shared,
        regexes,
        rules: vec![memory, team, conditions, fixed, selected],
        ..Admission::default()
    };
    policy
}

/// A pod that every rule allows, except for its annotations.
pub(crate) fn pod(annotations: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"labels": {"ruled": "yes"}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "x", "resources": {"limits": {"memory": "1Gi"}}}]}
    })
}

/// Pods that the rules distinguish.
pub(crate) fn pods() -> Vec<Value> {
    let mut pods = Vec::new();
    for team in ["red", "it's \"blue\"", "green", "none", ""] {
        for labels in [
            json!({"ruled": "yes"}),
            json!({"ruled": "yes", "exempt": "yes"}),
            json!({}),
            json!({"ruled": "", "deadline": "yes"}),
        ] {
            for limits in [json!({}), json!({"memory": "1"}), json!({"cpu": "1"})] {
                let mut pod = pod(json!({"team": team}));
                pod["metadata"]["labels"] = labels.clone();
                pod["spec"]["containers"][0]["resources"]["limits"] = limits.clone();
                pods.push(pod.clone());
                pod["spec"]["priorityClassName"] = json!("system-cluster-critical");
                pods.push(pod.clone());
                pod["spec"]["containers"][0]["name"] = json!("other");
                pods.push(pod.clone());
                pod["spec"]["activeDeadlineSeconds"] = json!(60);
                pod["spec"]["initContainers"] =
                    json!([{"name": "main", "image": "x", "resources": {"limits": {"memory": "1"}}}]);
                pods.push(pod);
            }
        }
    }
    pods
}

#[test]
fn every_rule_has_a_floor_and_one_that_the_api_server_cannot_express_is_named() {
    let mut policy = policy();
    let report =
        |policy: &Policy| artifacts(policy, &digest(policy), &EmitOptions::default()).unwrap().report;
    let floors: Vec<_> = report(&policy)
        .statements
        .into_iter()
        .filter(|statement| statement.id.starts_with("admission/"))
        .map(|statement| (statement.id, statement.floor))
        .collect();
    assert_eq!(floors.len(), 5);
    assert!(floors.iter().all(|(_, floor)| *floor == Enforcement::Full), "{floors:?}");

    let mut interner = Interner::default();
    let context = Context::admission(Type::Dyn).expecting(Type::Bool);
    let ours = "!isPrivate(object.status.podIP)";
    policy.admission.rules[0].validations[0].expression = compile(ours, &context, &mut interner).unwrap().0;
    policy.admission.rules[0].validations[0].message_expression = None;
    let report = report(&policy);
    let statement =
        report.statements.iter().find(|statement| statement.id.ends_with("/memory-limits")).unwrap();
    assert_eq!((statement.floor, statement.enforced), (Enforcement::None, Enforcement::Full));
    let floor = statement.layers.iter().find(|layer| layer.layer == "admissionPolicy").unwrap();
    assert!(floor.note.contains("isPrivate"), "{}", floor.note);
}

/// A rule whose condition reads the request may not have been evaluated when the object was created, so a
/// violation in the old object excuses nothing.
#[test]
fn the_floor_excuses_nothing_that_a_condition_over_the_request_may_have_kept_out() {
    let floor = |condition: &str| {
        let mut author = Author::new();
        let mut rule = author.rule("rule", &["CREATE", "UPDATE"], "has(object.spec.hostname)", "name it");
        rule.matches.conditions = vec![("when".to_owned(), author.cel(condition, Type::Bool))];
        let (shared, regexes) = author.into_parts();
        let mut policy = policy();
        policy.admission = Admission { shared, regexes, rules: vec![rule], ..Admission::default() };
        let artifacts = artifacts(&policy, &digest(&policy), &EmitOptions::default()).unwrap();
        let bytes = &artifacts.files["kubernetes/admission-policies.yaml"].bytes;
        let text = String::from_utf8(bytes.clone()).unwrap();
        let validation = text.split("has(object.spec.hostname)").nth(1).expect("the validation");
        validation.lines().take(4).collect::<String>()
    };
    let excuse = "!(has(oldObject.spec.hostname)";
    assert!(
        floor("object.metadata.name != 'x'").contains(excuse),
        "{}",
        floor("object.metadata.name != 'x'")
    );
    for foreign in ["request.userInfo.username == 'ci'", "oldObject == null || object.spec != oldObject.spec"]
    {
        let said = floor(foreign);
        assert!(!said.contains(excuse) && said.contains("variables.windsDown"), "{said}");
    }
}
