//! The reviews that are sent: a pod of ten containers, about 8 kB, once valid and once with four rules
//! broken, and the same pod as an API server sends it, with defaults and managed fields. Twelve `@` mark
//! where the load generator puts a running number.

use serde_json::{Map, Value, json};

/// A valid pod.
pub(crate) fn good() -> Value {
    let container = |number: u32| {
        let env: Vec<_> =
            (0..5).map(|k| json!({"name": format!("SETTING_{k}"), "value": format!("value-{k}")})).collect();
        json!({
            "name": format!("c{number}"),
            "image": format!("registry.example/team-{}/service-{}:1.{}.{}", number * 7 % 20, number * 37 % 200, number * 11 % 40, number % 9),
            "args": ["--listen=0.0.0.0:8080", format!("--workers={}", 1 + number)],
            "env": env,
            "ports": [{"containerPort": 8080 + number, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080 + number}, "periodSeconds": 5},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
            }
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "w-@@@@@@@@@@@@", "namespace": "default",
            "labels": {"app": "app-1", "team": "team-1", "bailiwick.dev/cell": super::bundles::CELL}
        },
        "spec": {
            "serviceAccountName": "default", "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}
            },
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "containers": (0..10).map(container).collect::<Vec<_>>()
        }
    })
}

/// The rules that [`bad`] breaks.
pub(crate) const BROKEN: [&str; 4] =
    ["host-namespaces", "privileged", "privilege-escalation", "capabilities"];

/// The same pod with [`BROKEN`] broken.
pub(crate) fn bad() -> Value {
    let mut pod = good();
    set(&mut pod, "/spec", "hostPID", json!(true));
    set(&mut pod, "/spec/containers/7/securityContext", "privileged", json!(true));
    set(&mut pod, "/spec/containers/7/securityContext", "allowPrivilegeEscalation", json!(true));
    set(&mut pod, "/spec/containers/9/securityContext/capabilities", "add", json!(["SYS_ADMIN"]));
    pod
}

/// The good pod as an API server sends it to webhooks: with the defaults of the API, and with
/// `managedFields`.
pub(crate) fn as_sent() -> Value {
    let managed = json!([{
        "manager": "kubectl-create", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": managed_fields(&good())
    }]);
    let mut pod = good();
    set(&mut pod, "/metadata", "uid", json!("0c8c0ea5-3d2f-4b1c-9d0e-1f2a3b4c5d6e"));
    set(&mut pod, "/metadata", "creationTimestamp", json!("2026-01-01T00:00:00Z"));
    set(&mut pod, "/metadata", "managedFields", managed);
    for (name, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("serviceAccount", json!("default")),
        ("schedulerName", json!("default-scheduler")),
        ("priority", json!(0)),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        (
            "tolerations",
            json!([
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            ]),
        ),
    ] {
        set(&mut pod, "/spec", name, value);
    }
    for number in 0..10 {
        let container = format!("/spec/containers/{number}");
        for (name, value) in [
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
            ("imagePullPolicy", json!("IfNotPresent")),
        ] {
            set(&mut pod, &container, name, value);
        }
        for (name, value) in [("timeoutSeconds", 1), ("successThreshold", 1), ("failureThreshold", 3)] {
            set(&mut pod, &format!("{container}/readinessProbe"), name, json!(value));
        }
        set(&mut pod, &format!("{container}/readinessProbe/httpGet"), "scheme", json!("HTTP"));
    }
    pod
}

fn set(value: &mut Value, at: &str, name: &str, member: Value) {
    if let Some(Value::Object(object)) = value.pointer_mut(at) {
        object.insert(name.to_owned(), member);
    }
}

/// The field set of an object, in the form of `fieldsV1`: a member is `f:NAME`, an element of a list of named
/// things `k:{"name":"NAME"}`.
fn managed_fields(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (format!("f:{name}"), managed_fields(value))).collect()
        }
        Value::Array(items) if items.iter().all(|item| item.get("name").is_some()) => {
            let element = |item: &Value| {
                let Value::Object(mut fields) = managed_fields(item) else { return Value::Null };
                fields.insert(".".to_owned(), json!({}));
                Value::Object(fields)
            };
            let keyed = items.iter().map(|item| {
                (format!("k:{{\"name\":{}}}", item.get("name").unwrap_or(&Value::Null)), element(item))
            });
            keyed.chain([(".".to_owned(), json!({}))]).collect()
        }
        _ => Value::Object(Map::new()),
    }
}

/// The AdmissionReview of the creation of a pod.
pub(crate) fn review(pod: &Value) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-@@@@@@@@@@@@",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": pod.pointer("/metadata/name"), "namespace": "default", "operation": "CREATE",
            "userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
            "object": pod, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    }))?)
}
