//! The object types of a rule's resources, against which its expressions are checked.
//!
//! Covers built-in resources, and custom ones whose definition was given; a rule over several kinds or a
//! wildcard gets `dyn`.

use std::sync::Arc;

use bailiwick_crds::admission::ResourceRule;

use crate::cel::{PodAccess, Type};
use crate::custom_kinds::{Bounds, CustomKinds};

/// What is known about the objects of a rule.
pub(crate) struct Kinds {
    /// Type of `object`.
    pub(crate) object: Type,
    /// Whether expressions may use `pod`.
    pub(crate) pod: PodAccess,
    /// Whether only pods are matched.
    pub(crate) only_pods: bool,
    /// The sizes that the schema of a custom resource allows; `None` for every other kind.
    pub(crate) bounds: Option<Arc<Bounds>>,
}

/// Group, version, plural and kind of the resources that rules most often match.
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

/// Subresources whose object has the type of the resource.
const SAME_OBJECT: &[&str] = &["ephemeralcontainers", "resize", "status"];

/// A resource whose objects have a known type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known<'a> {
    /// Group, version and kind of a built-in resource.
    BuiltIn(&'a str, &'a str, &'a str),
    /// Group, version and plural of a custom resource whose definition was given.
    Custom(&'a str, &'a str, &'a str),
}

impl<'a> Known<'a> {
    /// `None` for an unknown resource.
    fn of(group: &'a str, version: &'a str, resource: &'a str, custom: &CustomKinds) -> Option<Self> {
        let plural = match resource.split_once('/') {
            Some((plural, sub)) if SAME_OBJECT.contains(&sub) => plural,
            Some(_) => return None,
            None => resource,
        };
        let built_in = RESOURCES.iter().find(|(g, v, r, _)| *g == group && *v == version && *r == plural);
        if let Some((.., kind)) = built_in {
            return Some(Self::BuiltIn(group, version, kind));
        }
        custom.get(group, version, plural).map(|_| Self::Custom(group, version, plural))
    }

    fn object(self, custom: &CustomKinds) -> Type {
        match self {
            Self::BuiltIn(group, version, kind) => Type::of_kind(group, version, kind),
            Self::Custom(group, version, plural) => {
                custom.get(group, version, plural).map_or(Type::Dyn, |known| known.of.clone())
            }
        }
    }

    fn bounds(self, custom: &CustomKinds) -> Option<Arc<Bounds>> {
        let Self::Custom(group, version, plural) = self else { return None };
        custom.get(group, version, plural).map(|known| Arc::clone(&known.bounds))
    }
}

pub(crate) fn of(rules: &[ResourceRule], custom: &CustomKinds) -> Kinds {
    let mut kinds = Vec::new();
    for rule in rules {
        for group in &rule.api_groups {
            for version in &rule.api_versions {
                let resources = rule.resources.iter();
                kinds.extend(resources.map(|resource| Known::of(group, version, resource, custom)));
            }
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    let only = match kinds.as_slice() {
        [Some(only)] => Some(*only),
        _ => None,
    };
    let only_pods = only == Some(Known::BuiltIn("", "v1", "Pod"));
    Kinds {
        object: only.map_or(Type::Dyn, |known| known.object(custom)),
        pod: if only_pods { PodAccess::Available } else { PodAccess::Absent },
        only_pods,
        bounds: only.and_then(|known| known.bounds(custom)),
    }
}

/// The plural that was probably meant by a kind or singular in the place of a resource (`Pod`, `deployment`).
pub(super) fn misspelt(groups: &[String], resource: &str, custom: &CustomKinds) -> Option<String> {
    let lower = resource.to_ascii_lowercase();
    let built_in = RESOURCES.iter().filter(|(group, ..)| groups.iter().any(|known| known == group));
    let built_in = built_in.map(|(_, _, plural, kind)| (*plural, *kind));
    let known: Vec<_> = built_in.chain(groups.iter().flat_map(|group| custom.of_group(group))).collect();
    if known.iter().any(|(plural, _)| *plural == resource) {
        return None;
    }
    known
        .iter()
        .find(|(plural, kind)| kind.to_ascii_lowercase() == lower || *plural == lower)
        .map(|(plural, _)| (*plural).to_owned())
}
