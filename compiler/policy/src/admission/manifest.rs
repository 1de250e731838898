//! The request that the API server would send for a manifest; for `bailiwick review` and tests.
//!
//! Not a client: it queries no cluster. The resource's name is derived from the kind as the API machinery
//! does (`meta.UnsafeGuessKindToResource`), which is right for every built-in kind. For other kinds the
//! caller gives the name and the scope. The namespace is written into the object and defaults are applied, as
//! the API server does before admission.

use std::borrow::Cow;

use crate::json::{Json, Map};

use super::request::{AdmissionRequest, Operation, ParseError};
use super::{defaults, schema};

/// What a manifest does not say about its request.
#[derive(Clone, Debug)]
pub struct ManifestContext<'a> {
    /// CREATE unless the caller says otherwise.
    pub operation: Operation,
    /// The object before the operation; for UPDATE and DELETE (where it defaults to the manifest itself).
    pub old: Option<Json<'a>>,
    /// The namespace of a namespaced manifest that names none; `default` if absent.
    pub namespace: Option<Cow<'a, str>>,
    /// `username`, `groups` and so on of the sender of the request.
    pub user_info: Option<Json<'a>>,
    /// `ephemeralcontainers` and so on; empty for the resource itself.
    pub sub_resource: Cow<'a, str>,
    /// Echoed in the answer.
    pub uid: Cow<'a, str>,
    /// The plural of the resource, such as `gateways`; guessed from the kind if absent.
    pub resource: Option<Cow<'a, str>>,
    /// The scope of objects of a kind that is not one of Kubernetes' own.
    pub custom_scope: Scope,
}

/// The scope of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// In namespaces.
    #[default]
    Namespaced,
    /// Outside namespaces.
    Cluster,
}

/// Whether a kind is one of Kubernetes' own or of ours, whose resource and scope are known here.
#[must_use]
pub fn is_known(group: &str, kind: &str) -> bool {
    group == OWN_GROUP
        || schema::roots().any(|(of, _, known, _)| (of, known) == (group, kind))
        || lives_outside(group, kind)
}

/// The group of our own kinds.
const OWN_GROUP: &str = "bailiwick.dev";

impl Default for ManifestContext<'_> {
    fn default() -> Self {
        Self {
            operation: Operation::Create,
            old: None,
            namespace: None,
            user_info: None,
            sub_resource: Cow::Borrowed(""),
            uid: Cow::Borrowed("00000000-0000-0000-0000-000000000000"),
            resource: None,
            custom_scope: Scope::default(),
        }
    }
}

/// Why a manifest does not make a request.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not an object.
    #[error("a manifest is an object with `apiVersion` and `kind`")]
    NotAnObject,
    /// `apiVersion` or `kind` is absent or not a string.
    #[error("`{0}` is missing or is not a string")]
    NoType(&'static str),
    /// `a/b/c`.
    #[error("apiVersion `{0}` is not `VERSION` or `GROUP/VERSION`")]
    ApiVersion(String),
    /// A `…List`, which the caller must expand.
    #[error("`{0}` is a list; its items are reviewed one by one")]
    List(String),
    /// The request is not complete.
    #[error(transparent)]
    Request(#[from] ParseError),
}

/// Built-in kinds that live outside namespaces, by group.
const CLUSTER_KINDS: &[(&str, &[&str])] = &[
    ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("authentication.k8s.io", &["SelfSubjectReview", "TokenReview"]),
    ("authorization.k8s.io", &["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"]),
    ("bailiwick.dev", &["PolicyBinding", "PolicyPack"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("internal.apiserver.k8s.io", &["StorageVersion"]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

impl<'a> AdmissionRequest<'a> {
    /// The request that the API server would send for this manifest.
    ///
    /// # Errors
    /// A manifest without a type, a list, or a request that lacks its old object.
    pub fn from_manifest(manifest: Json<'a>, context: ManifestContext<'a>) -> Result<Self, ManifestError> {
        if manifest.as_map().is_none() {
            return Err(ManifestError::NotAnObject);
        }
        let kind = member(&manifest, "kind")?;
        let (group, version) = group_version(member(&manifest, "apiVersion")?)?;
        if kind.ends_with("List") && manifest.get("items").is_some() {
            return Err(ManifestError::List(kind.into_owned()));
        }
        let name = manifest.at(&["metadata", "name"]).and_then(Json::as_str).unwrap_or_default().to_owned();
        let mut object = manifest;
        let is_outside = lives_outside(&group, &kind)
            || (context.custom_scope == Scope::Cluster && !is_known(&group, &kind));
        let home = if is_outside { Home::Cluster } else { Home::Namespace(context.namespace.as_deref()) };
        let namespace = place(&mut object, &group, &kind, home);
        let mut old = context.old;
        if let Some(old) = &mut old {
            place(old, &group, &kind, home);
        }
        for object in std::iter::once(&mut object).chain(&mut old) {
            settle(object, &group, &version, &kind);
        }
        let resource = context.resource.map_or_else(|| plural(&kind), Cow::into_owned);
        let (object, old) = match context.operation {
            Operation::Delete => (None, Some(old.unwrap_or(object))),
            _ => (Some(object), old),
        };
        let kind = record([("group", group.clone()), ("version", version.clone()), ("kind", kind)]);
        let resource = record([("group", group), ("version", version), ("resource", Cow::Owned(resource))]);
        let attributes = [
            ("uid", Json::Str(context.uid)),
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Json::Str(context.sub_resource.clone())),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Json::Str(context.sub_resource)),
            ("name", Json::Str(Cow::Owned(name))),
            ("namespace", Json::Str(Cow::Owned(namespace))),
            ("operation", Json::Str(Cow::Borrowed(context.operation.name()))),
            ("userInfo", context.user_info.unwrap_or_else(|| Json::Map(Map::new()))),
            ("dryRun", Json::Bool(false)),
            ("options", Json::Null),
        ];
        let attributes = attributes.into_iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect();
        Ok(Self::new(Json::Map(attributes), object, old)?)
    }
}

fn member<'a>(manifest: &Json<'a>, name: &'static str) -> Result<Cow<'a, str>, ManifestError> {
    match manifest.get(name) {
        Some(Json::Str(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(ManifestError::NoType(name)),
    }
}

fn group_version(api_version: Cow<'_, str>) -> Result<(Cow<'_, str>, Cow<'_, str>), ManifestError> {
    let Some((group, version)) = api_version.split_once('/') else {
        return Ok((Cow::Borrowed(""), api_version));
    };
    if group.is_empty() || version.is_empty() || version.contains('/') {
        return Err(ManifestError::ApiVersion(api_version.into_owned()));
    }
    Ok((Cow::Owned(group.to_owned()), Cow::Owned(version.to_owned())))
}

fn lives_outside(group: &str, kind: &str) -> bool {
    CLUSTER_KINDS.iter().any(|(of, kinds)| *of == group && kinds.contains(&kind))
}

/// Where to put an object.
#[derive(Clone, Copy)]
enum Home<'h> {
    Cluster,
    /// Into this namespace, unless it names one itself.
    Namespace(Option<&'h str>),
}

/// Writes the namespace into a namespaced object and returns the request's namespace. For a Namespace, that
/// is its own name.
fn place(object: &mut Json<'_>, group: &str, kind: &str, home: Home<'_>) -> String {
    let named =
        |member| object.at(&["metadata", member]).and_then(Json::as_str).unwrap_or_default().to_owned();
    if group.is_empty() && kind == "Namespace" {
        return named("name");
    }
    let Home::Namespace(namespace) = home else { return String::new() };
    let written = named("namespace");
    if !written.is_empty() {
        return written;
    }
    let namespace = namespace.unwrap_or("default").to_owned();
    if let Json::Map(members) = object {
        if members.get("metadata").is_none_or(|metadata| *metadata == Json::Null) {
            members.insert(Cow::Borrowed("metadata"), Json::Map(Map::new()));
        }
        if let Some(Json::Map(metadata)) = members.get_mut("metadata") {
            metadata.insert(Cow::Borrowed("namespace"), Json::Str(Cow::Owned(namespace.clone())));
        }
    }
    namespace
}

/// Brings an object to the form that admission sees: without managed fields, with defaults for known kinds.
fn settle(object: &mut Json<'_>, group: &str, version: &str, kind: &str) {
    if let Json::Map(members) = object
        && let Some(Json::Map(metadata)) = members.get_mut("metadata")
    {
        metadata.remove("managedFields");
    }
    if let Some(ty) = schema::root(group, version, kind) {
        defaults::apply(object, ty);
    }
}

/// `meta.UnsafeGuessKindToResource` of k8s.io/apimachinery.
#[must_use]
pub fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower == "endpoints" {
        return lower;
    }
    if lower.ends_with('s') {
        return format!("{lower}es");
    }
    match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{lower}s"),
    }
}

fn record<'a>(members: [(&'static str, Cow<'a, str>); 3]) -> Json<'a> {
    Json::Map(members.into_iter().map(|(key, value)| (Cow::Borrowed(key), Json::Str(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> AdmissionRequest<'_> {
        let manifest = Json::parse(text.as_bytes()).unwrap();
        AdmissionRequest::from_manifest(manifest, ManifestContext::default()).unwrap()
    }

    #[test]
    fn resources_are_named_as_the_api_machinery_does() {
        for (kind, resource) in [
            ("Pod", "pods"),
            ("NetworkPolicy", "networkpolicies"),
            ("Ingress", "ingresses"),
            ("Endpoints", "endpoints"),
            ("RuntimeClass", "runtimeclasses"),
            ("CronJob", "cronjobs"),
        ] {
            assert_eq!(plural(kind), resource);
        }
    }

    #[test]
    fn a_manifest_without_namespace_lands_in_default_and_the_object_says_so() {
        let request = request(r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}"#);
        assert_eq!(request.namespace, "default");
        let object = request.object.as_ref().unwrap();
        assert_eq!(object.at(&["metadata", "namespace"]).unwrap().as_str(), Some("default"));
        assert_eq!((request.resource.resource.as_ref(), request.name.as_ref()), ("pods", "p"));
    }

    #[test]
    fn cluster_kinds_have_no_namespace_and_a_namespace_has_its_own() {
        let class = r#"{"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "r"}, "handler": "h"}"#;
        assert_eq!(request(class).namespace, "");
        assert_eq!(
            request(r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}"#).namespace,
            "n"
        );
    }

    #[test]
    fn what_is_written_as_a_review_reads_as_the_same_request() {
        let text = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "managedFields": []}}"#;
        let request = request(text);
        let review = request.to_review().unwrap();
        assert_eq!(AdmissionRequest::parse(&review).unwrap(), request);
        assert_eq!(request.resource.group, "apps");
    }

    #[test]
    fn defaults_are_written_into_the_object_and_the_old_one() {
        let pod = || {
            Json::parse(br#"{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "x"}]}}"#)
                .unwrap()
        };
        let context =
            ManifestContext { operation: Operation::Update, old: Some(pod()), ..ManifestContext::default() };
        let request = AdmissionRequest::from_manifest(pod(), context).unwrap();
        for object in [request.object.as_ref().unwrap(), request.old_object.as_ref().unwrap()] {
            assert_eq!(object.at(&["spec", "restartPolicy"]).unwrap().as_str(), Some("Always"));
            let container = object.at(&["spec", "containers"]).unwrap().items().first().unwrap();
            assert_eq!(container.get("imagePullPolicy").unwrap().as_str(), Some("Always"));
        }
    }

    #[test]
    fn lists_and_typeless_manifests_are_refused() {
        for (text, want) in [
            (
                r#"{"apiVersion": "v1", "kind": "List", "items": []}"#,
                "`List` is a list; its items are reviewed one by one",
            ),
            (r#"{"kind": "Pod"}"#, "`apiVersion` is missing or is not a string"),
            (
                r#"{"apiVersion": "a/b/c", "kind": "Pod"}"#,
                "apiVersion `a/b/c` is not `VERSION` or `GROUP/VERSION`",
            ),
            (r#"[]"#, "a manifest is an object with `apiVersion` and `kind`"),
        ] {
            let manifest = Json::parse(text.as_bytes()).unwrap();
            let error = AdmissionRequest::from_manifest(manifest, ManifestContext::default()).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }
}
