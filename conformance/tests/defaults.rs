//! Our API defaulting compared with a real API server: a dry run of each manifest in the corpus gives the
//! same result, except for what registries, admission plugins and controllers write.

use bailiwick_conformance::cluster::Cluster;
use bailiwick_policy::admission::{defaults, schema};
use bailiwick_policy::json::Json;
use serde_json::Value;

const CORPUS: &str = include_str!("../corpus/defaults.yaml");

/// What the API server writes that is not a default, as path prefixes; `*` is any index.
const NOT_DEFAULTS: [&str; 19] = [
    "metadata.annotations",
    "metadata.creationTimestamp",
    "metadata.finalizers",
    "metadata.generation",
    "metadata.labels",
    "metadata.managedFields",
    "metadata.namespace",
    "metadata.uid",
    "status",
    "spec.clusterIP",
    "spec.finalizers",
    "spec.ipFamilies",
    "spec.ipFamilyPolicy",
    "spec.preemptionPolicy",
    "spec.priority",
    "spec.selector",
    "spec.template.metadata.labels",
    "spec.tolerations",
    "spec.volumeClaimTemplates.*.status",
];

#[test]
fn the_api_server_writes_the_same_defaults() {
    let cluster = Cluster::start().unwrap();
    let mut differences = Vec::new();
    for manifest in CORPUS.split("\n---\n") {
        let given: Value = serde_saphyr::from_str(manifest).unwrap();
        let served = cluster
            .kubectl(["create", "--dry-run=server", "--output=json", "--filename=-"], manifest)
            .unwrap();
        let served: Value = serde_json::from_str(&served).unwrap();
        let ours = defaulted(&given);
        let name = format!("{} {}", given["kind"], given["metadata"]["name"]);
        compare(&name, "", Some(&ours), Some(&served), &mut differences);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn defaulted(given: &Value) -> Value {
    let (group, version) = given["apiVersion"]
        .as_str()
        .unwrap()
        .split_once('/')
        .unwrap_or(("", given["apiVersion"].as_str().unwrap()));
    let ty = schema::root(group, version, given["kind"].as_str().unwrap()).unwrap();
    let mut object = Json::from(given);
    defaults::apply(&mut object, ty);
    serde_json::to_value(&object).unwrap()
}

fn compare(
    name: &str,
    path: &str,
    ours: Option<&Value>,
    served: Option<&Value>,
    differences: &mut Vec<String>,
) {
    let indexless: Vec<&str> =
        path.split('.').map(|step| if step.parse::<usize>().is_ok() { "*" } else { step }).collect();
    if NOT_DEFAULTS.iter().any(|prefix| indexless.join(".").starts_with(prefix)) {
        return;
    }
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match (ours, served) {
        (Some(Value::Object(ours)), Some(Value::Object(served))) => {
            let keys: std::collections::BTreeSet<&String> = ours.keys().chain(served.keys()).collect();
            for key in keys {
                compare(name, &below(key), ours.get(key), served.get(key), differences);
            }
        }
        (Some(Value::Array(ours)), Some(Value::Array(served))) => {
            for index in 0..ours.len().max(served.len()) {
                compare(name, &below(&index.to_string()), ours.get(index), served.get(index), differences);
            }
        }
        (ours, served) if ours == served => {}
        (ours, served) => {
            differences.push(format!("{name}: {path}: we say {ours:?}, the API server {served:?}"))
        }
    }
}
