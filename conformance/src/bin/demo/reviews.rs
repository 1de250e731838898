//! The requests of the demo: what the API server would send for a good pod and for four bad ones.

use serde_json::{Value, json};

/// The namespaces of the demo's cluster, as `kubectl get namespaces -o yaml` prints them.
pub(crate) const NAMESPACES: &str = "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: agents, labels: {kubernetes.io/metadata.name: agents, bailiwick.dev/zone: agents}}
";

const IMAGE: &str = "registry.example.org/agents/python@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A pod that does everything right and leaves RuntimeClass and seccomp profile to the webhook.
pub(crate) fn good_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "interpreter", "namespace": "agents", "labels": {"app.kubernetes.io/component": "agent"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true},
            "containers": [container("main", "1Gi")]
        }
    })
}

fn container(name: &str, memory: &str) -> Value {
    json!({
        "name": name, "image": IMAGE,
        "resources": {"limits": {"memory": memory, "cpu": "1"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
    })
}

/// The mutated pod with one container that is privileged.
pub(crate) fn privileged_pod() -> Value {
    let mut pod = running_pod();
    pod["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
    pod
}

/// The mutated pod with the node's root file system.
pub(crate) fn host_path_pod() -> Value {
    let mut pod = running_pod();
    pod["spec"]["volumes"] = json!([{"name": "node", "hostPath": {"path": "/"}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "node", "mountPath": "/node"}]);
    pod
}

/// The running good pod with a privileged debugging container added: the object and the old one.
pub(crate) fn debugged_pod() -> (Value, Value) {
    let old = running_pod();
    let mut new = old.clone();
    let mut debugger = container("debugger", "64Mi");
    debugger["securityContext"] = json!({"privileged": true});
    debugger["image"] = json!("docker.io/library/busybox:latest");
    debugger["targetContainerName"] = json!("main");
    if let Some(debugger) = debugger.as_object_mut() {
        debugger.remove("resources");
    }
    new["spec"]["ephemeralContainers"] = json!([debugger]);
    (new, old)
}

/// The good pod after `/mutate`.
fn running_pod() -> Value {
    let mut pod = good_pod();
    pod["spec"]["runtimeClassName"] = json!("gvisor");
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    pod["spec"]["securityContext"]["seccompProfile"] = json!({"type": "RuntimeDefault"});
    pod
}

/// A Deployment whose template has the faults of the first two bad pods.
pub(crate) fn bad_deployment() -> Value {
    let mut template = host_path_pod();
    template["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "interpreters", "namespace": "agents"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app.kubernetes.io/component": "agent"}},
            "template": {"metadata": {"labels": template["metadata"]["labels"]}, "spec": template["spec"]}
        }
    })
}

/// A pod with this memory limit.
pub(crate) fn pod_with_memory(memory: &str) -> Value {
    let mut pod = running_pod();
    pod["spec"]["containers"][0] = container("main", memory);
    pod
}

/// The AdmissionReview for an object; an UPDATE if there is an old one.
pub(crate) fn review(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<u8> {
    let (group, version) = match object["apiVersion"].as_str().and_then(|version| version.split_once('/')) {
        Some((group, version)) => (group, version),
        None => ("", "v1"),
    };
    let kind = json!({"group": group, "version": version, "kind": object["kind"]});
    let plural = format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase());
    let resource = json!({"group": group, "version": version, "resource": plural});
    let mut request = json!({
        "uid": "5a1f6b7e-0d9c-4d0e-8f4f-1b8f6f3c2a10",
        "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "name": object["metadata"]["name"], "namespace": "agents",
        "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
        "userInfo": {"username": "dev@example.org", "groups": ["system:authenticated"]},
        "object": object, "oldObject": old, "dryRun": false,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": if old.is_some() { "UpdateOptions" } else { "CreateOptions" }}
    });
    if let Some(subresource) = subresource {
        request["subResource"] = json!(subresource);
        request["requestSubResource"] = json!(subresource);
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
        .to_string()
        .into_bytes()
}
