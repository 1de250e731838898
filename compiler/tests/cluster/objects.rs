//! What is to be applied.

use bailiwick_compiler::cluster::{ClusterOptions, Object, objects, webhooks};
use serde_json::{Value, json};

use crate::stage::{Cluster, of, pack};

fn emitted(cluster: &Cluster) -> Vec<Object> {
    let out = objects(&cluster.in_force, &cluster.cells(), &ClusterOptions::default()).expect("emits");
    assert!(out.problems.is_empty(), "{:?}", out.problems);
    out.objects
}

fn two() -> Cluster {
    let mut cluster =
        Cluster::with(&[pack("a", "1.0.0", "", &[443, 80]), pack("b", "1.0.0", "x", &[443, 22])]);
    cluster.bind("a", of("a", "1.0.0"));
    cluster.bind("b", of("b", "1.0.0"));
    cluster.update();
    cluster
}

fn policies(objects: &[Object]) -> Vec<&Object> {
    objects.iter().filter(|object| object.kind == "NetworkPolicy").collect()
}

#[test]
fn what_allows_selects_a_cell_and_what_denies_selects_a_subject() {
    let cluster = two();
    let (cells, objects) = (cluster.cells(), emitted(&cluster));
    let label = |object: &Object| {
        let cell = &object.json["spec"]["podSelector"]["matchExpressions"];
        cell.as_array()
            .into_iter()
            .flatten()
            .find(|one| one["key"] == "bailiwick.dev/cell")
            .map(|one| one["values"][0].clone())
    };
    let mut allowing = 0;
    for policy in policies(&objects) {
        let allows =
            policy.json["spec"].get("egress").is_some() || policy.json["spec"].get("ingress").is_some();
        match label(policy) {
            Some(cell) => {
                assert!(cells.cells.contains_key(cell.as_str().expect("a text")), "{cell}");
                allowing += 1;
            }
            None => assert!(!allows, "a policy that allows selects more than one cell: {}", policy.name),
        }
    }
    assert!(allowing > 0);
    let denied: Vec<_> = policies(&objects).into_iter().filter(|one| label(one).is_none()).collect();
    assert_eq!(denied.len(), 4, "one of each binding in each of two namespaces");
}

#[test]
fn every_object_is_there_once_and_in_the_same_order_again() {
    let objects = emitted(&two());
    let mut names: Vec<_> = objects.iter().map(|one| (&one.kind, &one.namespace, &one.name)).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_eq!(objects, emitted(&two()));
    for object in &objects {
        assert_eq!(object.json["kind"], json!(object.kind));
        assert_eq!(object.json["apiVersion"], json!(object.api_version));
        assert!(!object.bindings.is_empty(), "{} is nobody's", object.name);
    }
}

#[test]
fn a_stage_short_of_enforcing_refuses_nothing() {
    let mut cluster = two();
    for stage in ["Audit", "Warn"] {
        for name in ["a", "b"] {
            cluster.bind(name, json!({ "pack": { "name": name, "version": "1.0.0" }, "stage": stage }));
        }
        cluster.update();
        let objects = emitted(&cluster);
        assert!(policies(&objects).is_empty(), "{stage}: a NetworkPolicy cannot only warn");
        for binding in objects.iter().filter(|one| one.kind == "ValidatingAdmissionPolicyBinding") {
            let own = ["bailiwick-cells-", "bailiwick-namespaces-", "bailiwick-bindings"]
                .iter()
                .any(|start| binding.name.starts_with(start));
            let expected = if own { "Deny" } else { stage };
            assert_eq!(binding.json["spec"]["validationActions"], json!([expected]), "{}", binding.name);
        }
    }
}

/// The rules of the webhooks of a configuration, by webhook.
fn rules(configuration: &Value) -> Vec<(String, String)> {
    let webhooks = configuration["webhooks"].as_array().expect("webhooks");
    webhooks
        .iter()
        .map(|one| (one["name"].as_str().expect("a name").to_owned(), one["rules"].to_string()))
        .collect()
}

#[test]
fn the_webhook_is_asked_about_governed_namespaces_and_about_what_governs_them() {
    let out = webhooks(&two().in_force, &ClusterOptions::default()).expect("emits");
    let [mutating, validating] = out.objects.as_slice() else { panic!("two configurations") };
    for configuration in [mutating, validating] {
        for webhook in configuration.json["webhooks"].as_array().expect("webhooks") {
            assert_eq!(webhook["failurePolicy"], "Fail");
            assert!(webhook.get("objectSelector").is_none(), "whoever writes an object writes its labels");
            assert!(webhook["timeoutSeconds"].as_u64().expect("a number") <= 5);
            for never in ["leases", "events", "nodes\"", "\"*\""] {
                assert!(!webhook["rules"].to_string().contains(never), "{never}: {webhook}");
            }
        }
    }
    let all = rules(&validating.json);
    let of = |start: &str| {
        all.iter().filter(|(name, _)| name.starts_with(start)).map(|(_, rules)| rules).collect::<Vec<_>>()
    };
    assert_eq!(of("validate-own").len(), 1);
    assert!(of("validate-own")[0].contains("policybindings") && of("validate-own")[0].contains("DELETE"));
    assert_eq!(of("validate-").len(), 2, "both bindings govern the same namespaces: {all:?}");
    assert_eq!(of("namespaces-").len(), 1);
    assert!(
        rules(&mutating.json)
            .iter()
            .any(|(name, rules)| name.starts_with("mutate-") && rules.contains("\"pods\""))
    );
}

#[test]
fn nothing_of_ours_stands_where_the_cluster_itself_lives() {
    let cluster = two();
    let mut namespaces = crate::stage::namespaces();
    let governed = namespaces["one"].clone();
    namespaces.insert("kube-system".to_owned(), governed);
    let cells = bailiwick_compiler::cluster::cells(&cluster.in_force, &namespaces);
    let out = objects(&cluster.in_force, &cells, &ClusterOptions::default()).expect("emits");
    for object in &out.objects {
        assert_ne!(object.namespace.as_deref(), Some("kube-system"), "{}", object.name);
        assert!(object.kind != "Namespace" || object.name != "kube-system");
        let names = object.json.pointer("/spec/matchConstraints/namespaceSelector").map(Value::to_string);
        let named = names.filter(|selector| selector.contains("kube-system"));
        assert!(named.is_none_or(|selector| selector.contains("NotIn")), "{}", object.name);
    }
}
