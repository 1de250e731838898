//! Rules with more conditions and annotations than the API server takes in one policy.

use std::collections::BTreeSet;

use bailiwick_compiler::cluster::exceptions;
use bailiwick_compiler::emit::{EmitOptions, artifacts};
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;
use bailiwick_crds::binding::PolicyException;
use bailiwick_policy::admission::Moment;
use bailiwick_policy::policy::{Admission, Policy, Unmatched};
use serde_json::json;

use crate::cluster::{install, install_with};
use crate::policies::{bare, digest, labels};
use crate::rules::Author;
use crate::shared;

const NAMESPACE: &str = "limits";

/// More than the 64 that a policy may have, with the one over the subject's pods.
const CONDITIONS: usize = 70;

/// Rules over pods: one with many conditions, the others with many annotations.
fn policy() -> Policy {
    let mut policy = bare();
    policy.cell = "11111111aaaaaaaa".to_owned();
    let subject = policy.subject.as_mut().unwrap();
    subject.namespaces = vec![labels(&[("bailiwick.dev/zone", NAMESPACE)])];
    subject.pods = vec![labels(&[("app", "agent")])];
    subject.unmatched = Unmatched::Allow;
    subject.exclusive = false;
    let mut author = Author::new();
    let mut rules = Vec::new();
    let mut many = author.rule("conditions", &["CREATE", "UPDATE"], "has(object.spec.hostname)", "name it");
    for at in 0..CONDITIONS {
        let condition = format!("object.metadata.?labels[?'off'].orValue('') != 'c{at}'");
        author.condition(&mut many, &format!("c{at}"), &condition);
    }
    // Beside conditions that are computed in the policy.
    author.annotation(&mut many, "named", "object.metadata.name");
    rules.push(many);
    for (name, annotations) in [("one", 9), ("two", 9), ("three", 9), ("four", 45)] {
        let mut rule = author.rule(name, &["CREATE"], "object.spec.?subdomain.orValue('') != 'x'", "not x");
        // A reason that the API server documents and refuses.
        rule.validations[0].reason = "Unauthorized".to_owned();
        for at in 0..annotations {
            author.annotation(&mut rule, &format!("a{at}"), "object.metadata.name");
        }
        rules.push(rule);
    }
    let (shared, regexes) = author.into_parts();
    policy.admission = Admission { shared, regexes, rules, ..Admission::default() };
    policy
}

#[test]
fn no_policy_has_more_conditions_and_annotations_than_the_api_server_takes() {
    let policy = policy();
    let emitted = artifacts(&policy, &digest(&policy), &EmitOptions::default()).unwrap();
    let bytes = &emitted.files["kubernetes/admission-policies.yaml"].bytes;
    let text = std::str::from_utf8(bytes).unwrap();
    let (mut names, mut keys, mut conditions) = (BTreeSet::new(), BTreeSet::new(), 0);
    let of_rules = |one: &&str| {
        one.contains("kind: ValidatingAdmissionPolicy\n")
            && (one.contains("name it") || one.contains("- key: p0-"))
    };
    for document in text.split("---\n").filter(of_rules) {
        let lines = || document.lines().map(str::trim);
        let name = lines().find_map(|line| line.strip_prefix("name: bailiwick-")).unwrap();
        assert!(names.insert(name.to_owned()), "{name} twice");
        let own: Vec<&str> = lines().filter_map(|line| line.strip_prefix("- key: p0-")).collect();
        assert!(own.len() <= 20, "{name}: {} annotations", own.len());
        keys.extend(own.into_iter().map(str::to_owned));
        let (_, matched) = document.split_once("matchConditions:").unwrap_or_default();
        let (matched, _) = matched.split_once("matchConstraints:").unwrap_or_default();
        let own = matched.matches("- expression: ").count();
        assert!(own <= 64, "{name}: {own} conditions");
        conditions = conditions.max(own);
    }
    assert_eq!((names.len(), keys.len(), conditions), (6, 73, 64), "{text}");
    assert_eq!(text.matches(&format!("'c{}'", CONDITIONS - 1)).count(), 2, "the last condition is lost");
}

#[test]
fn the_api_server_takes_policies_of_many_conditions_and_annotations() {
    let cluster = shared();
    let guest = Guest::of(&cluster);
    let zone = json!({"bailiwick.dev/zone": NAMESPACE});
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": zone}});
    guest.bring(&["apply", "--server-side"], &object.to_string()).unwrap();
    cluster.await_namespace(NAMESPACE).unwrap();
    install(&guest, &policy());
    let api = cluster.api().unwrap();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
    let allowed = |off: &str| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": "agent", "off": off}},
            "spec": {"containers": [{"name": "main", "image": "x"}]}
        });
        let (status, body) = api.ask("POST", &path, "application/json", &pod.to_string()).unwrap();
        let refused = body["message"].as_str().unwrap_or_default().contains("conditions: name it");
        assert!(status == 201 || refused, "{off}: {body}");
        status == 201
    };
    until("the rules are in force", || (!allowed("")).then_some(())).unwrap();
    for at in [0, 62, 63, CONDITIONS - 1] {
        assert!(allowed(&format!("c{at}")), "condition {at}");
    }
    assert!(!allowed(&format!("c{CONDITIONS}")));
}

const EXCEPTED: &str = "excepted";

/// Exceptions to both rules of [`exceptable`] for more objects than hold.
fn many() -> Vec<PolicyException> {
    let object = |at: usize| json!({ "resource": "pods", "namespace": EXCEPTED, "name": format!("{:x<240}-{at}", "") });
    let one = |at: usize| {
        json!({
            "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyException",
            "metadata": { "name": format!("e{at:03}"), "namespace": "policies", "creationTimestamp": "2030-01-01T00:00:00Z" },
            "spec": {
                "pack": "sample", "rule": if at.is_multiple_of(2) { "even" } else { "odd" }, "reason": "a test", "approver": "alice",
                "expires": "2030-01-11T00:00:00Z", "objects": (0..32).map(|of| object(at * 32 + of)).collect::<Vec<_>>(),
            },
        })
    };
    (0..40).map(|at| serde_json::from_value(one(at)).unwrap()).collect()
}

/// Two rules over pods with several validations each, that may be excepted.
fn exceptable() -> Policy {
    let mut policy = bare();
    policy.cell = "22222222aaaaaaaa".to_owned();
    let subject = policy.subject.as_mut().unwrap();
    subject.namespaces = vec![labels(&[("bailiwick.dev/zone", EXCEPTED)])];
    subject.pods = vec![labels(&[("app", "agent")])];
    subject.unmatched = Unmatched::Allow;
    subject.exclusive = false;
    let mut author = Author::new();
    let rules = ["even", "odd"].map(|name| {
        let field = if name == "even" { "hostname" } else { "subdomain" };
        let mut rule = author.rule(name, &["CREATE"], &format!("!has(object.spec.{field})"), "not that");
        rule.exceptable = true;
        rule.validations = vec![rule.validations[0].clone(); 8];
        rule
    });
    let (shared, regexes) = author.into_parts();
    policy.admission = Admission { shared, regexes, rules: rules.into(), ..Admission::default() };
    policy
}

#[test]
fn the_api_server_takes_as_many_exceptions_as_hold() {
    let objects = many();
    let objects: Vec<&PolicyException> = objects.iter().collect();
    let verdicts = exceptions(&objects, "policies", Moment(0));
    let holding: Vec<_> = verdicts.into_iter().filter_map(Result::ok).collect();
    assert!((4..40).contains(&holding.len()), "{}", holding.len());
    let cluster = shared();
    let guest = Guest::of(&cluster);
    let zone = json!({"bailiwick.dev/zone": EXCEPTED});
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": EXCEPTED, "labels": zone}});
    guest.bring(&["apply", "--server-side"], &object.to_string()).unwrap();
    cluster.await_namespace(EXCEPTED).unwrap();
    let last =
        holding.iter().rfind(|one| one.rule == "even").and_then(|one| one.objects.last()).unwrap().clone();
    install_with(&guest, &exceptable(), &EmitOptions { exceptions: holding, ..EmitOptions::default() });
    let api = cluster.api().unwrap();
    let path = format!("/api/v1/namespaces/{EXCEPTED}/pods?dryRun=All");
    let allowed = |name: &str, field: &str| {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "agent"}},
            "spec": {"containers": [{"name": "main", "image": "x"}]}
        });
        pod["spec"][field] = json!("x");
        let (status, body) = api.ask("POST", &path, "application/json", &pod.to_string()).unwrap();
        let refused = body["message"].as_str().unwrap_or_default().contains("not that");
        assert!(status == 201 || refused, "{name}: {body}");
        status == 201
    };
    until("the rules are in force", || (!allowed("other", "hostname")).then_some(())).unwrap();
    assert!(allowed(&last.name, "hostname"), "the last exception is lost");
    assert!(!allowed(&last.name, "subdomain"), "it is one of the other rule");
}
