//! Which object types a rule's resources have, so that its expressions can be checked.
//!
//! Built-in resources only; a rule over several kinds, a wildcard or a custom resource has `dyn`.

use bailiwick_crds::admission::ResourceRule;

use crate::cel::{PodAccess, Type};

/// What is known of the objects of a rule.
pub(crate) struct Kinds {
    /// Type of `object`.
    pub(crate) object: Type,
    /// Whether `pod` can be asked for.
    pub(crate) pod: PodAccess,
    /// Whether nothing but pods is matched.
    pub(crate) only_pods: bool,
}

/// Group, version, plural and kind of the resources that rules are mostly about.
pub(crate) const RESOURCES: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "pods", "Pod"),
    ("", "v1", "podtemplates", "PodTemplate"),
    ("", "v1", "replicationcontrollers", "ReplicationController"),
    ("", "v1", "services", "Service"),
    ("", "v1", "serviceaccounts", "ServiceAccount"),
    ("", "v1", "namespaces", "Namespace"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "secrets", "Secret"),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("", "v1", "persistentvolumes", "PersistentVolume"),
    ("", "v1", "endpoints", "Endpoints"),
    ("", "v1", "nodes", "Node"),
    ("apps", "v1", "deployments", "Deployment"),
    ("apps", "v1", "statefulsets", "StatefulSet"),
    ("apps", "v1", "daemonsets", "DaemonSet"),
    ("apps", "v1", "replicasets", "ReplicaSet"),
    ("batch", "v1", "jobs", "Job"),
    ("batch", "v1", "cronjobs", "CronJob"),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    ("networking.k8s.io", "v1", "ingresses", "Ingress"),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding"),
];

/// Subresources whose object is that of the resource.
const SAME_OBJECT: &[&str] = &["ephemeralcontainers", "resize", "status"];

/// The kind of one resource; `None` for an unknown one.
fn kind(group: &str, version: &str, resource: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let plural = match resource.split_once('/') {
        Some((plural, sub)) if SAME_OBJECT.contains(&sub) => plural,
        Some(_) => return None,
        None => resource,
    };
    RESOURCES
        .iter()
        .find(|(g, v, r, _)| *g == group && *v == version && *r == plural)
        .map(|(group, version, _, kind)| (*group, *version, *kind))
}

pub(crate) fn of(rules: &[ResourceRule]) -> Kinds {
    let mut kinds = Vec::new();
    for rule in rules {
        for group in &rule.api_groups {
            for version in &rule.api_versions {
                kinds.extend(rule.resources.iter().map(|resource| kind(group, version, resource)));
            }
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    let only = match kinds.as_slice() {
        [Some(only)] => Some(*only),
        _ => None,
    };
    let only_pods = only == Some(("", "v1", "Pod"));
    Kinds {
        object: only.map_or(Type::Dyn, |(group, version, kind)| Type::of_kind(group, version, kind)),
        pod: if only_pods { PodAccess::Available } else { PodAccess::Absent },
        only_pods,
    }
}

/// The plural that was meant by a kind or a singular written as resource (`Pod`, `deployment`).
pub(super) fn misspelt(groups: &[String], resource: &str) -> Option<&'static str> {
    let lower = resource.to_ascii_lowercase();
    let known = || RESOURCES.iter().filter(|(group, ..)| groups.iter().any(|known| known == group));
    if known().any(|(_, _, plural, _)| *plural == resource) {
        return None;
    }
    known()
        .find(|(_, _, plural, kind)| kind.to_ascii_lowercase() == lower || *plural == lower)
        .map(|(_, _, plural, _)| *plural)
}
