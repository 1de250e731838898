//! What the cells of pods are named by: while a bound pack changes its version, pods keep coming in, under the
//! standing name or the coming one. Also selectors as long as they may be, of several bindings at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bailiwick_conformance::api::Api;
use serde_json::{Value, json};

use crate::packs::{binding, pack};
use crate::stage::{Stage, until};
use crate::webhooks::{Webhook, operator, ports, state, take_certificate};

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

/// The cell of a binding alone, as its status says.
fn cell(stage: &Stage, name: &str) -> Option<String> {
    let object = stage.get("policybinding", name, None)?;
    Some(object["status"]["cells"][0]["name"].as_str()?.to_owned())
}

/// Waits until nothing but the version in force names cells.
fn settled(stage: &Stage, name: &str, version: &str) {
    until(&format!("cells are named by {version} alone"), || {
        let naming = stage.get("policybinding", name, None)?["status"]["naming"].clone();
        let is_current = naming["current"]["packs"] == json!([format!("{name}@{version}")]);
        (is_current && naming["former"] == json!([])).then_some(())
    });
}

/// Pods that are asked for all the time.
struct Asking<'a> {
    stage: &'a Stage,
    namespace: &'a str,
    stop: AtomicBool,
    asked: AtomicUsize,
    names: Mutex<BTreeSet<String>>,
    refused: Mutex<Vec<String>>,
}

impl Asking<'_> {
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            match admitted(self.stage.api(), self.namespace, &json!({})) {
                Ok(name) => drop(self.names.lock().expect("names").insert(name)),
                Err(why) => self.refused.lock().expect("refusals").push(why),
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn while_a_pack_changes_its_version_pods_come_in_under_the_standing_or_the_coming_name() {
    let stage = Stage::new();
    let ports = ports();
    let operator = operator(&stage, ports, &["--lease-duration", "60"]).leads();
    take_certificate(&stage, stage.folder.path());
    let namespace = namespace(&stage, "names");
    for (version, cidr) in [("1.0.0", "192.0.2.0/28"), ("2.0.0", "198.51.100.0/28")] {
        stage.apply(&pack("names", version, cidr));
    }
    stage.apply(&binding("names", "names", "1.0.0", ""));
    let _webhooks = ports.map(|port| Webhook::start(&stage, port));
    until("it is armed", || (state(&stage)? == "armed").then_some(()));
    stage.condition("policybinding", "names", None, "Ready", "True");
    let old = cell(&stage, "names").expect("a cell");
    until("pods get its name", || {
        (admitted(stage.api(), &namespace, &json!({})).as_ref() == Ok(&old)).then_some(())
    });
    let asking = Asking {
        stage: &stage,
        namespace: &namespace,
        stop: AtomicBool::new(false),
        asked: AtomicUsize::new(0),
        names: Mutex::default(),
        refused: Mutex::default(),
    };
    let new = std::thread::scope(|scope| {
        let running = [(); 2].map(|()| scope.spawn(|| asking.run()));
        stage.apply(&binding("names", "names", "2.0.0", ""));
        settled(&stage, "names", "2.0.0");
        let new = cell(&stage, "names").expect("a cell");
        let before = asking.asked.load(Ordering::Relaxed);
        until("more pods", || (asking.asked.load(Ordering::Relaxed) > before + 20).then_some(()));
        asking.stop.store(true, Ordering::Relaxed);
        running.into_iter().for_each(|one| one.join().expect("it asks"));
        new
    });
    let refused = asking.refused.into_inner().expect("refusals");
    let asked = asking.asked.into_inner();
    assert!(refused.is_empty(), "{} of {asked}: {:?}", refused.len(), refused.first());
    assert!(asked > 50, "{asked}");
    assert_ne!(old, new);
    assert_eq!(asking.names.into_inner().expect("names"), [old, new.clone()].into());
    assert_eq!(admitted(stage.api(), &namespace, &json!({})), Ok(new));
    operator.stop();
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
    until("the admission policy is in force", || admits(&json!("0123")).is_err().then_some(()));
    let alone = cells.iter().filter(|one| admits(&one["name"]).is_ok()).count();
    assert_eq!(alone, 1, "{:?}", cells.iter().map(|one| admits(&one["name"])).collect::<Vec<_>>());
    operator.stop();
}
