//! About a hundred objects to judge: Kubernetes' own Pod Security fixtures moved into the governed namespace,
//! the shipped pack's pods, templates made of both, UPDATEs, and mutants of a good pod with one field
//! changed.

use bailiwick_conformance::pod_security_fixtures;
use bailiwick_policy::policy::PodSecurity;
use serde_json::{Value, json};

/// One request: the object, the old one for an UPDATE, the subresource.
pub(crate) struct Request {
    pub(crate) object: Value,
    pub(crate) old: Option<Value>,
    pub(crate) subresource: Option<&'static str>,
}

/// The shipped pack's valid pod.
fn good() -> Value {
    let image = "registry.example.org/agents/python@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "interpreter", "namespace": "agents", "labels": {"app.kubernetes.io/component": "agent"}},
        "spec": {
            "runtimeClassName": "gvisor", "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image, "resources": {"limits": {"memory": "1Gi", "cpu": "1"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
            }]
        }
    })
}

/// Field (JSON Pointer) and value: the good pod with only this change.
fn mutants() -> Vec<(&'static str, Value)> {
    vec![
        ("/spec/hostNetwork", json!(true)),
        ("/spec/hostPID", json!(true)),
        ("/spec/hostIPC", json!(true)),
        ("/spec/hostUsers", json!(false)),
        ("/spec/shareProcessNamespace", json!(true)),
        ("/spec/runtimeClassName", json!("kata")),
        ("/spec/runtimeClassName", json!("runc")),
        ("/spec/runtimeClassName", Value::Null),
        ("/spec/automountServiceAccountToken", json!(true)),
        ("/spec/automountServiceAccountToken", Value::Null),
        ("/spec/securityContext", json!({})),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/runAsUser", json!(0)),
        ("/spec/securityContext/seccompProfile", json!({"type": "Unconfined"})),
        ("/spec/securityContext/seccompProfile", Value::Null),
        ("/spec/securityContext/sysctls", json!([{"name": "kernel.msgmax", "value": "1"}])),
        ("/spec/hostAliases", json!([{"ip": "192.0.2.9", "hostnames": ["registry.example.org"]}])),
        ("/spec/volumes", json!([{"name": "v", "hostPath": {"path": "/"}}])),
        (
            "/spec/volumes",
            json!([{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
        ),
        ("/spec/volumes", json!([{"name": "v", "emptyDir": {}}])),
        ("/spec/containers/0/image", json!("registry.example.org/agents/python:3.11")),
        ("/spec/containers/0/image", json!("python")),
        ("/spec/containers/0/image", json!("REGISTRY.example.org/Agents/x")),
        ("/spec/containers/0/image", json!("")),
        ("/spec/containers/0/resources", json!({})),
        ("/spec/containers/0/resources/limits/memory", json!("3Gi")),
        ("/spec/containers/0/resources/limits/memory", json!("2048Mi")),
        ("/spec/containers/0/resources/limits/memory", json!("lots")),
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/spec/containers/0/securityContext/capabilities", json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]})),
        ("/spec/containers/0/securityContext/procMount", json!("Unmasked")),
        ("/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}])),
        ("/spec/containers/0/livenessProbe", json!({"httpGet": {"host": "10.0.0.1", "port": 80}})),
        ("/spec/containers", json!([])),
        ("/metadata/labels", json!({})),
        (
            "/metadata/labels",
            json!({"app.kubernetes.io/component": "agent", "bailiwick.dev/cell": "0000000000000000"}),
        ),
        ("/metadata/labels/extra", json!("ünïcode ☂ \u{202e}")),
        ("/metadata/namespace", json!("default")),
        ("/metadata/namespace", json!("unheard-of")),
    ]
}

fn with(pointer: &str, value: &Value) -> Value {
    let mut pod = good();
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let parent = pod.pointer_mut(parent).expect("the parent is there").as_object_mut().expect("an object");
    match value {
        Value::Null => parent.remove(member),
        value => parent.insert(member.to_owned(), value.clone()),
    };
    pod
}

/// A workload of this kind that would create such pods.
fn workload(kind: &str, pod: &Value) -> Value {
    let template = json!({"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]});
    let metadata = json!({"name": "workload", "namespace": pod["metadata"]["namespace"]});
    match kind {
        "CronJob" => json!({
            "apiVersion": "batch/v1", "kind": kind, "metadata": metadata,
            "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}
        }),
        "Job" => {
            json!({"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": {"template": template}})
        }
        "ReplicationController" => {
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": {"template": template}})
        }
        _ => json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": metadata,
            "spec": {"selector": {"matchLabels": pod["metadata"]["labels"]}, "template": template}
        }),
    }
}

/// The corpus.
pub(crate) fn requests() -> Vec<Request> {
    let mut pods: Vec<Value> = mutants().iter().map(|(pointer, value)| with(pointer, value)).collect();
    pods.push(good());
    let fixtures = pod_security_fixtures::fixtures().expect("the fixtures can be read").unwrap_or_default();
    for fixture in fixtures.into_iter().filter(|fixture| fixture.standard.minor == PodSecurity::NEWEST_MINOR)
    {
        let mut pod = fixture.pod;
        pod["metadata"]["namespace"] = json!("agents");
        pod["metadata"]["labels"] = json!({"app.kubernetes.io/component": "agent"});
        pods.push(pod);
    }
    let mut requests = Vec::new();
    let kinds =
        ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController"];
    for (position, pod) in pods.iter().enumerate() {
        requests.push(Request { object: pod.clone(), old: None, subresource: None });
        requests.push(Request { object: pod.clone(), old: Some(good()), subresource: None });
        let kind = kinds[position % kinds.len()];
        requests.push(Request { object: workload(kind, pod), old: None, subresource: None });
        let mut debugged = good();
        debugged["spec"]["ephemeralContainers"] = pod["spec"]["containers"].clone();
        requests.push(Request {
            object: debugged,
            old: Some(good()),
            subresource: Some("ephemeralcontainers"),
        });
    }
    requests
}

/// The AdmissionReview of a request, as the API server writes it.
pub(crate) fn review(request: &Request) -> Vec<u8> {
    let object = &request.object;
    let api_version = object["apiVersion"].as_str().unwrap_or("v1");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = json!({"group": group, "version": version, "kind": object["kind"]});
    let plural = format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase());
    let resource = json!({"group": group, "version": version, "resource": plural});
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "b7a1e9de-66b8-4d36-9c33-1f0c4d6bb9a0", "kind": kind, "resource": resource,
            "requestKind": kind, "requestResource": resource,
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "operation": if request.old.is_some() { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": "dev", "groups": ["system:authenticated"]},
            "object": object, "oldObject": request.old, "dryRun": false, "options": null
        }
    });
    if let Some(subresource) = request.subresource {
        review["request"]["subResource"] = json!(subresource);
        review["request"]["requestSubResource"] = json!(subresource);
    }
    review.to_string().into_bytes()
}
