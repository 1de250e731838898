//! The users' objects, read from the mirror: packs, bindings, exceptions, pools, namespaces. Pure.

use std::sync::Arc;

use bailiwick_compiler::cluster::{ClusterPacks, NamespaceLabels, precedence};
use bailiwick_crds::binding::{PolicyBindingSpec, PolicyBindingStatus, PolicyException};
use bailiwick_crds::sandbox_pool::SandboxPoolSpec;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::mirror::View;
use crate::object::{Live, digest};

/// An object of one of our kinds and its content; an `Err` is reported in its status.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// The object.
    pub live: Arc<Live>,
    /// Its content.
    pub said: Result<T, String>,
}

/// A pack in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackFacts {
    /// Name without version.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 (hex) of its spec.
    pub digest: String,
}

/// A binding's spec and what its status records.
#[derive(Clone, Debug)]
pub struct BindingFacts {
    /// Its spec.
    pub spec: PolicyBindingSpec,
    /// What was in force.
    pub status: Option<PolicyBindingStatus>,
}

/// All of the users' objects.
#[derive(Debug, Default)]
pub struct World {
    /// The packs, for the compiler.
    pub packs: ClusterPacks,
    /// Each pack object.
    pub pack_objects: Vec<Read<PackFacts>>,
    /// Each binding.
    pub bindings: Vec<Read<BindingFacts>>,
    /// Each exception.
    pub exceptions: Vec<Read<PolicyException>>,
    /// Each pool.
    pub pools: Vec<Read<SandboxPoolSpec>>,
    /// Labels of all namespaces that are not being deleted.
    pub namespaces: NamespaceLabels,
    /// Equal for equal worlds, not counting statuses.
    pub fingerprint: String,
}

fn spec<T: DeserializeOwned>(live: &Live) -> Result<T, String> {
    serde_json::from_value(live.spec().clone()).map_err(|error| format!("spec: {error}"))
}

/// A pack's object, as the compiler reads it.
fn pack_object(live: &Live) -> Value {
    json!({
        "metadata": { "name": live.key.name, "annotations": live.annotations }, "spec": live.spec(),
    })
}

fn pack(live: &Live, object: &Value, packs: &mut ClusterPacks) -> Result<PackFacts, String> {
    let digest = packs.add(object).map_err(|error| error.to_string())?;
    let text = |member: &str| live.spec().get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(PackFacts { name: text("pack"), version: text("version"), digest })
}

fn exception(live: &Live) -> Result<PolicyException, String> {
    let object = json!({
        "apiVersion": bailiwick_crds::API_VERSION, "kind": "PolicyException", "spec": live.spec(),
        "metadata": {
            "name": live.key.name, "namespace": live.key.namespace, "creationTimestamp": live.created,
        },
    });
    serde_json::from_value(object).map_err(|error| error.to_string())
}

impl World {
    /// Reads the world. Objects that are being deleted no longer count.
    #[must_use]
    pub fn read(view: &View) -> Self {
        let mut world = Self::default();
        let (mut prints, mut packs) = (Vec::new(), Vec::new());
        for kind in [Kind::PolicyPack, Kind::PolicyBinding, Kind::PolicyException, Kind::SandboxPool] {
            for live in view.of(kind).filter(|live| !live.ending) {
                prints.push(json!([
                    kind.name(),
                    live.key.namespace,
                    live.key.name,
                    live.uid,
                    live.generation,
                    live.annotations
                ]));
                let live = Arc::clone(live);
                match kind {
                    Kind::PolicyPack => packs.push((pack_object(&live), live)),
                    Kind::PolicyBinding => {
                        let status = serde_json::from_value(live.status.clone()).ok();
                        let said = spec(&live).map(|spec| BindingFacts { spec, status });
                        world.bindings.push(Read { live, said });
                    }
                    Kind::PolicyException => {
                        let said = exception(&live);
                        world.exceptions.push(Read { live, said });
                    }
                    _ => {
                        let said = spec(&live);
                        world.pools.push(Read { live, said });
                    }
                }
            }
        }
        packs.sort_by_cached_key(|(object, _)| precedence(object));
        for (object, live) in packs {
            let said = pack(&live, &object, &mut world.packs);
            world.pack_objects.push(Read { live, said });
        }
        for live in view.of(Kind::Namespace).filter(|live| !live.ending) {
            prints.push(json!(["Namespace", live.key.name, live.labels]));
            world.namespaces.insert(live.key.name.clone(), live.labels.clone());
        }
        world.fingerprint = digest(&Value::Array(prints));
        world
    }
}
