//! Selectors as long as they may be, of several bindings at once.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::packs::{binding, pack, pod};
use crate::stage::{Stage, until};

/// Whether a pod of the last binding may have the name of a cell, by a dry run.
fn admits(stage: &Stage, namespace: &str, cell: &Value) -> bool {
    let mut pod = pod("p", namespace, cell.as_str().expect("a name"));
    pod["metadata"]["labels"]["long2"] = json!("long2-is-one");
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let (status, _) =
        stage.api().ask("POST", &path, "application/json", &pod.to_string()).expect("an answer");
    status == 201
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
    let admits = |cell: &Value| admits(&stage, &namespace, cell);
    // A changed policy is in force only a moment later: before, none denies, or one of fewer bindings all.
    until("one cell's name alone is admitted", || {
        let alone = cells.iter().filter(|one| admits(&one["name"])).count() == 1;
        (alone && !admits(&json!("0123"))).then_some(())
    });
    operator.stop();
}
