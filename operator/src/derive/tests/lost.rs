//! What becomes of a policy in force when the operator starts anew, and what it asked for does not compile any more.

use super::*;

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
