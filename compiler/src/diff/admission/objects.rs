//! Objects to begin with: a pod that asks for nothing, a workload around a pod, the smallest object of a kind.

use serde_json::{Value, json};

/// Name of every object that is made up.
const NAME: &str = "witness";

/// A pod that asks for nothing: the restricted Pod Security Standard allows it.
pub(super) fn pod(image: &str, labels: &[(String, String)]) -> Value {
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main",
                "image": image,
                "resources": {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// A Deployment of a pod.
pub(super) fn deployment(pod: &Value) -> Value {
    let metadata = json!({"labels": pod.pointer("/metadata/labels").cloned().unwrap_or_default()});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "selector": {"matchLabels": pod.pointer("/metadata/labels").cloned().unwrap_or_default()},
            "template": {"metadata": metadata, "spec": pod.get("spec").cloned().unwrap_or_default()},
        },
    })
}

/// Kinds by the plural that rules name them by, with their group and version.
const KINDS: &[(&str, &str, &str)] = &[
    ("services", "v1", "Service"),
    ("configmaps", "v1", "ConfigMap"),
    ("secrets", "v1", "Secret"),
    ("namespaces", "v1", "Namespace"),
    ("serviceaccounts", "v1", "ServiceAccount"),
    ("persistentvolumeclaims", "v1", "PersistentVolumeClaim"),
    ("replicationcontrollers", "v1", "ReplicationController"),
    ("deployments", "apps/v1", "Deployment"),
    ("statefulsets", "apps/v1", "StatefulSet"),
    ("daemonsets", "apps/v1", "DaemonSet"),
    ("replicasets", "apps/v1", "ReplicaSet"),
    ("jobs", "batch/v1", "Job"),
    ("cronjobs", "batch/v1", "CronJob"),
    ("ingresses", "networking.k8s.io/v1", "Ingress"),
    ("networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"),
    ("roles", "rbac.authorization.k8s.io/v1", "Role"),
    ("rolebindings", "rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("clusterroles", "rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("clusterrolebindings", "rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("poddisruptionbudgets", "policy/v1", "PodDisruptionBudget"),
];

/// The smallest object of a resource; `None` for one that is not known here.
pub(super) fn smallest(resource: &str) -> Option<Value> {
    let (_, version, kind) = KINDS.iter().find(|(plural, ..)| *plural == resource)?;
    Some(json!({"apiVersion": version, "kind": kind, "metadata": {"name": NAME, "labels": {}}, "spec": {}}))
}
