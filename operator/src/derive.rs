//! From the users' objects to everything that should exist. Pure, except that it remembers the last version
//! of each binding and pool that compiled.
//!
//! Not here: whether the webhook is armed (`arming`), certificates, and writing.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::cluster::{
    Answers, Asked, Binding, Cells, InForce, Problem, Verdict, cells, exception,
};
use bailiwick_compiler::emit::{ClusterOptions, Left, Objects, objects, webhooks};
use bailiwick_crds::binding::Chosen;
use bailiwick_crds::sandbox_pool::SandboxPoolSpec;
use bailiwick_policy::admission::Exception;
use serde_json::Value;

use crate::certificates::UnixTime;
use crate::object::{Key, Wanted};
use crate::pools::{self, BoundPool, PoolError, PoolVerdict, UserNamespaces};
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
    /// Whether pools use user namespaces.
    pub user_namespaces: UserNamespaces,
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
    /// Bindings that had a policy in force which can no longer be computed, with the reason. An object that
    /// does not name its bindings may then be theirs, so all such existing controls stay, and the webhook
    /// stays registered as it is.
    pub lost: BTreeMap<String, String>,
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
        self.lost(world, standing, &mut out);
        let bound = self.in_force.policies().map(|bound| {
            let (pack, chosen, digest) =
                (bound.pack.name.clone(), bound.chosen.clone(), bound.digest.clone());
            (bound.binding.clone(), BoundPack { pack, chosen, stage: bound.stage.word(), digest })
        });
        out.bound = bound.collect();
        out.expected = out.bound.values().map(BoundPack::decided_by).collect();
        let mut cluster = options.cluster.clone();
        cluster.ca_bundle = Some(bundle.as_bytes().to_vec());
        cluster.exceptions = out.exceptions(world, &options.namespace, now);
        cluster.left = standing.left(&out.lost);
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
        out.held_back(&cluster.left);
        self.pools(world, options, &mut out);
        out
    }

    /// Bindings whose status says that a policy is in force which the operator does not know.
    fn lost(&self, world: &World, standing: &Standing, out: &mut Derived) {
        for one in &world.bindings {
            let name = &one.live.key.name;
            let version = one.live.status.get("version").and_then(Value::as_str);
            if version.is_none() || self.in_force.policy(name).is_some() {
                continue;
            }
            let mut why = match &one.said {
                Err(why) => why.clone(),
                Ok(_) => out.verdicts.get(name).map(|verdict| verdict.message.clone()).unwrap_or_default(),
            };
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
                    for manifest in pools::manifests(&pool.live, spec, bound, options.user_namespaces) {
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

fn problem(reason: &'static str, error: &dyn std::fmt::Display) -> Problem {
    Problem { bindings: Vec::new(), reason, message: error.to_string() }
}

impl Derived {
    /// The exceptions that apply now.
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

    fn take(&mut self, objects: Objects, owner: &str) {
        let read = self.read(objects, owner);
        self.wanted.extend(read);
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
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::kind::Kind;
    use crate::mirror::Mirror;
    use crate::object::Live;
    use crate::report::{Outcome, PackChecks, report};

    const SYSTEM: &str = "bailiwick-system";

    fn options() -> Options {
        let namespace = SYSTEM.to_owned();
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
        let derived = deriver.derive(&world, &options(), "", &Standing::read(&mirror.view(), SYSTEM), 0);
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

    /// The statuses of all bindings, by name.
    fn statuses(mirror: &Mirror, world: &World, derived: &Derived) -> BTreeMap<String, Value> {
        let (failed, armed) = (BTreeMap::new(), BTreeSet::new());
        let outcome = Outcome { failed: &failed, armed: &armed, disarmed: None, now: "2026-01-01T00:00:00Z" };
        let due = report(world, derived, &mirror.view(), &mut PackChecks::default(), &outcome);
        let bindings = due.into_iter().filter(|one| one.live.key.kind == Kind::PolicyBinding);
        bindings.map(|one| (one.live.key.name.clone(), one.status)).collect()
    }

    fn condition<'s>(status: &'s Value, aspect: &str) -> &'s Value {
        let all = status["conditions"].as_array().expect("conditions");
        all.iter().find(|one| one["type"] == aspect).expect("a condition")
    }

    #[test]
    fn the_stage_is_part_of_what_replicas_must_decide_by() {
        let expected = |stage: &str| {
            let bound = bound("1.0.0", &json!({ "stage": stage }), &Value::Null);
            derived(&mut Deriver::default(), &cluster([pack("1.0.0", "192.0.2.0/24"), bound])).1.expected
        };
        let (audit, enforce) = (expected("Audit"), expected("Enforce"));
        assert_eq!((audit.len(), enforce.len()), (1, 1));
        assert_ne!(audit, enforce);
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
        // A deriver that knows the policy already loses nothing when the binding becomes unreadable.
        let mut deriver = Deriver::default();
        let (_, first) = derived(&mut deriver, &mirror);
        let unreadable = Live { version: 2, ..live(Kind::PolicyBinding, "a", &nothing, known) };
        mirror.applied(unreadable);
        let (_, second) = derived(&mut deriver, &mirror);
        assert!(second.lost.is_empty());
        assert_eq!(second.wanted, first.wanted);
        // A binding that was never in force has nothing to lose.
        let mirror = cluster([bound("1.0.0", &json!({}), &Value::Null)]);
        assert!(derived(&mut Deriver::default(), &mirror).1.lost.is_empty());
    }

    /// The object as it exists after it was applied.
    fn stands(wanted: &Wanted) -> Live {
        let strings = |at: &str| wanted.manifest.pointer(at).cloned().unwrap_or_else(|| json!({}));
        let mut body = wanted.manifest.as_object().expect("an object").clone();
        body.retain(|member, _| member == "spec");
        Live {
            labels: serde_json::from_value(strings("/metadata/labels")).expect("labels"),
            annotations: serde_json::from_value(strings("/metadata/annotations")).expect("annotations"),
            body,
            version: 2,
            ..Live::named(wanted.key.clone())
        }
    }

    /// The binding and the pack `b`, which governs the zones `a` and `b`.
    fn beside() -> [Live; 2] {
        let mut pack = pack("1.0.0", "192.0.2.0/24");
        pack.key.name = "b-1.0.0".to_owned();
        let spec = pack.body.get_mut("spec").expect("a spec");
        spec["pack"] = json!("b");
        let zones = json!([{ "key": "zone", "operator": "In", "values": ["a", "b"] }]);
        spec["subjects"]["namespaces"]["selector"] = json!({ "matchExpressions": zones });
        let spec = json!({ "pack": { "name": "b", "version": "1.0.0" } });
        [pack, live(Kind::PolicyBinding, "b", &spec, Value::Null)]
    }

    /// The namespaces for which each policy of cells is wanted, and those whose labels are wanted.
    fn kept(derived: &Derived) -> (Vec<String>, Vec<&str>) {
        let policies = derived.wanted.values().filter(|one| {
            one.key.kind == Kind::ValidatingAdmissionPolicy
                && one.key.name.starts_with(bailiwick_compiler::emit::CELLS)
        });
        let at = "/spec/matchConstraints/namespaceSelector/matchExpressions/0/values";
        let mut places: Vec<_> =
            policies.map(|one| one.manifest.pointer(at).expect("names").to_string()).collect();
        places.sort();
        let labelled = derived.wanted.keys().filter(|key| key.kind == Kind::Namespace);
        (places, labelled.map(|key| key.name.as_str()).collect())
    }

    #[test]
    fn beside_a_lost_binding_all_others_are_kept_but_for_what_it_has_a_say_in() {
        let two = |status: &Value, good: bool| {
            let other = beside().into_iter().chain(good.then(|| pack("1.0.0", "192.0.2.0/24")));
            let mirror = cluster(other.chain([bound("1.0.0", &json!({}), status)]));
            let mut namespace = live(Kind::Namespace, "m", &Value::Null, Value::Null);
            namespace.labels.insert("zone".to_owned(), "b".to_owned());
            mirror.applied(namespace);
            mirror
        };
        let mirror = two(&Value::Null, true);
        let (world, before) = derived(&mut Deriver::default(), &mirror);
        let all = (vec![r#"["m"]"#.to_owned(), r#"["n"]"#.to_owned()], vec!["m", "n"]);
        assert_eq!(kept(&before), all, "{:?}", before.problems);
        let known = status(&mirror, &world, &before);

        // All objects exist, and the pack is gone.
        let mirror = two(&known, false);
        for one in before.wanted.values().filter(|one| one.key.kind != Kind::NetworkPolicy) {
            let mut live = stands(one);
            if one.key.kind == Kind::Namespace {
                let zone = if one.key.name == "n" { "a" } else { "b" };
                live.labels.insert("zone".to_owned(), zone.to_owned());
            }
            mirror.applied(live);
        }
        let (world, after) = derived(&mut Deriver::default(), &mirror);
        assert_eq!(after.lost.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(kept(&after), (vec![r#"["m"]"#.to_owned()], vec!["m"]));
        for key in after.wanted.keys().filter(|key| whole::is_whole(key.kind.name(), &key.name)) {
            assert_eq!(after.wanted[key], before.wanted[key], "{key}");
        }
        let said = statuses(&mirror, &world, &after);
        let enforced = condition(&said["b"], "Enforced");
        assert_eq!((&enforced["status"], &enforced["reason"]), (&json!("False"), &json!("HeldByLost")));
        let message = enforced["message"].as_str().expect("a message");
        assert!(message.contains("namespaces `n` ") && message.contains("since `a` had"), "{message}");
        let lost = |said: &BTreeMap<String, Value>| condition(&said["a"], "Enforced")["message"].to_string();
        assert!(!lost(&said).contains("no admission policy"), "{}", lost(&said));

        // The webhook is disarmed for a time: what judged pods is gone, and everything that can be made again
        // is made again.
        for one in before.wanted.values().filter(|one| crate::arming::is_withdrawn(&one.key)) {
            mirror.deleted(&Live { version: 3, ..stands(one) });
        }
        let (world, after) = derived(&mut Deriver::default(), &mirror);
        assert_eq!(kept(&after), (vec![r#"["m","n"]"#.to_owned()], vec!["m"]));
        let said = statuses(&mirror, &world, &after);
        assert!(lost(&said).contains("no admission policy of `a@1.0.0` exists"), "{}", lost(&said));
    }
}
