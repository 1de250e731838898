//! Objects to start from: a pod that requests nothing, a workload around a pod, the smallest objects of a
//! resource.

use bailiwick_policy::admission::manifest::plural;
use serde_json::{Value, json};

/// The name of every made-up object.
const NAME: &str = "witness";

/// A pod that requests nothing: the restricted Pod Security Standard allows it.
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

/// Kinds by the plural that rules use, with their group and version.
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

/// The smallest objects of a resource, one for each group and version that a rule names. For an unknown
/// resource the kind is guessed from the plural; what a rule makes of that kind's name is then a guess too.
pub(super) fn smallest(resource: &str, groups: &[String], versions: &[String]) -> Vec<Value> {
    let known = KINDS.iter().find(|(plural, ..)| *plural == resource);
    let (home, version, kind) = match known {
        Some((_, api_version, kind)) => {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            (group, version, (*kind).to_owned())
        }
        None => (ANY_GROUP, ANY_VERSION, kind_of(resource)),
    };
    let mut all = Vec::new();
    for group in groups.iter().map(|group| if group == "*" { home } else { group.as_str() }) {
        for version in versions.iter().map(|one| if one == "*" { version } else { one.as_str() }) {
            let api_version =
                if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            all.push(json!({
                "apiVersion": api_version, "kind": kind, "metadata": {"name": NAME, "labels": {}}, "spec": {},
            }));
        }
    }
    all
}

/// Group and version where no rule is more specific.
const ANY_GROUP: &str = "any-other.example.net";
const ANY_VERSION: &str = "v1";

/// A kind that may have this plural: `Widget` for `widgets`.
fn kind_of(resource: &str) -> String {
    let singulars = [
        resource.strip_suffix("ies").map(|stem| format!("{stem}y")),
        resource.strip_suffix("es").map(str::to_owned),
        resource.strip_suffix('s').map(str::to_owned),
    ];
    let regular = singulars.iter().flatten().find(|one| plural(one) == resource);
    let singular = regular.or(singulars.iter().flatten().last());
    let singular = singular.map_or(resource, String::as_str);
    let mut letters = singular.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_guessed_from_its_plural() {
        for (resource, kind) in [
            ("widgets", "Widget"),
            ("policies", "Policy"),
            ("classes", "Class"),
            ("gateways", "Gateway"),
            ("endpoints", "Endpoint"),
        ] {
            assert_eq!(kind_of(resource), kind);
        }
    }

    #[test]
    fn each_group_and_version_that_a_rule_names_has_an_object() {
        let of = |resource: &str, groups: &[&str], versions: &[&str]| -> Vec<String> {
            let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
            let made = smallest(resource, &owned(groups), &owned(versions));
            made.iter().map(|object| format!("{} {}", object["apiVersion"], object["kind"])).collect()
        };
        assert_eq!(of("deployments", &["*"], &["*"]), ["\"apps/v1\" \"Deployment\""]);
        assert_eq!(
            of("widgets", &["example.org", "other.org"], &["v1", "v2"]),
            [
                "\"example.org/v1\" \"Widget\"",
                "\"example.org/v2\" \"Widget\"",
                "\"other.org/v1\" \"Widget\"",
                "\"other.org/v2\" \"Widget\""
            ]
        );
    }
}
