//! From the users' objects to everything that should exist. Pure, except that it remembers the last version
//! of each binding and pool that compiled.
//!
//! Not here: whether the webhook is armed (`arming`), certificates, and writing.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::cluster::{
    Answers, Asked, Binding, Cells, InForce, Problem, Verdict, cells, exceptions,
};
use bailiwick_compiler::emit::{ClusterOptions, EmitError, IfLost, Left, Objects, objects, webhooks};
use bailiwick_crds::binding::{Chosen, PolicyException};
use bailiwick_crds::sandbox_pool::SandboxPoolSpec;
use bailiwick_policy::admission::{Exception, Moment};
use serde_json::Value;

use crate::certificates::UnixTime;
use crate::object::{Key, Wanted};
use crate::pools::{self, BoundPool, PodSettings, PoolError, PoolVerdict};
use crate::recall;
use crate::whole::{self, Standing};
use crate::world::World;

/// Most names in one message: a cluster may have thousands of namespaces.
const MAX_NAMED: usize = 10;

/// The cluster owner's settings for the operator itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the operator, the webhook and exceptions are.
    pub namespace: String,
    /// Options of the emitters; `ca_bundle` and `exceptions` are filled in here.
    pub cluster: ClusterOptions,
    /// For the pods of pools.
    pub pods: PodSettings,
}

/// What a binding has put in force.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundPack {
    /// Name of the pack.
    pub pack: String,
    /// The binding's choices.
    pub chosen: Chosen,
    /// The stage, as a word.
    pub stage: &'static str,
    /// Digest of the policy, by which the webhook decides.
    pub digest: String,
    /// What stays protected if the pack cannot be compiled again; `None`: it governs no pods.
    pub if_lost: Option<IfLost>,
}

impl BoundPack {
    /// What a replica must report to decide by it, see [`Derived::expected`].
    #[must_use]
    pub fn decided_by(&self) -> String {
        format!("{} {}", self.digest, self.stage)
    }
}

/// Everything that should exist.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// All objects but the webhook configurations.
    pub wanted: BTreeMap<Key, Wanted>,
    /// The webhook configurations, for when they are armed.
    pub hooks: BTreeMap<Key, Wanted>,
    /// The bindings that an object comes from.
    pub bindings_of: BTreeMap<Key, Vec<String>>,
    /// What the webhook must decide by: digests, each with its stage, which is no part of what is digested.
    pub expected: BTreeSet<String>,
    /// Of each binding, by name.
    pub verdicts: BTreeMap<String, Verdict>,
    /// What each binding has put in force.
    pub bound: BTreeMap<String, BoundPack>,
    /// Of each pool.
    pub pools: Vec<PoolVerdict>,
    /// The cells.
    pub cells: Cells,
    /// Objects that do not fit together.
    pub problems: Vec<Problem>,
    /// Why an exception does not apply, by key; `None` for those that apply.
    pub exceptions: BTreeMap<Key, Option<String>>,
    /// When the next exception expires.
    pub next: Option<UnixTime>,
    /// Namespaces whose pools cannot be computed: existing objects of pools stay there.
    pub held: BTreeSet<String>,
    /// Bindings that had a policy in force which can no longer be computed nor recalled, with the reason. An object that
    /// does not name its bindings may then be theirs, so all such existing controls stay. What the webhook is
    /// asked about is in their statuses.
    pub lost: BTreeMap<String, String>,
    /// Bindings with objects that could not be emitted, with the reason. Which ones they would want is unknown:
    /// what exists of theirs stays.
    pub unemitted: BTreeMap<String, String>,
}

/// Derives, and remembers what compiled.
#[derive(Debug, Default)]
pub struct Deriver {
    in_force: InForce,
    pools: BTreeMap<Key, KeptPool>,
}

/// A pool's spec when it was last compiled, and the result.
#[derive(Debug)]
struct KeptPool {
    spec: SandboxPoolSpec,
    answers: Answers,
    /// The last that compiled.
    bound: Option<BoundPool>,
    error: Option<PoolError>,
}

impl Deriver {
    /// Computes everything again. What compiled before is not compiled again. `standing` matters only while a
    /// binding is lost.
    pub fn derive(
        &mut self,
        world: &World,
        options: &Options,
        bundle: &str,
        standing: &Standing,
        now: UnixTime,
    ) -> Derived {
        let mut out = Derived::default();
        let bindings: Vec<Binding<'_>> = world
            .bindings
            .iter()
            .filter_map(|one| {
                let said = one.said.as_ref().ok()?;
                Some(Binding { name: &one.live.key.name, spec: &said.spec, status: said.status.as_ref() })
            })
            .collect();
        let unreadable = world.bindings.iter().filter(|one| one.said.is_err());
        let unreadable = unreadable.map(|one| one.live.key.name.as_str()).collect();
        let verdicts = self.in_force.update_beside(&bindings, &unreadable, &world.packs);
        out.verdicts = verdicts.into_iter().map(|verdict| (verdict.binding.clone(), verdict)).collect();
        self.recall(world, standing, &mut out);
        let bound = self.in_force.policies().map(|bound| {
            let (pack, chosen, digest) =
                (bound.pack.name.clone(), bound.chosen.clone(), bound.digest.clone());
            let (stage, if_lost) = (bound.stage.word(), IfLost::of(bound));
            (bound.binding.clone(), BoundPack { pack, chosen, stage, digest, if_lost })
        });
        out.bound = bound.collect();
        out.expected = out.bound.values().map(BoundPack::decided_by).collect();
        let mut cluster = options.cluster.clone();
        cluster.ca_bundle = Some(bundle.as_bytes().to_vec());
        cluster.exceptions = out.exceptions(world, &options.namespace, now);
        cluster.left = standing.left(&out.lost);
        cluster.left.lost = if_lost(world, &out.lost);
        out.cells = cells(&self.in_force, &world.namespaces);
        out.problems.clone_from(&out.cells.problems);
        let emitted = objects(&self.in_force, &out.cells, &cluster);
        out.emitted(emitted, webhooks(&self.in_force, &cluster), &options.namespace);
        out.publish(&self.in_force, &options.namespace);
        out.held_back(&cluster.left);
        self.pools(world, options, &mut out);
        out
    }

    /// Bindings whose status says that a policy is in force which cannot be compiled: it is taken from its bundle,
    /// or is lost.
    fn recall(&mut self, world: &World, standing: &Standing, out: &mut Derived) {
        for one in &world.bindings {
            let name = &one.live.key.name;
            let version = one.live.status.get("version").and_then(Value::as_str);
            if version.is_none() || self.in_force.policy(name).is_some() {
                continue;
            }
            let lost = match recall::recall(&one.live, standing) {
                Ok(policy) => {
                    if let Some(verdict) = out.verdicts.get_mut(name) {
                        verdict.in_force = Some(policy.pack.clone());
                    }
                    self.in_force.recall(policy);
                    continue;
                }
                Err(lost) => lost,
            };
            let mut why = match &one.said {
                Err(why) => why.clone(),
                Ok(_) => out.verdicts.get(name).map(|verdict| verdict.message.clone()).unwrap_or_default(),
            };
            why = format!("{why}; {lost}, so that nothing vouches for what stands");
            if let (Ok(said), Some(version)) = (&one.said, version) {
                let pack = format!("{}@{version}", said.spec.pack.name);
                if !standing.has(&pack) {
                    why = format!("{why}; and no admission policy of `{pack}` exists");
                }
            }
            out.lost.insert(name.clone(), why);
        }
    }

    fn pools(&mut self, world: &World, options: &Options, out: &mut Derived) {
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
            let before = self.pools.remove(&key);
            let kept = match before {
                Some(kept) if kept.spec == *spec && kept.answers.hold(&world.packs) => kept,
                before => {
                    let asked = Asked::new(&world.packs);
                    let (bound, error) = match pools::bind(spec, &asked) {
                        Ok(bound) => (Some(bound), None),
                        Err(error) => (before.and_then(|kept| kept.bound), Some(error)),
                    };
                    KeptPool { spec: spec.clone(), answers: asked.answers(), bound, error }
                }
            };
            let digest = kept.bound.as_ref().map(|bound| bound.digest.clone());
            match &kept.bound {
                Some(bound) => {
                    for manifest in pools::manifests(&pool.live, spec, bound, options.pods) {
                        out.want(manifest, &options.namespace);
                    }
                }
                None => out.held.extend(key.namespace.clone()),
            }
            out.pools.push(PoolVerdict { key: key.clone(), error: kept.error.clone(), digest });
            self.pools.insert(key, kept);
        }
    }
}

/// What the statuses of lost bindings say of their policies.
fn if_lost(world: &World, lost: &BTreeMap<String, String>) -> BTreeMap<String, Option<IfLost>> {
    let lost = world.bindings.iter().filter(|one| lost.contains_key(&one.live.key.name));
    let said = lost.map(|one| (one.live.key.name.clone(), one.live.status.get("ifLost").cloned()));
    said.map(|(name, said)| (name, said.and_then(|said| serde_json::from_value(said).ok()))).collect()
}

fn problem(reason: &'static str, error: &dyn std::fmt::Display) -> Problem {
    Problem { bindings: Vec::new(), reason, message: error.to_string() }
}

impl Derived {
    /// The exceptions that apply now.
    fn exceptions(&mut self, world: &World, namespace: &str, now: UnixTime) -> Vec<Exception> {
        let readable =
            world.exceptions.iter().filter_map(|one| Some((&one.live.key, one.said.as_ref().ok()?)));
        let (keys, objects): (Vec<&Key>, Vec<&PolicyException>) = readable.unzip();
        let unreadable = world.exceptions.iter().filter_map(|one| {
            let why = one.said.as_ref().err()?;
            Some((one.live.key.clone(), Some(why.clone())))
        });
        self.exceptions = unreadable.collect();
        let mut holding = Vec::new();
        for (key, verdict) in keys.into_iter().zip(exceptions(&objects, namespace, Moment(now))) {
            let why = match verdict {
                Err(why) => Some(why.to_string()),
                Ok(exception) => {
                    let expires = exception.expires.0;
                    self.next = Some(self.next.map_or(expires, |next| next.min(expires)));
                    holding.push(exception);
                    None
                }
            };
            self.exceptions.insert(key.clone(), why);
        }
        holding
    }

    /// Reports, for the bindings that share namespaces with a lost one, which of their objects are not kept
    /// up to date meanwhile.
    fn held_back(&mut self, left: &Left) {
        let places: BTreeSet<&String> = left.closed.union(&left.labels).collect();
        let here = |place: &&&String| self.cells.reach.contains_key(**place);
        let places: Vec<&String> = places.iter().filter(here).copied().collect();
        let names = |list: &mut dyn Iterator<Item = &String>| -> String {
            list.take(MAX_NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let bindings: BTreeSet<String> =
            places.iter().filter_map(|place| self.cells.reach.get(*place)).flatten().cloned().collect();
        if bindings.is_empty() {
            return;
        }
        let message = format!(
            "in namespaces {} Pod Security labels and what keeps the labels of cells stay as they stand, since {} had a say there and cannot be worked out",
            names(&mut places.iter().copied()),
            names(&mut self.lost.keys()),
        );
        self.problems.push(Problem {
            bindings: bindings.into_iter().collect(),
            reason: "HeldByLost",
            message,
        });
    }

    /// Wants the bundles of what is in force.
    fn publish(&mut self, in_force: &InForce, owner: &str) {
        for bound in in_force.policies() {
            let Some(manifest) = recall::published(bound, owner) else { continue };
            match Wanted::new(manifest, owner) {
                Ok(wanted) => {
                    self.bindings_of.entry(wanted.key.clone()).or_default().push(bound.binding.clone());
                    self.wanted.insert(wanted.key.clone(), wanted);
                }
                Err(error) => self.problems.push(problem("CannotApply", &error)),
            }
        }
    }

    fn want(&mut self, manifest: Value, owner: &str) {
        match Wanted::new(manifest, owner) {
            Ok(wanted) => drop(self.wanted.insert(wanted.key.clone(), wanted)),
            Err(error) => self.problems.push(problem("CannotApply", &error)),
        }
    }

    fn read(&mut self, objects: Objects, owner: &str) -> BTreeMap<Key, Wanted> {
        let why = |binding: &String| {
            let about = |one: &&Problem| one.reason == "CannotEmit" && one.bindings.contains(binding);
            objects.problems.iter().find(about).map(|one| one.message.clone()).unwrap_or_default()
        };
        self.unemitted.extend(objects.unemitted.iter().map(|binding| (binding.clone(), why(binding))));
        self.problems.extend(objects.problems);
        let mut out = BTreeMap::new();
        for object in objects.objects {
            let mut manifest = typed(object.json, &object.api_version, &object.kind);
            if whole::is_whole(&object.kind, &object.name) {
                whole::sign(&mut manifest, &object.bindings);
            }
            match Wanted::new(manifest, owner) {
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

    /// Takes what was emitted. If a writer failed, nothing: then no binding's objects are known.
    fn emitted(
        &mut self,
        objects: Result<Objects, EmitError>,
        hooks: Result<Objects, EmitError>,
        owner: &str,
    ) {
        match objects.and_then(|objects| Ok((objects, hooks?))) {
            Ok((objects, hooks)) => {
                self.wanted = self.read(objects, owner);
                self.hooks = self.read(hooks, owner);
            }
            Err(error) => {
                self.problems.push(problem("CannotEmit", &error));
                let all = self.bound.keys().map(|binding| (binding.clone(), error.to_string()));
                self.unemitted = all.collect();
            }
        }
    }

    /// What bindings wanted before, they still want if it cannot be emitted now. Nothing else: what comes from no
    /// binding, as the objects of a pool, is known.
    pub fn or_as(&mut self, mut before: Self) {
        if self.unemitted.is_empty() {
            return;
        }
        if self.hooks.is_empty() {
            self.hooks = std::mem::take(&mut before.hooks);
        }
        for (key, bindings) in before.bindings_of {
            if !bindings.iter().any(|binding| self.unemitted.contains_key(binding)) {
                continue;
            }
            if let (false, Some(wanted)) = (self.wanted.contains_key(&key), before.wanted.remove(&key)) {
                self.wanted.insert(key.clone(), wanted);
                self.bindings_of.insert(key, bindings);
            }
        }
    }
}

/// Adds the type to a manifest, since some writers omit it.
fn typed(mut manifest: Value, api_version: &str, kind: &str) -> Value {
    if let Some(object) = manifest.as_object_mut() {
        object.entry("apiVersion").or_insert_with(|| Value::String(api_version.to_owned()));
        object.entry("kind").or_insert_with(|| Value::String(kind.to_owned()));
    }
    manifest
}

#[cfg(test)]
mod tests;
