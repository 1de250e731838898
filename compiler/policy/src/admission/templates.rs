//! Pod templates: the nine kinds whose objects are pods or make pods, and the pod that a template makes.
//!
//! Not the custom kinds that embed a template (agent-sandbox): they come with their integration.
//!
//! Terms. *Place*: where in the object a pod is, for mapping field paths back. *Synthetic pod*: what the
//! controller would create from a template, as far as a policy reads it.

use std::borrow::Cow;

use crate::decision::Finding;
use crate::json::{Json, Map};

use super::request::{AdmissionRequest, Operation};
use super::shape::Fault;

/// Where a pod is in the object under review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The object is the pod.
    Pod,
    /// A template is under these members.
    Template(&'static [&'static str]),
}

/// Workload kinds by group and resource. Job, and every other kind with `spec.template`, share a place.
const TEMPLATES: &[(&str, &str, &[&str])] = &[
    ("", "podtemplates", &["template"]),
    ("", "replicationcontrollers", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
];

/// Sub-resources of pods whose admission object is the whole pod.
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>
const WHOLE_POD: &[&str] = &["", "ephemeralcontainers", "resize", "status"];

impl Place {
    /// Where the pod of a request is; `None`: it has none.
    #[must_use]
    pub fn of(request: &AdmissionRequest<'_>) -> Option<Self> {
        let (group, resource) = (request.resource.group.as_ref(), request.resource.resource.as_ref());
        if request.operation == Operation::Connect {
            return None;
        }
        if (group, resource) == ("", "pods") {
            return WHOLE_POD.contains(&request.sub_resource.as_ref()).then_some(Self::Pod);
        }
        let (_, _, path) = TEMPLATES.iter().find(|(of, plural, _)| (*of, *plural) == (group, resource))?;
        request.sub_resource.is_empty().then_some(Self::Template(path))
    }

    /// A finding about the pod, as one about the object.
    pub(super) fn finding(self, of_pod: Finding) -> Finding {
        Finding { field: self.field(&of_pod.field), ..of_pod }
    }

    /// Maps a field path of the pod back to the object.
    #[must_use]
    pub fn field(self, of_pod: &str) -> String {
        match self {
            Self::Pod => of_pod.to_owned(),
            Self::Template(path) if of_pod.is_empty() => path.join("."),
            Self::Template(path) => format!("{}.{of_pod}", path.join(".")),
        }
    }
}

/// Which value on the path to a template is not an object. An absent template is not a fault: it makes no
/// pods, and the API server rejects the workload.
pub(super) fn fault(workload: &Json<'_>, path: &[&str]) -> Option<Fault> {
    let mut here = workload;
    for (depth, member) in path.iter().enumerate() {
        here = match here.get(member)? {
            Json::Null => return None,
            object @ Json::Map(_) => object,
            _ => return Some((path.get(..=depth)?.join("."), "an object")),
        };
    }
    match here.get("metadata") {
        None | Some(Json::Null | Json::Map(_)) => None,
        Some(_) => Some((format!("{}.metadata", path.join(".")), "an object")),
    }
}

/// The pod that the template at `path` makes; `None` where there is no template.
///
/// Metadata and spec are the template's; the namespace is the workload's. The name is left to be generated,
/// as controllers do.
#[must_use]
pub fn synthetic_pod<'a>(workload: &Json<'a>, path: &[&str]) -> Option<Json<'a>> {
    let template = workload.at(path)?.as_map()?;
    let mut metadata = match template.get("metadata") {
        Some(Json::Map(metadata)) => metadata.clone(),
        _ => Map::new(),
    };
    if let Some(namespace) = workload.at(&["metadata", "namespace"]) {
        metadata.insert(Cow::Borrowed("namespace"), namespace.clone());
    }
    if let Some(name) = workload.at(&["metadata", "name"]).and_then(Json::as_str) {
        metadata.insert(Cow::Borrowed("generateName"), Json::Str(Cow::Owned(format!("{name}-"))));
    }
    let pod = [
        (Cow::Borrowed("apiVersion"), Json::Str(Cow::Borrowed("v1"))),
        (Cow::Borrowed("kind"), Json::Str(Cow::Borrowed("Pod"))),
        (Cow::Borrowed("metadata"), Json::Map(metadata)),
        (Cow::Borrowed("spec"), template.get("spec").cloned().unwrap_or_default()),
    ];
    Some(Json::Map(pod.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::super::ManifestContext;
    use super::*;

    fn place(api_version: &str, kind: &str, sub_resource: &'static str) -> Option<Place> {
        let text = format!(r#"{{"apiVersion": "{api_version}", "kind": "{kind}"}}"#);
        let manifest = Json::parse(text.as_bytes()).unwrap().into_owned();
        let context =
            ManifestContext { sub_resource: Cow::Borrowed(sub_resource), ..ManifestContext::default() };
        Place::of(&AdmissionRequest::from_manifest(manifest, context).unwrap())
    }

    #[test]
    fn the_nine_kinds_have_a_place() {
        assert_eq!(place("v1", "Pod", ""), Some(Place::Pod));
        assert_eq!(place("v1", "PodTemplate", "").unwrap().field("spec.x"), "template.spec.x");
        for (api_version, kind) in [
            ("v1", "ReplicationController"),
            ("apps/v1", "Deployment"),
            ("apps/v1", "ReplicaSet"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "DaemonSet"),
            ("batch/v1", "Job"),
        ] {
            assert_eq!(
                place(api_version, kind, "").unwrap().field("spec.x"),
                "spec.template.spec.x",
                "{kind}"
            );
            assert_eq!(place(api_version, kind, "scale"), None, "{kind}");
        }
        let cron = place("batch/v1", "CronJob", "").unwrap();
        assert_eq!(cron.field("spec.containers[0]"), "spec.jobTemplate.spec.template.spec.containers[0]");
        assert_eq!(cron.field(""), "spec.jobTemplate.spec.template");
    }

    #[test]
    fn only_sub_resources_that_carry_the_pod_have_one() {
        for (sub_resource, want) in [
            ("ephemeralcontainers", true),
            ("resize", true),
            ("status", true),
            ("binding", false),
            ("exec", false),
        ] {
            assert_eq!(place("v1", "Pod", sub_resource).is_some(), want, "{sub_resource}");
        }
        assert_eq!(place("v1", "ConfigMap", ""), None);
        assert_eq!(place("example.org/v1", "Deployment", ""), None);
    }

    #[test]
    fn a_template_makes_a_pod_in_the_workloads_namespace() {
        let text = br#"{"metadata": {"name": "w", "namespace": "n"}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": true}}}}"#;
        let workload = Json::parse(text).unwrap();
        let pod = synthetic_pod(&workload, &["spec", "template"]).unwrap();
        assert_eq!(pod.at(&["metadata", "namespace"]).unwrap().as_str(), Some("n"));
        assert_eq!(pod.at(&["metadata", "generateName"]).unwrap().as_str(), Some("w-"));
        assert_eq!(pod.at(&["metadata", "labels", "a"]).unwrap().as_str(), Some("b"));
        assert_eq!(pod.at(&["spec", "hostNetwork"]), Some(&Json::Bool(true)));
        assert_eq!(synthetic_pod(&workload, &["template"]), None);
    }
}
