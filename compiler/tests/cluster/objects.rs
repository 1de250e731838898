//! What is to be applied.

use bailiwick_compiler::emit::{ClusterOptions, Object, objects, webhooks};
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
            let own = [
                "bailiwick-cells-",
                "bailiwick-namespaces-",
                "bailiwick-bindings",
                "bailiwick-exceptions",
                "bailiwick-packs",
            ]
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

/// Whether a selector, as the API server has it, matches a namespace that has every label that it asks for.
fn may_match(selector: &Value, namespace: &str) -> bool {
    const NAME: &str = "kubernetes.io/metadata.name";
    let expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
    let excluded = expressions.iter().filter(|one| one["key"] == NAME).any(|one| {
        let named = one["values"].as_array().is_some_and(|values| values.contains(&json!(namespace)));
        (one["operator"] == "In") != named
    });
    !excluded && selector["matchLabels"].get(NAME).is_none_or(|name| name == namespace)
}

#[test]
fn a_pack_that_names_an_exempt_namespace_does_not_have_the_api_server_ask_about_it() {
    let name = |operator: &str, values: &[&str]| json!({ "key": "kubernetes.io/metadata.name", "operator": operator, "values": values });
    assert!(
        may_match(&json!({}), "kube-system")
            && !may_match(&json!({ "matchExpressions": [name("In", &["agents"])] }), "kube-system")
    );
    let mut named = crate::stage::pack("a", "1.0.0", "x", &[443]);
    named["spec"]["admission"] = json!({ "rules": [{
        "name": "no", "match": { "resources": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }] },
        "validations": [{ "expression": "false", "message": "no" }],
    }] });
    named["spec"]["subjects"]["namespaces"] = json!({ "selector": { "matchExpressions": [name("In", &["kube-system", "bailiwick-system", "spared", "agents"])] } });
    let mut cluster = Cluster::with(&[named]);
    cluster.bind("a", crate::stage::of("a", "1.0.0"));
    assert!(cluster.update()["a"].is_current());
    let defaults = ClusterOptions::default();
    let exempt_namespaces = [defaults.exempt_namespaces.clone(), vec!["spared".to_owned()]].concat();
    let options = ClusterOptions { exempt_namespaces, ..defaults };
    let out = webhooks(&cluster.in_force, &options).expect("emits");
    let floor = objects(&cluster.in_force, &cluster.cells(), &options).expect("emits");
    let hooks = out.objects.iter().flat_map(|one| one.json["webhooks"].as_array().expect("webhooks"));
    let hooks = hooks.filter_map(|one| one.get("namespaceSelector"));
    let policies =
        floor.objects.iter().filter_map(|one| one.json.pointer("/spec/matchConstraints/namespaceSelector"));
    let all: Vec<&Value> = hooks.chain(policies).collect();
    assert!(all.iter().filter(|one| may_match(one, "agents")).count() > 2, "{all:?}");
    for exempt in ["kube-system", "bailiwick-system", "spared"] {
        let asked: Vec<_> = all.iter().filter(|one| may_match(one, exempt)).collect();
        assert!(asked.is_empty(), "{exempt}: {asked:?}");
    }
}

#[test]
fn labels_of_namespaces_are_kept_on_every_way_to_write_them_and_exceptions_bear_their_makers_name() {
    let cluster = two();
    let hooks = webhooks(&cluster.in_force, &ClusterOptions::default()).expect("emits");
    let floor = emitted(&cluster);
    let hook = hooks
        .objects
        .iter()
        .flat_map(|one| rules(&one.json))
        .find(|(name, _)| name.starts_with("namespaces-"));
    let policy = |name: &str| {
        let found =
            floor.iter().find(|one| one.kind == "ValidatingAdmissionPolicy" && one.name.starts_with(name));
        found.unwrap_or_else(|| panic!("no policy {name}")).json.to_string()
    };
    for rules in [hook.expect("a webhook").1, policy("bailiwick-namespaces-")] {
        for way in ["\"namespaces\"", "\"namespaces/status\"", "\"namespaces/finalize\""] {
            assert!(rules.contains(way), "{way}: {rules}");
        }
    }
    let exceptions = policy("bailiwick-exceptions");
    assert!(exceptions.contains("policyexceptions") && exceptions.contains("request.userInfo.username"));
}

#[test]
fn nothing_of_ours_stands_where_the_cluster_itself_lives() {
    let cluster = two();
    let mut namespaces = crate::stage::namespaces();
    let governed = namespaces["one"].clone();
    namespaces.insert("kube-system".to_owned(), governed);
    let cells = bailiwick_compiler::cluster::cells(&cluster.in_force, &namespaces);
    let out = objects(&cluster.in_force, &cells, &ClusterOptions::default()).expect("emits");
    assert!(
        out.objects.iter().any(|object| object.namespace.as_deref() == Some("one")),
        "nothing is emitted"
    );
    for object in &out.objects {
        assert_ne!(object.namespace.as_deref(), Some("kube-system"), "{}", object.name);
        assert!(object.kind != "Namespace" || object.name != "kube-system");
        let names = object.json.pointer("/spec/matchConstraints/namespaceSelector").map(Value::to_string);
        let named = names.filter(|selector| selector.contains("kube-system"));
        assert!(named.is_none_or(|selector| selector.contains("NotIn")), "{}", object.name);
    }
}
