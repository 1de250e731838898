//! RuntimeClasses that the packs define, and a template that shows authors of workloads what a governed pod
//! looks like.
//!
//! `overhead` and `scheduling` are left to the cluster's owner: the RuntimeClass admission plugin adds the
//! overhead to each pod and rejects pods that set it themselves.
//! <https://kubernetes.io/docs/concepts/containers/runtime-class/>

use bailiwick_policy::policy::{PodSecurityLevel, ServiceAccountToken};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, PodSpec, PodTemplate, PodTemplateSpec, SeccompProfile,
    SecurityContext,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::EmitError;
use super::artifact::{Artifact, Target};
use super::cell::Cell;
use super::manifest::Documents;

/// Placeholder for the author's image, since the API server requires one: a name that no registry can have
/// (RFC 2606).
const IMAGE: &str = "registry.invalid/replace-me";

/// One RuntimeClass per class; `None` if the policy names none. These objects belong to the cluster, not to
/// the cell, and have the names that pods use.
pub(super) fn classes(cell: &Cell<'_>) -> Result<Option<Artifact>, EmitError> {
    let Some(stated) = &cell.policy.isolation.runtime_class else { return Ok(None) };
    let mut documents = Documents::new("kubernetes/runtime-classes.yaml");
    for class in &stated.value.classes {
        documents.push(&RuntimeClass {
            handler: class.handler.clone(),
            metadata: cell.metadata(class.name.clone()),
            ..RuntimeClass::default()
        })?;
    }
    let from = cell.fields(&stated.from)?;
    Ok(documents.bytes().map(|bytes| Artifact { bytes, target: Target::RuntimeClass, from }))
}

/// The template; `None` if the policy governs no pod.
pub(super) fn pod_template(cell: &Cell<'_>) -> Result<Option<Artifact>, EmitError> {
    let isolation = &cell.policy.isolation;
    let (Some(subject), Some(governed)) = (&cell.policy.subject, cell.pods()) else { return Ok(None) };
    let Some(labels) = Cell::labels_under(&governed) else { return Ok(None) };
    let strictest = isolation.pod_security.iter().map(|stated| stated.value.level).max();
    let token = isolation.service_account_token.as_ref().map(|stated| stated.value);
    let class = isolation.runtime_class.as_ref().and_then(|stated| stated.value.default_class());
    let spec = PodSpec {
        automount_service_account_token: (token == Some(ServiceAccountToken::Forbidden)).then_some(false),
        containers: vec![Container {
            name: "main".to_owned(),
            image: Some(IMAGE.to_owned()),
            security_context: container_security(strictest),
            ..Container::default()
        }],
        runtime_class_name: class.map(|class| class.name.clone()),
        security_context: pod_security(strictest),
        ..PodSpec::default()
    };
    let template = PodTemplate {
        metadata: cell.metadata(cell.name("pod")),
        template: Some(PodTemplateSpec {
            metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
            spec: Some(spec),
        }),
    };
    let mut documents = Documents::new("kubernetes/pod-template.yaml");
    documents.push(&template)?;
    let levels = isolation.pod_security.iter().flat_map(|stated| &stated.from);
    let classes = isolation.runtime_class.iter().flat_map(|stated| &stated.from);
    let tokens = isolation.service_account_token.iter().flat_map(|stated| &stated.from);
    let from = cell.fields(subject.from.iter().chain(levels).chain(classes).chain(tokens))?;
    Ok(documents.bytes().map(|bytes| Artifact { bytes, target: Target::PodTemplate, from }))
}

fn pod_security(level: Option<PodSecurityLevel>) -> Option<PodSecurityContext> {
    let level = level.filter(|level| *level > PodSecurityLevel::Privileged)?;
    Some(PodSecurityContext {
        run_as_non_root: (level == PodSecurityLevel::Restricted).then_some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    })
}

fn container_security(level: Option<PodSecurityLevel>) -> Option<SecurityContext> {
    level.filter(|level| *level == PodSecurityLevel::Restricted)?;
    Some(SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    })
}
