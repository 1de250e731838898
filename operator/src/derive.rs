//! From what people said to everything that there is to be. Pure, but for what it remembers: of each binding and pool the last that compiled.
//!
//! Not here: whether the webhook is armed (`arming`), certificates, and writing.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::cluster::{Binding, Cells, InForce, Problem, Verdict, cells, exception};
use bailiwick_compiler::emit::{CELLS, ClusterOptions, Objects, objects, webhooks};
use bailiwick_crds::binding::Chosen;
use bailiwick_policy::admission::{Exception, Stage};
use serde_json::Value;

use crate::certificates::UnixTime;
use crate::kind::Kind;
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

/// What a binding has in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Name of the pack.
    pub pack: String,
    /// What the binding chose.
    pub chosen: Chosen,
    /// The stage, as a word.
    pub stage: &'static str,
    /// Digest of the policy, by which the webhook decides.
    pub digest: String,
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
    /// What each binding has in force.
    pub bound: BTreeMap<String, Bound>,
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
    /// Bindings of which something was in force that cannot be worked out any more, with why. Of no object can it be said then that it was not
    /// theirs, so all controls stay that stand, and the webhook stays registered as it is.
    pub lost: BTreeMap<String, String>,
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
        let unreadable = world.bindings.iter().filter(|one| one.said.is_err());
        let unreadable = unreadable.map(|one| one.live.key.name.as_str()).collect();
        let verdicts = self.in_force.update_beside(&bindings, &unreadable, &world.packs);
        out.verdicts = verdicts.into_iter().map(|verdict| (verdict.binding.clone(), verdict)).collect();
        self.lost(world, &mut out);
        out.expected = self.in_force.policies().map(|bound| bound.digest.clone()).collect();
        let bound = self.in_force.policies().map(|bound| {
            let (pack, chosen, digest) =
                (bound.pack.name.clone(), bound.chosen.clone(), bound.digest.clone());
            (bound.binding.clone(), Bound { pack, chosen, stage: word(bound.stage), digest })
        });
        out.bound = bound.collect();
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
        if !out.lost.is_empty() {
            // What speaks for all bindings of a namespace would speak without the lost one.
            let whole = |key: &Key| key.kind == Kind::Namespace || key.name.starts_with(CELLS);
            out.wanted.retain(|key, _| !whole(key));
        }
        self.pools(world, options, &mut out);
        out
    }

    /// Bindings whose status says that something is in force of which nothing is known.
    fn lost(&self, world: &World, out: &mut Derived) {
        for one in &world.bindings {
            let name = &one.live.key.name;
            let was = one.live.status.get("version").is_some_and(Value::is_string);
            if !was || self.in_force.policy(name).is_some() {
                continue;
            }
            let why = match &one.said {
                Err(why) => why.clone(),
                Ok(_) => out.verdicts.get(name).map(|verdict| verdict.message.clone()).unwrap_or_default(),
            };
            out.lost.insert(name.clone(), why);
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::mirror::Mirror;
    use crate::object::Live;
    use crate::report::{Outcome, PackChecks, report};

    fn options() -> Options {
        let namespace = "bailiwick-system".to_owned();
        Options { namespace, cluster: ClusterOptions::default(), user_namespaces: UserNamespaces::On }
    }

    fn live(kind: Kind, name: &str, spec: &Value, status: Value) -> Live {
        let key = Key { kind, namespace: None, name: name.to_owned() };
        Live { body: Map::from_iter([("spec".to_owned(), spec.clone())]), status, ..Live::named(key) }
    }

    fn pack(version: &str, cidr: &str) -> Live {
        let spec = json!({
            "pack": "a", "version": version, "parameters": [{ "name": "port", "type": "int", "default": 443, "minimum": 1, "maximum": 1000, "bindable": true }],
            "subjects": { "namespaces": { "selector": { "matchLabels": { "zone": "a" } } }, "unmatched": "Deny" },
            "isolation": { "podSecurity": { "level": "Restricted", "version": "v1.36" } },
            "network": { "egress": [{ "name": "out", "to": { "cidr": cidr }, "ports": [{ "port": "${port}" }] }] },
        });
        live(Kind::PolicyPack, &format!("a-{version}"), &spec, Value::Null)
    }

    fn bound(version: &str, more: &Value, status: &Value) -> Live {
        let mut spec = json!({ "pack": { "name": "a", "version": version } });
        spec.as_object_mut().expect("a spec").extend(more.as_object().expect("an object").clone());
        live(Kind::PolicyBinding, "a", &spec, status.clone())
    }

    /// A cluster of these objects and one namespace.
    fn cluster(objects: impl IntoIterator<Item = Live>) -> Mirror {
        let mirror = Mirror::default();
        let mut namespace = live(Kind::Namespace, "n", &Value::Null, Value::Null);
        namespace.labels.insert("zone".to_owned(), "a".to_owned());
        mirror.applied(namespace);
        for one in objects {
            mirror.applied(one);
        }
        mirror
    }

    fn derived(deriver: &mut Deriver, mirror: &Mirror) -> (World, Derived) {
        let world = World::read(&mirror.view());
        let derived = deriver.derive(&world, &options(), "", 0);
        (world, derived)
    }

    /// The status that the operator would write of the binding.
    fn status(mirror: &Mirror, world: &World, derived: &Derived) -> Value {
        status_after(mirror, world, derived, &BTreeMap::new(), &BTreeSet::new())
    }

    /// The same where some objects could not be written, and the webhook is armed by some policies.
    fn status_after(
        mirror: &Mirror,
        world: &World,
        derived: &Derived,
        failed: &BTreeMap<Key, String>,
        armed: &BTreeSet<String>,
    ) -> Value {
        let outcome = Outcome { failed, armed, disarmed: None, now: "2026-01-01T00:00:00Z" };
        let due = report(world, derived, &mirror.view(), &mut PackChecks::default(), &outcome);
        let of = due.into_iter().find(|one| one.live.key.kind == Kind::PolicyBinding);
        of.expect("a status").status
    }

    fn condition<'s>(status: &'s Value, aspect: &str) -> &'s Value {
        let all = status["conditions"].as_array().expect("conditions");
        all.iter().find(|one| one["type"] == aspect).expect("a condition")
    }

    #[test]
    fn a_binding_is_ready_once_the_api_server_asks_about_it() {
        let mirror = cluster([pack("1.0.0", "192.0.2.0/24"), bound("1.0.0", &json!({}), &Value::Null)]);
        let (world, derived) = derived(&mut Deriver::default(), &mirror);
        let ready = |failed: &BTreeMap<Key, String>, armed: &BTreeSet<String>| {
            let status = status_after(&mirror, &world, &derived, failed, armed);
            let ready = condition(&status, "Ready");
            (ready["reason"].as_str().unwrap_or_default().to_owned(), ready["message"].to_string())
        };
        let (nothing, others) = (BTreeMap::new(), BTreeSet::from(["0".repeat(64)]));
        assert_eq!(ready(&nothing, &derived.expected).0, "Ready");
        assert_eq!(ready(&nothing, &others).0, "NotArmed", "it is armed by what was bound before");
        let hook = derived.hooks.keys().next().expect("a configuration").clone();
        let failed = BTreeMap::from([(hook, "request is too large".to_owned())]);
        let (reason, message) = ready(&failed, &others);
        assert!(reason == "CannotArm" && message.contains("too large"), "{reason} {message}");
        assert_eq!(ready(&failed, &derived.expected).0, "Ready", "what is asked about already still is");
    }

    const BROKEN: &str = "192.0.2.0/99";

    #[test]
    fn a_restart_keeps_what_was_in_force_whatever_the_binding_asks_for_by_now() {
        let good = || pack("1.0.0", "192.0.2.0/24");
        let mirror =
            cluster([good(), bound("1.0.0", &json!({ "parameters": { "port": 80 } }), &Value::Null)]);
        let (world, before) = derived(&mut Deriver::default(), &mirror);
        assert!(before.wanted.keys().any(|key| key.kind == Kind::NetworkPolicy), "{:?}", before.problems);
        let status = status(&mirror, &world, &before);
        for more in [
            json!({}),
            json!({ "parameters": { "port": 443 } }),
            json!({ "parameters": { "unheard": "of" } }),
            json!({ "narrowTo": { "pods": { "matchLabels": { "x": "y" } } } }),
        ] {
            let mirror = cluster([good(), pack("2.0.0", BROKEN), bound("2.0.0", &more, &status)]);
            let (_, after) = derived(&mut Deriver::default(), &mirror);
            assert!(after.lost.is_empty() && !after.verdicts["a"].is_current(), "{more}");
            assert_eq!((after.wanted, after.hooks), (before.wanted.clone(), before.hooks.clone()), "{more}");
        }
    }

    #[test]
    fn what_cannot_be_worked_out_after_a_restart_is_lost_and_its_status_still_says_what_was_in_force() {
        let mirror = cluster([pack("1.0.0", "192.0.2.0/24"), bound("1.0.0", &json!({}), &Value::Null)]);
        let (world, before) = derived(&mut Deriver::default(), &mirror);
        let known = status(&mirror, &world, &before);
        assert_eq!(known["version"], "1.0.0");
        let nothing = json!({ "pack": "not an object" });
        for (what, objects) in [
            (
                "another content",
                vec![
                    pack("1.0.0", "198.51.100.0/24"),
                    pack("2.0.0", BROKEN),
                    bound("2.0.0", &json!({}), &known),
                ],
            ),
            ("no pack", vec![pack("2.0.0", BROKEN), bound("2.0.0", &json!({}), &known)]),
            (
                "an unreadable binding",
                vec![pack("1.0.0", "192.0.2.0/24"), live(Kind::PolicyBinding, "a", &nothing, known.clone())],
            ),
        ] {
            let mirror = cluster(objects);
            let (world, after) = derived(&mut Deriver::default(), &mirror);
            assert_eq!(after.lost.keys().collect::<Vec<_>>(), ["a"], "{what}");
            assert!(!after.wanted.keys().any(|key| key.kind == Kind::Namespace), "{what}");
            let said = status(&mirror, &world, &after);
            for member in ["version", "digest", "stage", "cells", "chosen"] {
                assert_eq!(said[member], known[member], "{what}: {member}");
            }
            if what != "an unreadable binding" {
                let enforced = condition(&said, "Enforced");
                assert_eq!(
                    (&enforced["status"], &enforced["reason"]),
                    (&json!("False"), &json!("Lost")),
                    "{what}"
                );
            }
        }
        // Whoever knows it already loses nothing by a binding that cannot be read.
        let mut deriver = Deriver::default();
        let (_, first) = derived(&mut deriver, &mirror);
        let unreadable = Live { version: 2, ..live(Kind::PolicyBinding, "a", &nothing, known) };
        mirror.applied(unreadable);
        let (_, second) = derived(&mut deriver, &mirror);
        assert!(second.lost.is_empty());
        assert_eq!(second.wanted, first.wanted);
        // And one that never was in force has nothing to lose.
        let mirror = cluster([bound("1.0.0", &json!({}), &Value::Null)]);
        assert!(derived(&mut Deriver::default(), &mirror).1.lost.is_empty());
    }
}
