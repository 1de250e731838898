//! Selectors as long as they may be, of several bindings at once.

use std::fmt::Write as _;

use bailiwick_conformance::api::Api;
use serde_json::{Value, json};

use crate::packs::{binding, pack};
use crate::stage::{Stage, until};

/// Requests a pod that the packs of the tests allow, as a dry run, with more labels. Returns the label of its
/// cell, or why it was refused.
fn admitted(api: &Api, namespace: &str, labels: &Value) -> Result<String, String> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "p-", "labels": { "app": "agent" } },
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "c", "image": "registry.example.org/agent:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    });
    for (key, value) in labels.as_object().expect("labels") {
        pod["metadata"]["labels"][key] = value.clone();
    }
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let (status, answer) = api.ask("POST", &path, "application/json", &pod.to_string()).expect("an answer");
    if status != 201 {
        return Err(format!("{status} {}", answer["message"]));
    }
    Ok(answer["metadata"]["labels"]["bailiwick.dev/cell"].as_str().unwrap_or_default().to_owned())
}

/// A governed namespace in which pods can be made.
fn namespace(stage: &Stage, zone: &str) -> String {
    let name = format!("{zone}-a");
    stage.namespace(&name, zone);
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    let path = format!("/api/v1/namespaces/{name}/serviceaccounts");
    // The controller manager may have made it.
    stage.api().ask("POST", &path, "application/json", &account.to_string()).expect("an answer");
    name
}

/// Bindings whose pod selectors are as long as they may be. Together they are longer than what the API server
/// accepts of one expression, 100,000 characters.
const LONG: usize = 3;

/// A selector of some 39,000 characters.
fn long(name: &str) -> String {
    let mut values = format!("{name}-is-one");
    for at in 0..580 {
        write!(values, ", \"{at:0>63}\"").expect("a text");
    }
    format!("pods: {{matchExpressions: [{{key: {name}, operator: In, values: [{values}]}}]}}")
}

#[test]
fn several_bindings_with_long_selectors_are_told_apart_in_one_namespace() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    let namespace = namespace(&stage, "long");
    let names: Vec<String> = (0..LONG).map(|at| format!("long{at}")).collect();
    for name in &names {
        let pack = pack(name, "1.0.0", "192.0.2.0/28");
        stage.apply(&pack.replace(&format!("bailiwick.dev/zone: {name}"), "bailiwick.dev/zone: long"));
        stage.apply(&binding(name, name, "1.0.0", &format!(", narrowTo: {{{}}}", long(name))));
    }
    for name in &names {
        stage.condition("policybinding", name, None, "Enforced", "True");
    }
    let cells = stage.list("validatingadmissionpolicies", None);
    let cells = cells.iter().find(|one| one.to_string().contains("bailiwick-cells-")).expect("a policy");
    let variables = cells["spec"]["variables"].as_array().expect("variables");
    let lengths = variables.iter().map(|one| one["expression"].as_str().expect("a text").chars().count());
    assert!(lengths.sum::<usize>() > 100_000, "no more than one expression may have");
    // The last of them selects the pod, and it has the name of no other.
    let object = stage.get("policybinding", "long2", None).expect("the binding");
    let cells = object["status"]["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 1 << (LONG - 1), "one for each set with the others");
    let own = |cell: &Value| json!({ "long2": "long2-is-one", "bailiwick.dev/cell": cell });
    let admits = |cell: &Value| admitted(stage.api(), &namespace, &own(cell));
    // A changed policy is in force only a moment later: before, none denies, or one of fewer bindings all.
    until("one cell's name alone is admitted", || {
        let alone = cells.iter().filter(|one| admits(&one["name"]).is_ok()).count() == 1;
        (alone && admits(&json!("0123")).is_err()).then_some(())
    });
    operator.stop();
}
