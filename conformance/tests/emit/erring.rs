//! Random rules that deny and that some pods make fail (`failurePolicy: Fail`): an error denies on a real API
//! server and here, and neither takes it for a rule that holds or that is false.
//!
//! A refusal of an API server names one admission policy, so each pod names in a label the one rule that asks
//! about it. `BAILIWICK_SEED` gives other rules.

use std::collections::BTreeMap;

use bailiwick_conformance::api::Api;
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;
use bailiwick_policy::admission::{AdmissionRequest, ManifestContext, Namespaces, Phase, Reviewer};
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Policy;
use serde_json::{Value, json};

use crate::cluster::install;
use crate::generated::{DEPTH, Dice, expressible, pods};
use crate::policies::{DIGEST, labels};
use crate::shared;

/// Rules that at least one pod makes fail, and at least one does not.
const RULES: usize = 40;
/// Most candidates for them, and how many are judged as one policy.
const MOST: usize = 3_000;
const TOGETHER: usize = 50;
/// Pods about which each rule is asked, besides the first that makes it fail.
const PODS: usize = 50;
const NAMESPACE: &str = "erring";
/// The label that names the rule.
const ASKS: &str = "asks";

/// What comes of one rule over one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Holds,
    IsFalse,
    Fails,
}

/// The policy with those rules that the API server's CEL can express, each over the pods that name it.
fn policy(expressions: &[(String, String)]) -> Policy {
    expressible("dddddddddddddddd", NAMESPACE, expressions, |rule| {
        rule.matches.object_selector = Some(labels(&[(ASKS, &rule.name)]));
    })
}

fn reviewer(policy: &Policy) -> Reviewer {
    let zone = BTreeMap::from([("bailiwick.dev/zone".to_owned(), NAMESPACE.to_owned())]);
    let namespaces = Namespaces::new(BTreeMap::from([(NAMESPACE.to_owned(), zone)]));
    let bundle = Bundle { policy: policy.clone(), digest: DIGEST.to_owned() };
    Reviewer::new(vec![bundle], namespaces).unwrap()
}

/// The pod in the namespace, asking this rule.
fn asking(pod: &Value, rule: &str) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["namespace"] = json!(NAMESPACE);
    pod["metadata"]["labels"][ASKS] = json!(rule);
    pod
}

fn ours(reviewer: &Reviewer, pod: &Value) -> Came {
    let request = AdmissionRequest::from_manifest(Json::from(pod), ManifestContext::default()).unwrap();
    let decision = reviewer.review(&request, Phase::Validate);
    match decision.findings.first() {
        None => {
            assert!(decision.allowed, "nothing is found and it is denied: {pod}");
            Came::Holds
        }
        Some(finding) => {
            assert!(!decision.allowed, "`{}` is found and it is allowed: {pod}", finding.message);
            if finding.message == finding.rule { Came::IsFalse } else { Came::Fails }
        }
    }
}

/// `None`: the pod is invalid.
fn theirs(api: &Api, rule: &str, pod: &Value) -> Option<Came> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
    let (status, body) = api.ask("POST", &path, "application/json", &pod.to_string()).unwrap();
    let message = body["message"].as_str().unwrap_or_default();
    let ends = |end: &str| message.ends_with(end);
    match status {
        201 => Some(Came::Holds),
        _ if !message.contains("ValidatingAdmissionPolicy") => None,
        _ if ends(&format!("denied request: {rule}: {rule}")) => Some(Came::IsFalse),
        _ => {
            assert!(
                message.contains("resulted in error") || message.contains("evaluation error"),
                "{message}"
            );
            Some(Came::Fails)
        }
    }
}

/// Rules that some of the pods make fail, and not all.
fn erring(pods: &[Value]) -> Policy {
    let mut dice = Dice::seeded();
    let (mut found, mut made) = (Vec::new(), 0);
    while found.len() < RULES && made < MOST {
        let mut expressions = Vec::new();
        while expressions.len() < TOGETHER {
            let expression = dice.expression('B', DEPTH);
            if expression.contains("object") || expression.contains("pod.") {
                expressions.push((format!("g{made:04}"), expression));
                made += 1;
            }
        }
        let policy = policy(&expressions);
        let reviewer = reviewer(&policy);
        expressions.retain(|(name, _)| {
            let is_carried = policy.admission.rules.iter().any(|rule| rule.name == *name);
            let came = |pod: &Value| ours(&reviewer, &asking(pod, name));
            let sample = || pods.iter().step_by(25).map(came).collect::<Vec<Came>>();
            is_carried && {
                let sample = sample();
                sample.contains(&Came::Fails) && sample.iter().any(|came| *came != Came::Fails)
            }
        });
        found.append(&mut expressions);
    }
    found.truncate(RULES);
    assert_eq!(found.len(), RULES, "too few rules fail for some pods only");
    policy(&found)
}

#[test]
fn a_rule_that_cannot_be_evaluated_denies_here_and_on_the_api_server() {
    let Some(pods) = pods() else { return };
    let policy = erring(&pods);
    let cluster = shared();
    let guest = Guest::of(&cluster);
    let api = cluster.api().unwrap();
    let zone = BTreeMap::from([("bailiwick.dev/zone".to_owned(), NAMESPACE.to_owned())]);
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": zone}});
    guest.bring(&["apply", "--server-side"], &object.to_string()).unwrap();
    cluster.await_namespace(NAMESPACE).unwrap();
    install(&guest, &policy);
    let reviewer = reviewer(&policy);
    let (mut counts, mut wrong) = ([0_usize; 3], Vec::new());
    for rule in &policy.admission.rules {
        let fails = |pod: &&Value| ours(&reviewer, &asking(pod, &rule.name)) == Came::Fails;
        let first = pods.iter().find(fails).unwrap();
        until("the rule is in force", || {
            (theirs(&api, &rule.name, &asking(first, &rule.name)) != Some(Came::Holds)).then_some(())
        })
        .unwrap();
        for pod in pods.iter().step_by(pods.len() / PODS).chain([first]) {
            let pod = asking(pod, &rule.name);
            let Some(theirs) = theirs(&api, &rule.name, &pod) else { continue };
            let ours = ours(&reviewer, &pod);
            counts[ours as usize] += 1;
            if ours != theirs {
                let source = &rule.validations[0].expression.source;
                wrong.push(format!("`{source}`: {ours:?} here and {theirs:?} there: {pod}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    let [hold, are_false, fail] = counts;
    eprintln!("{RULES} rules: {hold} hold, {are_false} are false, {fail} fail");
    assert!(hold >= 50 && are_false >= 50 && fail >= 200, "{hold} hold, {are_false} are false, {fail} fail");
}
