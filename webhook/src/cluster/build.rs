//! From the objects of the cluster to a snapshot. This blocks: compiling takes longer than a review may wait,
//! so it runs outside the threads that serve.

use std::collections::BTreeMap;

use bailiwick_compiler::cluster::{Binding, ClusterPacks, InForce, NamespaceLabels, Verdict, exception};
use bailiwick_compiler::rego::Regorus;
use bailiwick_crds::binding::{PolicyBinding, PolicyException};
use bailiwick_policy::admission::{Exception, Namespaces, Reviewer};
use serde_json::Value as Json;
use tracing::{error, info, warn};

use super::Known;
use super::world::{Watched, World};
use crate::snapshot::{Loaded, Snapshot};

/// The objects that one snapshot is built from.
pub(crate) struct Parts {
    packs: Vec<Json>,
    bindings: Vec<Json>,
    exceptions: Vec<Json>,
    namespaces: NamespaceLabels,
}

impl Parts {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            packs: world.objects(Watched::Packs),
            bindings: world.objects(Watched::Bindings),
            exceptions: world.objects(Watched::Exceptions),
            namespaces: world.objects(Watched::Namespaces).iter().filter_map(labels).collect(),
        }
    }
}

/// The name and labels of a namespace.
fn labels(namespace: &Json) -> Option<(String, BTreeMap<String, String>)> {
    let metadata = namespace.get("metadata")?;
    let labels = metadata.get("labels").cloned().unwrap_or_default();
    Some((metadata.get("name")?.as_str()?.to_owned(), serde_json::from_value(labels).unwrap_or_default()))
}

/// Builds the next snapshot from the objects and from what was in force.
///
/// # Errors
/// Why nothing of it can take effect; what was in force stays.
pub(crate) fn build(
    parts: &Parts,
    before: &InForce,
    policy_namespace: &str,
) -> Result<(Snapshot, Known), String> {
    let mut packs = ClusterPacks::default();
    for pack in &parts.packs {
        if let Err(reason) = packs.add(pack) {
            error!(pack = ?name_of(pack), %reason, "pack left out");
        }
    }
    let bindings = typed::<PolicyBinding>(&parts.bindings)?;
    let exceptions = exceptions(&parts.exceptions, policy_namespace);
    let mut in_force = before.clone();
    let named: Vec<Binding<'_>> = bindings
        .iter()
        .map(|binding| Binding {
            name: binding.metadata.name.as_deref().unwrap_or_default(),
            spec: &binding.spec,
            status: binding.status.as_ref(),
        })
        .collect();
    let verdicts = in_force.update(&named, &packs);
    for (binding, verdict) in named.iter().zip(&verdicts) {
        say(verdict);
        if verdict.is_lost(binding) {
            return Err(format!(
                "binding `{}` was in force and cannot be compiled any more: {}",
                binding.name, verdict.message
            ));
        }
    }
    let namespaces = Namespaces::new(parts.namespaces.clone());
    let reviewer = Reviewer::with_rego(in_force.reviewable(&exceptions), namespaces, &Regorus)
        .map_err(|error| error.to_string())?;
    let loaded = in_force.policies().map(|bound| Loaded {
        file: bound.binding.clone(),
        digest: bound.digest.clone(),
        cell: bound.policy.cell.clone(),
        stage: bound.stage,
    });
    let snapshot = Snapshot::of(reviewer, loaded.collect());
    Ok((snapshot, Known { packs, in_force }))
}

fn say(verdict: &Verdict) {
    match &verdict.in_force {
        Some(pack) if verdict.is_current() => {
            info!(binding = ?verdict.binding, pack = ?pack.name, version = %pack.version, "bound");
        }
        Some(pack) => {
            let reason = &verdict.message;
            warn!(binding = ?verdict.binding, version = %pack.version, ?reason, "the last version that compiled stays bound");
        }
        None => warn!(binding = ?verdict.binding, reason = ?verdict.message, "not bound"),
    }
}

/// Objects as their kind. One that cannot be read is an error and is not skipped, since what it binds is
/// unknown.
fn typed<T: serde::de::DeserializeOwned>(objects: &[Json]) -> Result<Vec<T>, String> {
    let read = |object: &Json| {
        serde_json::from_value(object.clone()).map_err(|error| format!("`{}`: {error}", name_of(object)))
    };
    objects.iter().map(read).collect()
}

/// The exceptions that may apply. One that is not allowed, or cannot be read, excepts nothing.
fn exceptions(objects: &[Json], policy_namespace: &str) -> Vec<Exception> {
    let read = |object: &Json| {
        let typed: PolicyException =
            serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
        exception(&typed, policy_namespace).map_err(|error| error.to_string())
    };
    let mut out = Vec::with_capacity(objects.len());
    for object in objects {
        match read(object) {
            Ok(exception) => out.push(exception),
            Err(reason) => warn!(exception = ?name_of(object), ?reason, "exception does not hold"),
        }
    }
    out
}

fn name_of(object: &Json) -> &str {
    object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default()
}
