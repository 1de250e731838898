//! The emitted files as files: stable, listed, read back, with names that Kubernetes accepts.

use bailiwick_compiler::emit::{Artifacts, EmitOptions, Enforcement, WebhookClient, artifacts};
use bailiwick_policy::bundle;
use bailiwick_policy::policy::{LabelOperator, Policy, Unmatched};
use serde_json::Value;

use crate::policies::{bare, digest, expression, full, labels, rule};

pub(crate) fn emitted(policy: &Policy) -> Artifacts {
    artifacts(policy, &digest(policy), &EmitOptions::default()).unwrap()
}

/// The documents of a YAML file.
pub(crate) fn documents(artifacts: &Artifacts, path: &str) -> Vec<Value> {
    let Some(file) = artifacts.files.get(path) else { return Vec::new() };
    let text = std::str::from_utf8(&file.bytes).unwrap();
    text.split("---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn manifests(artifacts: &Artifacts) -> Vec<(String, Value)> {
    let paths = artifacts.files.keys().filter(|path| path.ends_with(".yaml"));
    paths
        .flat_map(|path| documents(artifacts, path).into_iter().map(move |document| (path.clone(), document)))
        .collect()
}

#[test]
fn another_bundles_digest_is_refused() {
    assert!(artifacts(&full(), &digest(&bare()), &EmitOptions::default()).is_err());
}

#[test]
fn the_same_policy_gives_the_same_bytes() {
    assert_eq!(emitted(&full()), emitted(&full()));
}

#[test]
fn the_bundle_is_the_policy() {
    let loaded = bundle::load(&emitted(&full()).files["bundle.json"].bytes).unwrap();
    assert_eq!(loaded.policy, full());
}

#[test]
fn every_file_is_listed_with_its_hash_and_its_origin() {
    let artifacts = emitted(&full());
    let list: Value = serde_json::from_slice(&artifacts.files["artifacts.json"].bytes).unwrap();
    let listed: Vec<&str> =
        list["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    let others: Vec<&str> =
        artifacts.files.keys().map(String::as_str).filter(|path| *path != "artifacts.json").collect();
    assert_eq!(listed, others);
    let network = list["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["path"] == "kubernetes/network-policies.yaml");
    let fields: Vec<&str> = network.unwrap()["from"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["at"].as_str().unwrap())
        .collect();
    assert!(fields.contains(&"spec.network.world") && fields.contains(&"spec.subjects"), "{fields:?}");
}

#[test]
fn every_object_says_what_it_was_compiled_from_and_has_a_name_of_its_own() {
    let mut policy = full();
    let long = "a-very-long-name-of-a-rule-which-would-not-fit-into-a-label";
    for name in [long, &format!("{long}-2"), "Not_A.Label", "not-a-label"] {
        let peers = policy.network.as_ref().unwrap().egress[0].peers.clone();
        let ports = [(bailiwick_policy::policy::Protocol::Tcp, 1, 1)];
        policy.network.as_mut().unwrap().egress.push(rule(name, peers, &ports));
    }
    let artifacts = emitted(&policy);
    let expected = format!("sha256:{}", digest(&policy));
    let mut seen = std::collections::BTreeSet::new();
    for (path, object) in manifests(&artifacts) {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap();
        assert!(
            name.len() <= 63
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{name}"
        );
        assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
        assert!(seen.insert((object["kind"].to_string(), name.to_owned())), "{path}: {name} stands twice");
        assert_eq!(metadata["annotations"]["bailiwick.dev/policy-digest"], expected);
        assert_eq!(metadata["annotations"]["bailiwick.dev/packs"], "sample@1.2.3");
        assert_eq!(metadata["labels"]["bailiwick.dev/cell"], "00112233445566aa");
    }
    assert_eq!(documents(&artifacts, "kubernetes/network-policies.yaml").len(), 8);
}

#[test]
fn enforce_labels_stand_only_on_exclusive_namespaces() {
    let mut policy = full();
    let labels = |policy: &Policy| {
        documents(&emitted(policy), "kubernetes/namespace.yaml")[0]["metadata"]["labels"].clone()
    };
    let exclusive = labels(&policy);
    assert_eq!(exclusive["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(exclusive["pod-security.kubernetes.io/enforce-version"], "v1.36");
    assert_eq!(exclusive["bailiwick.dev/zone"], "agents");
    policy.subject.as_mut().unwrap().exclusive = false;
    let shared = labels(&policy);
    assert_eq!(shared.get("pod-security.kubernetes.io/enforce"), None);
    assert_eq!(shared["pod-security.kubernetes.io/warn"], "restricted");
    assert_eq!(shared["pod-security.kubernetes.io/audit-version"], "v1.36");
}

#[test]
fn every_network_policy_states_its_types_and_nothing_empty() {
    let mut policy = full();
    let network = policy.network.as_mut().unwrap();
    network.egress.push(rule("no-peer", vec![], &[(bailiwick_policy::policy::Protocol::Tcp, 1, 1)]));
    network.ingress.push(rule("no-port", vec![crate::policies::cidr("192.0.2.0/24", &[])], &[]));
    let policies = documents(&emitted(&policy), "kubernetes/network-policies.yaml");
    assert_eq!(policies[0]["spec"]["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    assert_eq!(policies.len(), 4, "a rule without peers or ports is not written: it would allow everything");
    for policy in &policies[1..] {
        let types: Vec<&str> =
            policy["spec"]["policyTypes"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        let direction = match types[..] {
            ["Egress"] => "egress",
            ["Ingress"] => "ingress",
            _ => panic!("{types:?}"),
        };
        let rule = &policy["spec"][direction][0];
        let peers = rule.get("to").or(rule.get("from")).unwrap();
        assert!(!peers.as_array().unwrap().is_empty() && !rule["ports"].as_array().unwrap().is_empty());
    }
}

#[test]
fn contradicting_selectors_select_nothing_and_are_told() {
    let mut policy = full();
    policy.subject.as_mut().unwrap().pods = vec![labels(&[("app", "a")]), labels(&[("app", "b")])];
    let artifacts = emitted(&policy);
    assert!(artifacts.report.subject.starts_with("Nobody"), "{}", artifacts.report.subject);
    assert_eq!(artifacts.report.gaps.len(), artifacts.report.statements.len());
    assert!(!artifacts.files.contains_key("kubernetes/admission-policies.yaml"));
    let selector = &documents(&artifacts, "kubernetes/network-policies.yaml")[0]["spec"]["podSelector"];
    assert_eq!(selector["matchLabels"]["app"], "a");
    assert_eq!(selector["matchExpressions"][0]["values"], serde_json::json!(["b"]));
}

#[test]
fn a_policy_without_subjects_has_no_manifest_that_selects() {
    let mut policy = full();
    policy.subject = None;
    let paths: Vec<_> = emitted(&policy).files.into_keys().filter(|path| path.ends_with(".yaml")).collect();
    assert_eq!(paths, ["kubernetes/runtime-classes.yaml"]);
}

#[test]
fn the_report_names_what_has_no_floor() {
    let mut policy = full();
    policy.images[0].entries[0].patterns.push("docker.io/library/*".to_owned());
    policy.subject.as_mut().unwrap().exclusive = false;
    let report = emitted(&policy).report;
    let floor = |id: &str| report.statements.iter().find(|statement| statement.id == id).unwrap().floor;
    assert_eq!(floor("images/0"), Enforcement::None);
    assert_eq!(floor("subjects/unmatched"), Enforcement::None);
    assert_eq!(floor("isolation/podSecurity/restricted:v1.36"), Enforcement::Full);
    let world = report.statements.iter().find(|statement| statement.id == "network/egress/world").unwrap();
    assert!(world.layers[0].note.contains("169.254.0.0/16"), "{}", world.layers[0].note);
    assert_eq!(report.gaps, []);
}

#[test]
fn the_webhook_is_asked_about_what_the_policy_judges_and_nothing_else() {
    let mut policy = bare();
    policy.subject.as_mut().unwrap().unmatched = Unmatched::Allow;
    assert!(documents(&emitted(&policy), "kubernetes/webhooks.yaml").is_empty());
    let webhooks = documents(&emitted(&full()), "kubernetes/webhooks.yaml");
    let [mutating, validating] = &webhooks[..] else { panic!("{webhooks:?}") };
    let resources = |configuration: &Value| -> Vec<String> {
        let rules = configuration["webhooks"][0]["rules"].as_array().unwrap();
        rules
            .iter()
            .flat_map(|rule| rule["resources"].as_array().unwrap())
            .map(|r| r.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(resources(mutating), ["pods"]);
    let asked = resources(validating);
    for resource in
        ["pods", "pods/ephemeralcontainers", "pods/resize", "deployments", "cronjobs", "podtemplates"]
    {
        assert!(asked.iter().any(|one| one == resource), "{resource}");
    }
    assert!(asked.iter().all(|resource| !resource.contains('*')));
    let webhook = &validating["webhooks"][0];
    assert_eq!((&webhook["failurePolicy"], &webhook["timeoutSeconds"]), (&"Fail".into(), &5.into()));
    assert_eq!((&webhook["sideEffects"], &webhook["matchPolicy"]), (&"None".into(), &"Equivalent".into()));
    assert_eq!(webhook.get("objectSelector"), None);
}

#[test]
fn the_url_form_has_the_path_and_the_authorities() {
    let options = EmitOptions {
        webhook: WebhookClient::Url("https://127.0.0.1:8443/".to_owned()),
        ca_bundle: Some(b"pem".to_vec()),
        ..EmitOptions::default()
    };
    let artifacts = artifacts(&full(), &digest(&full()), &options).unwrap();
    let client = documents(&artifacts, "kubernetes/webhooks.yaml")[1]["webhooks"][0]["clientConfig"].clone();
    assert_eq!(client, serde_json::json!({"url": "https://127.0.0.1:8443/validate", "caBundle": "cGVt"}));
}

#[test]
fn namespaces_are_known_from_the_options_or_from_the_subject() {
    let names = |policy: &Policy, namespaces: &[&str]| {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        let artifacts =
            artifacts(policy, &digest(policy), &EmitOptions { namespaces, ..EmitOptions::default() })
                .unwrap();
        let documents = documents(&artifacts, "kubernetes/network-policies.yaml");
        documents.iter().map(|document| document["metadata"]["namespace"].clone()).collect::<Vec<_>>()
    };
    let mut policy = full();
    policy.network.as_mut().unwrap().egress.clear();
    policy.network.as_mut().unwrap().ingress.clear();
    assert_eq!(names(&policy, &[]), [Value::Null]);
    assert_eq!(names(&policy, &["b", "a"]), ["a", "b"]);
    let named = expression("kubernetes.io/metadata.name", LabelOperator::In, &["x", "y"]);
    policy.subject.as_mut().unwrap().namespaces.push(named);
    assert_eq!(names(&policy, &[]), ["x", "y"]);
}
