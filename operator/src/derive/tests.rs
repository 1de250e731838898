//! What follows for bindings and their statuses from what a cluster holds, over restarts and lost bindings.

use std::sync::Arc;

use serde_json::{Map, json};

use super::*;
use crate::kind::Kind;
use crate::mirror::Mirror;
use crate::object::Live;
use crate::report::{Outcome, PackChecks, report};

mod lost;

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
