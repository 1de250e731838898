//! The labels of governed namespaces: those that the subject selects by, and the Pod Security levels. Also
//! the labels of the pools' own namespaces, where no other pods belong.
//!
//! `enforce` holds for every pod of a namespace, so it is written only where the namespace is exclusive to
//! governed pods. Elsewhere, `warn` and `audit` report what the webhook and the floor deny for the governed
//! pods alone. One label holds one level: of several levels at different versions, the first and strictest is
//! written, and the webhook and the floor enforce the others.
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/>

use std::collections::BTreeMap;

use bailiwick_policy::policy::{PodSecurity, PodSecurityLevel};
use k8s_openapi::api::core::v1::Namespace;

use super::EmitError;
use super::artifact::{Artifact, Target};
use super::cell::Cell;
use super::manifest::Documents;
use crate::check::bw0427_pool_namespaces::POOL_LABEL;

pub(super) fn emit(cell: &Cell<'_>) -> Result<Option<Artifact>, EmitError> {
    let (Some(subject), Some(governed)) = (&cell.policy.subject, cell.namespaces()) else { return Ok(None) };
    let Some(mut labels) = Cell::labels_under(&governed) else { return Ok(None) };
    if let Some(level) = cell.policy.isolation.pod_security.first() {
        let modes: &[&str] =
            if subject.exclusive { &["enforce", "warn", "audit"] } else { &["warn", "audit"] };
        labels.extend(pod_security(level.value, modes));
    }
    let mut names = cell.known_namespaces();
    if names.is_empty() {
        let first = || cell.policy.packs.first().map(|pack| pack.name.clone());
        names.extend(cell.options.pack.clone().or_else(first));
    }
    let mut documents = Documents::new("kubernetes/namespace.yaml");
    for name in names {
        let mut metadata = cell.metadata(name);
        metadata.labels.get_or_insert_default().extend(labels.clone());
        documents.push(&Namespace { metadata, ..Namespace::default() })?;
    }
    let levels = cell.policy.isolation.pod_security.iter().flat_map(|level| &level.from);
    let from = cell.fields(subject.from.iter().chain(levels))?;
    Ok(documents.bytes().map(|bytes| Artifact { bytes, target: Target::PodSecurityLabels, from }))
}

/// One namespace for each pool, with the same name: the level holds for every pod there, whatever creates it.
pub(super) fn pools(cell: &Cell<'_>) -> Result<Option<Artifact>, EmitError> {
    let mut documents = Documents::new("kubernetes/pool-namespaces.yaml");
    for pool in &cell.policy.pools {
        let mut metadata = cell.metadata(pool.name.clone());
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(POOL_LABEL.to_owned(), pool.name.clone());
        labels.extend(pod_security(pool.pod_security, &["enforce", "warn", "audit"]));
        documents.push(&Namespace { metadata, ..Namespace::default() })?;
    }
    let from = cell.fields(cell.policy.pools.iter().flat_map(|pool| &pool.from))?;
    Ok(documents.bytes().map(|bytes| Artifact { bytes, target: Target::PodSecurityLabels, from }))
}

/// The label value of a level.
pub(super) const fn level_name(level: PodSecurityLevel) -> &'static str {
    match level {
        PodSecurityLevel::Privileged => "privileged",
        PodSecurityLevel::Baseline => "baseline",
        PodSecurityLevel::Restricted => "restricted",
    }
}

pub(super) fn pod_security(level: PodSecurity, modes: &[&str]) -> BTreeMap<String, String> {
    modes
        .iter()
        .flat_map(|mode| {
            [
                (format!("pod-security.kubernetes.io/{mode}"), level_name(level.level).to_owned()),
                (format!("pod-security.kubernetes.io/{mode}-version"), format!("v1.{}", level.minor)),
            ]
        })
        .collect()
}
