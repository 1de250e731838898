//! From what people said to everything that there is to be. Pure, but for what it remembers: of each binding and pool the last that compiled.
//!
//! Not here: whether the webhook is armed (`arming`), certificates, and writing.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::cluster::{
    Binding, Cells, ClusterOptions, InForce, Objects, Problem, Verdict, cells, exception, objects, webhooks,
};
use bailiwick_policy::admission::{Exception, Stage};
use serde_json::Value;

use crate::certificates::UnixTime;
use crate::object::{Key, Wanted};
use crate::pools::{self, PoolError, UserNamespaces};
use crate::world::World;

/// What the cluster's owner says to the operator itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the operator, the webhook and exceptions are.
    pub namespace: String,
    /// Of the emitters; `ca_bundle` and `exceptions` are filled in here.
    pub cluster: ClusterOptions,
    /// Of pools.
    pub user_namespaces: UserNamespaces,
}

/// What is to be said of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolVerdict {
    /// Its place and name.
    pub key: Key,
    /// Why it does not run as it asks.
    pub error: Option<PoolError>,
    /// The digest that its pods have, or will have.
    pub digest: Option<String>,
}

/// Everything that there is to be.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// All objects but the webhook configurations.
    pub wanted: BTreeMap<Key, Wanted>,
    /// The webhook configurations, for when they are armed.
    pub hooks: BTreeMap<Key, Wanted>,
    /// The bindings that an object comes from.
    pub bindings_of: BTreeMap<Key, Vec<String>>,
    /// Digests that the webhook must decide by.
    pub expected: BTreeSet<String>,
    /// Of each binding, by name.
    pub verdicts: BTreeMap<String, Verdict>,
    /// The stage that each binding is in force at, as a word.
    pub stages: BTreeMap<String, &'static str>,
    /// Of each pool.
    pub pools: Vec<PoolVerdict>,
    /// The cells.
    pub cells: Cells,
    /// What does not fit together.
    pub problems: Vec<Problem>,
    /// Why an exception does not hold, by key; those that hold have `None`.
    pub exceptions: BTreeMap<Key, Option<String>>,
    /// When the next exception expires.
    pub next: Option<UnixTime>,
    /// Namespaces whose pools cannot be worked out: what stands there for pools stays.
    pub held: BTreeSet<String>,
}

/// Derives, and remembers what worked.
#[derive(Debug, Default)]
pub struct Deriver {
    in_force: InForce,
    pools: BTreeMap<Key, pools::Bound>,
}

impl Deriver {
    /// Works everything out anew. What compiled before is not compiled again.
    pub fn derive(&mut self, world: &World, options: &Options, bundle: &str, now: UnixTime) -> Derived {
        let mut out = Derived::default();
        let bindings: Vec<Binding<'_>> = world
            .bindings
            .iter()
            .filter_map(|one| {
                let said = one.said.as_ref().ok()?;
                Some(Binding { name: &one.live.key.name, spec: &said.spec, status: said.status.as_ref() })
            })
            .collect();
        let verdicts = self.in_force.update(&bindings, &world.packs);
        out.verdicts = verdicts.into_iter().map(|verdict| (verdict.binding.clone(), verdict)).collect();
        out.expected = self.in_force.policies().map(|bound| bound.digest.clone()).collect();
        out.stages =
            self.in_force.policies().map(|bound| (bound.binding.clone(), word(bound.stage))).collect();
        let mut cluster = options.cluster.clone();
        cluster.ca_bundle = Some(bundle.as_bytes().to_vec());
        cluster.exceptions = out.exceptions(world, &options.namespace, now);
        out.cells = cells(&self.in_force, &world.namespaces);
        out.problems.clone_from(&out.cells.problems);
        match objects(&self.in_force, &out.cells, &cluster) {
            Ok(objects) => out.take(objects, &options.namespace),
            Err(error) => out.problems.push(problem("CannotEmit", &error)),
        }
        match webhooks(&self.in_force, &cluster) {
            Ok(objects) => out.hooks = out.read(objects, &options.namespace),
            Err(error) => out.problems.push(problem("CannotEmit", &error)),
        }
        self.pools(world, options, &mut out);
        out
    }

    fn pools(&mut self, world: &World, options: &Options, out: &mut Derived) {
        let digests = world.digests();
        let there: BTreeSet<&Key> = world.pools.iter().map(|pool| &pool.live.key).collect();
        self.pools.retain(|key, _| there.contains(key));
        for pool in &world.pools {
            let key = pool.live.key.clone();
            let spec = match &pool.said {
                Ok(spec) => spec,
                Err(why) => {
                    let error = Some(PoolError::DoesNotCompile(why.clone()));
                    out.held.extend(key.namespace.clone());
                    out.pools.push(PoolVerdict { key, error, digest: None });
                    continue;
                }
            };
            let error = match pools::bind(spec, &world.packs, &digests) {
                Ok(bound) => {
                    self.pools.insert(key.clone(), bound);
                    None
                }
                Err(error) => Some(error),
            };
            let Some(bound) = self.pools.get(&key) else {
                out.held.extend(key.namespace.clone());
                out.pools.push(PoolVerdict { key, error, digest: None });
                continue;
            };
            for manifest in pools::manifests(&pool.live, spec, bound, options.user_namespaces) {
                out.want(manifest, &options.namespace);
            }
            out.pools.push(PoolVerdict { key, error, digest: Some(bound.digest.clone()) });
        }
    }
}

const fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Audit => "Audit",
        Stage::Warn => "Warn",
        Stage::Enforce => "Enforce",
    }
}

fn problem(reason: &'static str, error: &dyn std::fmt::Display) -> Problem {
    Problem { bindings: Vec::new(), reason, message: error.to_string() }
}

impl Derived {
    /// Which exceptions hold now.
    fn exceptions(&mut self, world: &World, namespace: &str, now: UnixTime) -> Vec<Exception> {
        let mut holding = Vec::new();
        for one in &world.exceptions {
            let read = one
                .said
                .clone()
                .and_then(|object| exception(&object, namespace).map_err(|error| error.to_string()));
            let why = match read {
                Err(why) => Some(why),
                Ok(exception) if exception.expires.0 <= now => Some("it has expired".to_owned()),
                Ok(exception) => {
                    let expires = exception.expires.0;
                    self.next = Some(self.next.map_or(expires, |next| next.min(expires)));
                    holding.push(exception);
                    None
                }
            };
            self.exceptions.insert(one.live.key.clone(), why);
        }
        holding
    }

    fn want(&mut self, manifest: Value, owner: &str) {
        match Wanted::new(manifest, owner) {
            Ok(wanted) => drop(self.wanted.insert(wanted.key.clone(), wanted)),
            Err(error) => self.problems.push(problem("CannotApply", &error)),
        }
    }

    fn read(&mut self, objects: Objects, owner: &str) -> BTreeMap<Key, Wanted> {
        self.problems.extend(objects.problems);
        let mut out = BTreeMap::new();
        for object in objects.objects {
            match Wanted::new(typed(object.json, &object.api_version, &object.kind), owner) {
                Ok(wanted) => {
                    self.bindings_of.insert(wanted.key.clone(), object.bindings);
                    out.insert(wanted.key.clone(), wanted);
                }
                Err(error) => self.problems.push(Problem {
                    bindings: object.bindings,
                    reason: "CannotApply",
                    message: error.to_string(),
                }),
            }
        }
        out
    }

    fn take(&mut self, objects: Objects, owner: &str) {
        let read = self.read(objects, owner);
        self.wanted.extend(read);
    }
}

/// With its type, which some writers leave out.
fn typed(mut manifest: Value, api_version: &str, kind: &str) -> Value {
    if let Some(object) = manifest.as_object_mut() {
        object.entry("apiVersion").or_insert_with(|| Value::String(api_version.to_owned()));
        object.entry("kind").or_insert_with(|| Value::String(kind.to_owned()));
    }
    manifest
}
