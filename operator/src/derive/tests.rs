//! What follows for bindings and their statuses from what a cluster holds, over restarts and lost bindings.

use std::sync::Arc;

use serde_json::{Map, json};

use super::*;
use crate::kind::Kind;
use crate::mirror::Mirror;
use crate::object::Live;
use crate::report::{Outcome, PackChecks, report};

const SYSTEM: &str = "bailiwick-system";

fn options() -> Options {
    let namespace = SYSTEM.to_owned();
    let pods = PodSettings { users: pools::UserNamespaces::On, state_bytes: 1 << 30 };
    Options { namespace, cluster: ClusterOptions::default(), pods }
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
    let nothing = (&BTreeMap::new(), &BTreeSet::new());
    status_after(mirror, world, derived, nothing, &BTreeSet::new())
}

/// The same where some objects could not be written, some of them to be restored, and the webhook is armed by some
/// policies.
fn status_after(
    mirror: &Mirror,
    world: &World,
    derived: &Derived,
    (failed, drifted): (&BTreeMap<Key, String>, &BTreeSet<Key>),
    armed: &BTreeSet<String>,
) -> Value {
    let raced = &BTreeSet::new();
    let outcome = Outcome { failed, drifted, raced, armed, disarmed: None, now: "2026-01-01T00:00:00Z" };
    let due = report(world, derived, &mirror.view(), &mut PackChecks::default(), &outcome);
    let of = due.into_iter().find(|one| one.live.key.kind == Kind::PolicyBinding);
    of.expect("a status").status
}

/// The statuses of all bindings, by name.
fn statuses(mirror: &Mirror, world: &World, derived: &Derived) -> BTreeMap<String, Value> {
    let (failed, drifted, armed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let (now, raced) = ("2026-01-01T00:00:00Z", &BTreeSet::new());
    let outcome = Outcome { failed: &failed, drifted: &drifted, raced, armed: &armed, disarmed: None, now };
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
    let ready = |failed: &BTreeMap<Key, String>, drifted: &BTreeSet<Key>, armed: &BTreeSet<String>| {
        let status = status_after(&mirror, &world, &derived, (failed, drifted), armed);
        let ready = condition(&status, "Ready");
        (ready["reason"].as_str().unwrap_or_default().to_owned(), ready["message"].to_string())
    };
    let (nothing, none) = (BTreeMap::new(), BTreeSet::new());
    let others = BTreeSet::from(["0".repeat(64)]);
    assert_eq!(ready(&nothing, &none, &derived.expected).0, "Ready");
    assert_eq!(ready(&nothing, &none, &others).0, "NotArmed", "it is armed by what was bound before");
    let hook = derived.hooks.keys().next().expect("a configuration").clone();
    let failed = BTreeMap::from([(hook.clone(), "request is too large".to_owned())]);
    let (reason, message) = ready(&failed, &none, &others);
    assert!(reason == "CannotArm" && message.contains("too large"), "{reason} {message}");
    assert_eq!(ready(&failed, &none, &derived.expected).0, "Ready", "what is asked about already still is");
    // Unless somebody changed what asks about it.
    let (reason, message) = ready(&failed, &BTreeSet::from([hook]), &derived.expected);
    assert!(reason == "CannotArm" && message.contains("cannot be restored"), "{reason} {message}");
}

/// The level that the API server itself enforces in the namespace, with these bindings.
fn enforced(bindings: &[(&str, &str, Value, Value)]) -> Option<String> {
    let objects = bindings.iter().flat_map(|(name, stage, subjects, level)| {
        let mut said = json!({ "namespaces": { "selector": { "matchLabels": { "zone": "a" } } } });
        said["namespaces"]["exclusive"] = subjects["exclusive"].clone();
        said["unmatched"] = json!(if subjects["exclusive"] == true { "Deny" } else { "Allow" });
        if let Some(app) = subjects["app"].as_str() {
            said["pods"] = json!({ "matchLabels": { "app": app } });
        }
        let isolation = json!({ "podSecurity": { "level": level, "version": "v1.36" } });
        let pack = json!({ "pack": name, "version": "1.0.0", "subjects": said, "isolation": isolation });
        let bound = json!({ "pack": { "name": name, "version": "1.0.0" }, "stage": stage });
        [
            live(Kind::PolicyPack, &format!("{name}-1.0.0"), &pack, Value::Null),
            live(Kind::PolicyBinding, name, &bound, Value::Null),
        ]
    });
    let mirror = cluster(objects);
    let (_, derived) = derived(&mut Deriver::default(), &mirror);
    assert_eq!(derived.bound.len(), bindings.len(), "{:?}", derived.verdicts);
    let labels = derived.wanted.values().find(|one| one.key.kind == Kind::Namespace);
    let label = labels?.manifest.pointer("/metadata/labels/pod-security.kubernetes.io~1enforce")?;
    label.as_str().map(str::to_owned)
}

#[test]
fn one_more_binding_of_the_same_pods_takes_no_level_from_their_namespace() {
    let (all, app) = (json!({ "exclusive": true }), |name: &str| json!({ "exclusive": true, "app": name }));
    let (strict, lax) = (json!("Restricted"), json!("Baseline"));
    let other = json!({ "exclusive": false });
    let own = ("own", "Enforce", all.clone(), strict.clone());
    let level = |more: &[(&str, &str, Value, Value)]| enforced(&[std::slice::from_ref(&own), more].concat());
    let restricted = Some("restricted".to_owned());
    assert_eq!(level(&[]), restricted);
    for stage in ["Audit", "Warn", "Enforce"] {
        assert_eq!(level(&[("more", stage, other.clone(), lax.clone())]), restricted, "{stage}");
    }
    assert_eq!(level(&[("more", "Enforce", all.clone(), lax.clone())]), restricted);
    // Of two that share a namespace, the level that the pods of both can have.
    let (one, two) = (("one", "Enforce", app("a"), strict), ("two", "Enforce", app("b"), lax.clone()));
    assert_eq!(enforced(&[one.clone(), two]).as_deref(), Some("baseline"));
    // Pods that nothing said to be alone there selects, and a pack that is not enforced.
    assert_eq!(enforced(&[one.clone(), ("more", "Audit", other, lax.clone())]), None);
    assert_eq!(enforced(&[("own", "Audit", all, lax)]), None);
    assert_eq!(enforced(&[one]), Some("restricted".to_owned()));
}

#[test]
fn what_cannot_be_emitted_takes_nothing_away() {
    let mirror = cluster([pack("1.0.0", "192.0.2.0/24"), bound("1.0.0", &json!({}), &Value::Null)]);
    let (world, before) = derived(&mut Deriver::default(), &mirror);
    let failing = || Err(EmitError::Cidr { cidr: "x".to_owned() });
    for (objects, hooks) in [(failing(), Ok(Objects::default())), (Ok(Objects::default()), failing())] {
        let (verdicts, bound) = (before.verdicts.clone(), before.bound.clone());
        let mut after = Derived { verdicts, bound, ..Derived::default() };
        after.emitted(objects, hooks, SYSTEM);
        assert!(after.unemitted.contains_key("a") && after.wanted.is_empty(), "half of it is nothing");
        after.or_as(before.clone());
        assert_eq!((&after.wanted, &after.hooks), (&before.wanted, &before.hooks));
        let status = status(&mirror, &world, &after);
        assert_eq!(condition(&status, "Enforced")["reason"], "CannotEmit");
    }
    // What can be emitted takes the place of what was wanted before.
    let mut after = Derived::default();
    after.emitted(Ok(Objects::default()), Ok(Objects::default()), SYSTEM);
    after.or_as(before);
    assert!(after.wanted.is_empty() && after.hooks.is_empty());
}

#[test]
fn what_cannot_be_emitted_holds_nothing_of_others() {
    let mut ruled = pack("1.0.0", "192.0.2.0/24");
    let pods = json!([{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }]);
    let rule = json!({ "name": "r", "match": { "resources": pods }, "validations": [{ "expression": "true", "message": "m" }] });
    ruled.body["spec"]["admission"] = json!({ "rules": [rule] });
    // The two govern different namespaces.
    let [mut b, binding] = beside();
    b.body["spec"]["subjects"]["namespaces"]["selector"] = json!({ "matchLabels": { "zone": "b" } });
    let mut namespace = live(Kind::Namespace, "m", &Value::Null, Value::Null);
    namespace.labels.insert("zone".to_owned(), "b".to_owned());
    let mirror = cluster([ruled, b, binding, namespace, bound("1.0.0", &json!({}), &Value::Null)]);
    let mut deriver = Deriver::default();
    let (world, before) = derived(&mut deriver, &mirror);
    // A policy that the compiler cannot have made: the rule comes from no pack.
    let mut broken = deriver.in_force.policy("a").expect("its policy").clone();
    Arc::make_mut(&mut broken.policy).admission.rules[0].origin.pack = 9;
    deriver.in_force.recall(broken);
    let (_, mut after) = derived(&mut deriver, &mirror);
    assert_eq!(after.unemitted.keys().collect::<Vec<_>>(), ["a"], "{:?}", after.problems);
    let is_of = |key: &Key, binding: &str| before.bindings_of[key].iter().any(|one| one == binding);
    let emitted = |key: &&Key| key.kind != Kind::ConfigMap;
    let missing: Vec<&Key> =
        before.wanted.keys().filter(emitted).filter(|key| !after.wanted.contains_key(*key)).collect();
    assert!(missing.iter().any(|key| key.kind == Kind::ValidatingAdmissionPolicy));
    assert!(missing.iter().all(|key| is_of(key, "a") && !is_of(key, "b")), "{missing:?}");
    assert!(
        !missing.iter().any(|key| key.name.ends_with("default-deny")),
        "what denies is there all the same"
    );
    assert_eq!(after.hooks, before.hooks);
    // What was wanted before is kept up, but for what comes from no binding: the pool that is gone.
    let mut earlier = before.clone();
    let pool =
        Key { kind: Kind::Deployment, namespace: Some("n".to_owned()), name: "bailiwick-pool-x".to_owned() };
    let manifest = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": pool.name, "namespace": "n" } });
    earlier.wanted.insert(pool.clone(), Wanted::new(manifest, SYSTEM).expect("a manifest"));
    after.or_as(earlier);
    assert!(missing.iter().all(|key| after.wanted.get(*key) == before.wanted.get(*key)));
    assert!(!after.wanted.contains_key(&pool));
    let said = statuses(&mirror, &world, &after);
    assert!(after.problems.iter().any(|one| one.reason == "CannotEmit" && one.bindings == ["a"]));
    assert_eq!(condition(&said["a"], "Enforced")["status"], "False");
    assert_eq!(condition(&said["b"], "Enforced")["status"], "True");
}

const BROKEN: &str = "192.0.2.0/99";

#[test]
fn a_restart_keeps_what_was_in_force_whatever_the_binding_asks_for_by_now() {
    let good = || pack("1.0.0", "192.0.2.0/24");
    let mirror = cluster([good(), bound("1.0.0", &json!({ "parameters": { "port": 80 } }), &Value::Null)]);
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
            vec![pack("1.0.0", "198.51.100.0/24"), pack("2.0.0", BROKEN), bound("2.0.0", &json!({}), &known)],
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
        // The webhook is asked about the same, whatever stands, and no label takes a namespace out.
        assert_eq!(after.hooks, before.hooks, "{what}");
        assert_eq!(kept_labels(&after), kept_labels(&before), "{what}");
        for member in ["version", "digest", "bundle", "stage", "cells", "chosen", "ifLost"] {
            assert_eq!(said[member], known[member], "{what}: {member}");
        }
        if what != "an unreadable binding" {
            let enforced = condition(&said, "Enforced");
            assert_eq!(
                (&enforced["status"], &enforced["reason"]),
                (&json!("False"), &json!("Lost")),
                "{what}"
            );
            assert!(enforced["message"].to_string().contains("which held its policy, is gone"), "{enforced}");
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

#[test]
fn another_object_of_a_version_in_force_changes_nothing_also_after_a_restart() {
    let first = || pack("1.0.0", "192.0.2.0/24");
    let mut deriver = Deriver::default();
    let mirror = cluster([first(), bound("1.0.0", &json!({}), &Value::Null)]);
    let (world, before) = derived(&mut deriver, &mirror);
    let known = status(&mirror, &world, &before);
    // Its name sorts before the one of the first.
    let spec = pack("1.0.0", "0.0.0.0/0").spec().clone();
    let other = || live(Kind::PolicyPack, "0", &spec, Value::Null);
    mirror.applied(other());
    let restarted = cluster([first(), other(), bound("1.0.0", &json!({}), &known)]);
    for (mut deriver, mirror) in [(deriver, mirror), (Deriver::default(), restarted)] {
        let (world, after) = derived(&mut deriver, &mirror);
        assert!(after.verdicts["a"].is_current(), "{:?}", after.verdicts);
        assert_eq!((&after.wanted, &after.hooks), (&before.wanted, &before.hooks));
        assert_eq!(after.bound, before.bound);
        let said = |name: &str| world.pack_objects.iter().find(|one| one.live.key.name == name).expect(name);
        assert!(said("a-1.0.0").said.is_ok());
        let why = said("0").said.as_ref().expect_err("it is another");
        assert!(why.contains("`a` 1.0.0 is object `a-1.0.0`"), "{why}");
    }
}

/// The ConfigMap of the binding's bundle.
fn bundle(derived: &Derived) -> Live {
    let mut maps = derived.wanted.values().filter(|one| one.key.kind == Kind::ConfigMap);
    stands(maps.next().expect("a bundle"))
}

#[test]
fn what_cannot_be_compiled_again_after_a_restart_is_taken_from_its_bundle_and_from_nothing_else() {
    let chosen = json!({ "parameters": { "port": 80 }, "stage": "Warn" });
    let mirror = cluster([pack("1.0.0", "192.0.2.0/24"), bound("1.0.0", &chosen, &Value::Null)]);
    let (world, before) = derived(&mut Deriver::default(), &mirror);
    let known = status(&mirror, &world, &before);
    let nothing = json!({ "pack": "not an object" });
    let asks = || bound("2.0.0", &json!({}), &known);
    let mut forged = known.clone();
    forged["digest"] = json!("0".repeat(64));
    for (what, objects) in [
        ("another content", vec![pack("1.0.0", "198.51.100.0/24"), pack("2.0.0", BROKEN), asks()]),
        ("no pack", vec![asks()]),
        (
            "another digest in the status",
            vec![pack("1.0.0", "192.0.2.0/24"), bound("2.0.0", &json!({}), &forged)],
        ),
        ("an unreadable binding", vec![live(Kind::PolicyBinding, "a", &nothing, known.clone())]),
    ] {
        let mirror = cluster(objects.into_iter().chain([bundle(&before)]));
        let mut deriver = Deriver::default();
        let (world, after) = derived(&mut deriver, &mirror);
        assert!(after.lost.is_empty(), "{what}: {:?}", after.lost);
        assert_eq!((&after.wanted, &after.hooks), (&before.wanted, &before.hooks), "{what}");
        assert_eq!((&after.bound, &after.expected), (&before.bound, &before.expected), "{what}");
        let said = status(&mirror, &world, &after);
        for member in ["version", "digest", "bundle", "stage", "cells", "chosen", "ifLost"] {
            assert_eq!(said[member], known[member], "{what}: {member}");
        }
        if what != "an unreadable binding" {
            let enforced = condition(&said, "Enforced");
            assert_eq!((&enforced["status"], &enforced["reason"]), (&json!("True"), &json!("LastGood")));
        }
        // Once what it asks for compiles, that is in force.
        mirror.applied(Live { version: 3, generation: 2, ..bound("3.0.0", &json!({}), &known) });
        mirror.applied(pack("3.0.0", "192.0.2.0/24"));
        let (_, last) = derived(&mut deriver, &mirror);
        assert!(last.verdicts["a"].is_current() && last.bound["a"].digest != before.bound["a"].digest);
    }
}

#[test]
fn another_bundle_than_the_status_names_is_no_policy() {
    let mirror = cluster([pack("1.0.0", "192.0.2.0/24"), bound("1.0.0", &json!({}), &Value::Null)]);
    let (world, before) = derived(&mut Deriver::default(), &mirror);
    let known = status(&mirror, &world, &before);
    let lost = |map: Live, status: &Value| {
        let (_, after) =
            derived(&mut Deriver::default(), &cluster([bound("1.0.0", &json!({}), status), map]));
        assert!(!after.wanted.keys().any(|key| key.kind == Kind::NetworkPolicy));
        after.lost.get("a").expect("it is lost").clone()
    };
    let map = bundle(&before);
    let text = map.body["data"]["bundle.json"].as_str().expect("a bundle").to_owned();
    let holding = |text: &str| {
        let mut map = map.clone();
        map.body["data"] = json!({ "bundle.json": text });
        map
    };
    let edited = text.replace("192.0.2.0/24", "0.0.0.0/0");
    assert_ne!(edited, text);
    assert!(lost(holding(&edited), &known).contains("its bytes were changed"));
    assert!(lost(holding(""), &known).contains("its bytes were changed"));
    let gone = |map: Live| assert!(lost(map, &known).contains("is gone"));
    let elsewhere = Key { namespace: Some("other".to_owned()), ..map.key.clone() };
    gone(Live { key: elsewhere, ..map.clone() });
    gone(Live { labels: BTreeMap::new(), ..map.clone() });
    // An earlier version's status.
    let mut older = known.clone();
    older.as_object_mut().expect("a status").remove("bundle");
    assert!(lost(map.clone(), &older).contains("does not name the bundle"));
}

/// The policies that protect the labels of governed namespaces.
fn kept_labels(derived: &Derived) -> BTreeMap<Key, Wanted> {
    let own = |key: &Key| key.name.starts_with(bailiwick_compiler::emit::NAMESPACES);
    derived.wanted.iter().filter(|(key, _)| own(key)).map(|(key, one)| (key.clone(), one.clone())).collect()
}

#[test]
fn of_a_lost_binding_whose_status_says_nothing_more_every_namespace_is_asked_about() {
    let known = json!({ "version": "1.0.0", "digest": "0".repeat(64), "stage": "Enforce" });
    for said in [None, Some(json!({ "namespaces": 1 }))] {
        let mut status = known.clone();
        status.as_object_mut().expect("a status").extend(said.map(|said| ("ifLost".to_owned(), said)));
        let mirror = cluster([bound("1.0.0", &json!({}), &status)]);
        let (_, derived) = derived(&mut Deriver::default(), &mirror);
        assert_eq!(derived.lost.len(), 1);
        let hooks =
            derived.hooks.values().flat_map(|one| one.manifest["webhooks"].as_array().expect("webhooks"));
        let everywhere = hooks.filter(|hook| {
            let all = hook["namespaceSelector"]["matchExpressions"].as_array();
            all.is_some_and(|all| all.len() == 1 && all[0]["operator"] == "NotIn")
        });
        let names: BTreeSet<&str> =
            everywhere.filter_map(|hook| hook["name"].as_str()?.split_once('-')).map(|name| name.0).collect();
        assert_eq!(names, ["connect", "mutate", "validate"].into());
    }
}

#[test]
fn no_version_of_an_extended_pack_is_published_unseen_beside_a_lost_binding() {
    let fixed = |mut of: Live| {
        let spec = of.body["spec"].as_object_mut().expect("a spec");
        spec.remove("parameters");
        spec["network"]["egress"][0]["ports"] = json!([{ "port": 443 }]);
        of
    };
    let base = || {
        let mut base = fixed(pack("1.0.0", "192.0.2.0/24"));
        base.key.name = "base-1.0.0".to_owned();
        let spec = base.body["spec"].as_object_mut().expect("a spec");
        spec.insert("pack".to_owned(), json!("base"));
        spec.remove("subjects");
        base
    };
    let extending = |of: Live| {
        let mut of = fixed(of);
        of.body["spec"]["extends"] = json!([{ "name": "base", "version": "^1" }]);
        of
    };
    let two = |status: &Value, good: bool| {
        let [b, binding] = beside();
        let a = good.then(|| extending(pack("1.0.0", "192.0.2.0/24")));
        let objects = [base(), extending(b), binding, bound("1.0.0", &json!({}), status)];
        cluster(objects.into_iter().chain(a))
    };
    let extended = |derived: &Derived| -> Vec<Value> {
        let own = |key: &Key| key.name.starts_with(bailiwick_compiler::emit::EXTENDED);
        derived.wanted.iter().filter(|(key, _)| own(key)).map(|(_, one)| one.manifest.clone()).collect()
    };
    let mirror = two(&Value::Null, true);
    let (world, before) = derived(&mut Deriver::default(), &mirror);
    let known = statuses(&mirror, &world, &before)["a"].clone();
    assert_eq!(extended(&before).len(), 2, "{:?}", before.verdicts);
    assert!(extended(&before)[0].to_string().contains("policypacks').name('a')"), "{:?}", extended(&before));
    let (_, after) = derived(&mut Deriver::default(), &two(&known, false));
    assert_eq!(after.lost.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(extended(&after), extended(&before));
}

/// The object as it exists after it was applied.
fn stands(wanted: &Wanted) -> Live {
    let strings = |at: &str| wanted.manifest.pointer(at).cloned().unwrap_or_else(|| json!({}));
    let mut body = wanted.manifest.as_object().expect("an object").clone();
    body.retain(|member, _| ["spec", "data", "immutable"].contains(&member.as_str()));
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
    let stands_still = |kind| ![Kind::NetworkPolicy, Kind::ConfigMap].contains(&kind);
    for one in before.wanted.values().filter(|one| stands_still(one.key.kind)) {
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

#[test]
fn an_exception_for_which_a_policy_has_no_room_does_not_hold_and_says_so() {
    let exception = |at: usize| {
        let object = json!({ "resource": "pods", "namespace": "n", "name": "x".repeat(253) });
        let spec = json!({
            "pack": "a", "rule": "r", "reason": "a test", "expires": "2030-01-11T00:00:00Z", "approver": "alice", "objects": vec![object; 32],
        });
        // The later the name, the older.
        let created = format!("2030-01-{:02}T00:00:00Z", 10 - at);
        let mut one = live(Kind::PolicyException, &format!("e{at}"), &spec, Value::Null);
        one.key.namespace = Some(SYSTEM.to_owned());
        Live { created, ..one }
    };
    let mirror = cluster((1..=9).map(exception));
    let (_, derived) = derived(&mut Deriver::default(), &mirror);
    let said: Vec<bool> = derived.exceptions.values().map(Option::is_none).collect();
    assert_eq!(said.len(), 9);
    assert!(said.is_sorted() && said[8] && !said[0], "the oldest hold: {said:?}");
    let why = derived.exceptions.values().next().and_then(Option::as_ref).expect("a reason");
    assert!(why.contains("too many exceptions"), "{why}");
}
