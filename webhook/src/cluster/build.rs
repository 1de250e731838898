//! From the objects of the cluster to a snapshot. This blocks: compiling takes longer than a review may wait,
//! so it runs outside the threads that serve.

use std::collections::BTreeMap;

use bailiwick_compiler::cluster::{
    self, Binding, ClusterPacks, InForce, NamespaceLabels, Verdict, precedence,
};
use bailiwick_compiler::rego::Regorus;
use bailiwick_crds::binding::{PolicyBinding, PolicyException};
use bailiwick_policy::admission::{Exception, Moment, Namespaces, Reviewer};
use serde_json::Value as Json;
use tracing::{error, info, warn};

use super::Known;
use super::world::{Watched, World};
use crate::judge;
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
    let mut ordered: Vec<&Json> = parts.packs.iter().collect();
    ordered.sort_by_cached_key(|pack| precedence(pack));
    for pack in ordered {
        if let Err(reason) = packs.add(pack) {
            error!(pack = ?name_of(pack), %reason, "pack left out");
        }
    }
    let bindings = typed::<PolicyBinding>(&parts.bindings)?;
    let exceptions = exceptions(&parts.exceptions, policy_namespace, judge::now());
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

/// The exceptions that apply at a time. One that is not allowed, for which there is no room, or that cannot be read,
/// excepts nothing.
fn exceptions(objects: &[Json], policy_namespace: &str, now: Moment) -> Vec<Exception> {
    let mut readable = Vec::with_capacity(objects.len());
    // One that is being deleted holds no more, as in the operator.
    let objects = objects.iter().filter(|object| object.pointer("/metadata/deletionTimestamp").is_none());
    for object in objects {
        match serde_json::from_value::<PolicyException>(object.clone()) {
            Ok(typed) => readable.push(typed),
            Err(reason) => warn!(exception = ?name_of(object), %reason, "exception does not hold"),
        }
    }
    let readable: Vec<&PolicyException> = readable.iter().collect();
    let mut out = Vec::with_capacity(readable.len());
    for (object, verdict) in readable.iter().zip(cluster::exceptions(&readable, policy_namespace, now)) {
        match verdict {
            Ok(exception) => out.push(exception),
            Err(reason) => warn!(exception = ?object.metadata.name, %reason, "exception does not hold"),
        }
    }
    out
}

fn name_of(object: &Json) -> &str {
    object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pack(name: &str, cidr: &str) -> Json {
        json!({
            "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack",
            "metadata": { "name": name },
            "spec": {
                "pack": "a", "version": "1.0.0",
                "subjects": { "namespaces": { "selector": { "matchLabels": { "zone": "a" } } }, "unmatched": "Deny" },
                "network": { "egress": [{ "name": "out", "to": { "cidr": cidr }, "ports": [{ "port": 443 }] }] },
            },
        })
    }

    fn built(packs: Vec<Json>, status: &Json, before: &InForce) -> Result<Known, String> {
        let binding = json!({
            "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyBinding", "metadata": { "name": "b" },
            "spec": { "pack": { "name": "a", "version": "1.0.0" } }, "status": status,
        });
        let (bindings, namespaces) = (vec![binding], NamespaceLabels::new());
        let parts = Parts { packs, bindings, exceptions: Vec::new(), namespaces };
        build(&parts, before, "system").map(|(_, known)| known)
    }

    #[test]
    fn another_object_of_a_version_in_force_changes_nothing_also_after_a_restart() {
        let first = pack("a-1.0.0", "192.0.2.0/24");
        // Its name sorts before the one of the first, as it is listed.
        let other = pack("0", "0.0.0.0/0");
        let alone = built(vec![first.clone()], &Json::Null, &InForce::default()).expect("a snapshot");
        let bound = alone.in_force.policy("b").expect("it is in force").clone();
        let status = json!({ "version": "1.0.0", "digest": bound.pack.digest });
        for before in [&alone.in_force, &InForce::default()] {
            let beside = built(vec![other.clone(), first.clone()], &status, before).expect("a snapshot");
            assert_eq!(beside.in_force.policy("b"), Some(&bound));
            assert!(beside.packs.is_another(&other) && !beside.packs.is_another(&first));
        }
    }
}
