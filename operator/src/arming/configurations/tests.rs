//! Tests of the steps between webhook configurations.

use std::collections::BTreeSet;

use bailiwick_compiler::emit::configuration_name;

use super::*;
use crate::mirror::Mirror;
use crate::object::{Live, OWNER_LABEL};

/// All rules of some configurations, by configuration.
fn asked(of: &BTreeMap<Key, Wanted>) -> Vec<(String, Vec<String>)> {
    let of_kind = of.values().filter(|one| one.key.kind == Kind::ValidatingWebhookConfiguration);
    let text = |hook: &Value| {
        let zone = hook["namespaceSelector"]["matchLabels"]["zone"].as_str().expect("a zone");
        format!("{} {zone}", hook["name"].as_str().expect("a name").trim_end_matches(".bailiwick.dev"))
    };
    of_kind.map(|one| (one.key.name.clone(), webhooks(one).map(text).collect())).collect()
}

/// Several configurations, each for some zones.
fn several(parts: &[&[&str]]) -> BTreeMap<Key, Wanted> {
    let parts = parts.iter().enumerate().flat_map(|(at, zones)| {
        configurations(zones).into_values().map(move |one| {
            let mut manifest = one.manifest;
            manifest["metadata"]["name"] = json!(configuration_name(at));
            Wanted::new(manifest, "system").expect("a manifest")
        })
    });
    parts.map(|one| (one.key.clone(), one)).collect()
}

#[test]
fn what_goes_from_one_configuration_to_another_is_asked_about_all_the_time() {
    let of = |name: &str, hooks: &[&str]| {
        (name.to_owned(), hooks.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
    };
    let (before, newest) = (several(&[&["a", "b"]]), several(&[&["a"], &["b"]]));
    let first = step(&before, &newest, "system");
    assert_eq!(asked(&first), [of("bailiwick", &["a a", "before-b b"]), of("bailiwick-1", &["b b"])]);
    assert_eq!(step(&first, &newest, "system"), newest);
    // And back again: the second stays until the first covers everything.
    let first = step(&newest, &before, "system");
    assert_eq!(asked(&first), [of("bailiwick", &["a a", "b b"]), of("bailiwick-1", &["b b"])]);
    assert_eq!(step(&first, &before, "system"), before);
    // A single configuration is written at once, and so is one that only changes its authority.
    assert_eq!(step(&several(&[&["a"]]), &before, "system"), before);
    let mut renewed = newest.clone();
    for one in renewed.values_mut() {
        one.manifest["webhooks"][0]["clientConfig"]["caBundle"] = json!("bmV3");
    }
    assert_eq!(step(&newest, &renewed, "system"), renewed);
    assert_eq!(step(&BTreeMap::new(), &newest, "system"), newest);
}

#[test]
fn configurations_of_which_one_kind_was_never_written_are_not_whole() {
    let whole = |in_force| Configurations { in_force, found: false }.are_whole();
    let both = configurations(&["a"]);
    assert!(whole(both.clone()) && !whole(BTreeMap::new()));
    for missing in both.keys() {
        let mut one = both.clone();
        one.remove(missing);
        assert!(!whole(one), "{missing}");
    }
}

/// Wanted configurations of a name, whose webhooks have these names and cover pods in some zones.
fn configurations(zones: &[&str]) -> BTreeMap<Key, Wanted> {
    let hook = |zone: &&str| {
        json!({
            "name": format!("{zone}.bailiwick.dev"), "clientConfig": { "caBundle": "b2xk" },
            "failurePolicy": "Fail", "matchPolicy": "Equivalent",
            "namespaceSelector": { "matchLabels": { "zone": zone } },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
        })
    };
    let hooks: Vec<Value> = zones.iter().map(hook).collect();
    let all = KINDS.map(|kind| {
        let manifest = json!({
            "apiVersion": kind.resource().api_version, "kind": kind.name(),
            "metadata": { "name": "bailiwick" }, "webhooks": hooks,
        });
        Wanted::new(manifest, "system").expect("a manifest")
    });
    all.map(|one| (one.key.clone(), one)).into()
}

/// A configuration as the API server stores it, with a default of its own.
fn stored(one: &Wanted, version: u64) -> Live {
    let mut body = one.manifest.as_object().expect("an object").clone();
    body.retain(|member, _| member == "webhooks");
    for hook in body["webhooks"].as_array_mut().expect("webhooks") {
        hook["rules"][0]["scope"] = json!("*");
    }
    let labels = [(OWNER_LABEL.to_owned(), "system".to_owned())].into();
    Live { body, labels, version, ..Live::named(one.key.clone()) }
}

/// The zones of each kind that the configurations in a cluster ask about.
fn covered(mirror: &Mirror) -> [BTreeSet<String>; 2] {
    let view = mirror.view();
    KINDS.map(|kind| {
        let hooks = view.of(kind).flat_map(|live| live.body["webhooks"].as_array().expect("webhooks"));
        hooks
            .map(|hook| hook["namespaceSelector"]["matchLabels"]["zone"].as_str().expect("a zone").to_owned())
            .collect()
    })
}

/// An operator that makes passes over a cluster, until nothing follows or it dies: after so many writes.
/// Between all writes, the zones must be asked about. Returns whether it finished.
fn passes(mirror: &Mirror, newest: &BTreeMap<Key, Wanted>, mut writes: usize, zones: &[&str]) -> bool {
    let mut operator = Configurations::default();
    let mut write = |change: &dyn Fn(u64)| {
        writes = writes.checked_sub(1)?;
        change(mirror.view().all().map(|live| live.version).max().unwrap_or(0) + 1);
        for asked in covered(mirror) {
            assert!(zones.iter().all(|zone| asked.contains(*zone)), "{zones:?}: {asked:?}");
        }
        Some(())
    };
    for _ in 0..4 {
        operator.take_up(&mirror.view(), newest, "system");
        let asked = operator.ask(Stance::Newest, newest, "system");
        for one in asked.values() {
            let is_there = mirror.get(&one.key).is_some_and(|live| live.body == stored(one, 1).body);
            if !is_there && write(&|version| _ = mirror.applied(stored(one, version))).is_none() {
                return false;
            }
        }
        let gone: Vec<_> =
            mirror.view().all().filter(|live| !asked.contains_key(&live.key)).cloned().collect();
        for live in gone.iter().rev() {
            if write(&|_| _ = mirror.deleted(live)).is_none() {
                return false;
            }
        }
        if !operator.stepped(newest, "system") {
            return true;
        }
    }
    panic!("there is always one more step");
}

#[test]
fn a_restart_skips_no_step() {
    let layouts: [&[&[&str]]; 4] =
        [&[&["a", "b"]], &[&["a"], &["b"]], &[&["b"], &["a"]], &[&["a"], &["c", "b"]]];
    for before in layouts {
        for newest in layouts {
            let newest = several(newest);
            // It dies after so many writes; the last of these rounds needs no restart.
            for writes in 0.. {
                let mirror = Mirror::default();
                several(before).values().for_each(|one| _ = mirror.applied(stored(one, 1)));
                let finished = passes(&mirror, &newest, writes, &["a", "b"]);
                assert!(passes(&mirror, &newest, usize::MAX, &["a", "b"]));
                let view = mirror.view();
                let stand: Vec<_> = view.all().map(|live| (&live.key, live.body.clone())).collect();
                let wanted: Vec<_> = newest.values().map(|one| (&one.key, stored(one, 1).body)).collect();
                assert_eq!(stand, wanted, "{before:?} after {writes} writes");
                if finished {
                    break;
                }
            }
        }
    }
}

/// What an operator that has just started asks for while too few replicas answer.
fn asked_before(mirror: &Mirror, newest: &BTreeMap<Key, Wanted>) -> BTreeMap<Key, Wanted> {
    let mut operator = Configurations::default();
    operator.take_up(&mirror.view(), newest, "system");
    operator.ask(Stance::Before, newest, "system")
}

#[test]
fn after_a_restart_everything_is_asked_about_however_few_replicas_answer() {
    let (before, newest) = (several(&[&["a", "b"], &["c"]]), several(&[&["b"], &["c", "d"]]));
    let mirror = Mirror::default();
    before.values().for_each(|one| _ = mirror.applied(stored(one, 1)));
    let of = |name: &str, hooks: &[&str]| {
        (name.to_owned(), hooks.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
    };
    let asks = asked(&asked_before(&mirror, &newest));
    assert_eq!(asks, [of("bailiwick", &["b b", "before-a a"]), of("bailiwick-1", &["c c", "d d"])]);
    // Once that is written it is known, and stays.
    let mut operator = Configurations::default();
    operator.take_up(&mirror.view(), &newest, "system");
    operator.renewed(&newest, "system");
    assert_eq!(asked(&operator.ask(Stance::Before, &several(&[&["e"]]), "system")), asks);
    let bundle = |one: &Wanted| one.manifest["webhooks"][0]["clientConfig"]["caBundle"].clone();
    let mut renewed = newest.clone();
    for one in renewed.values_mut() {
        one.manifest["webhooks"][0]["clientConfig"]["caBundle"] = json!("bmV3");
    }
    let taken = operator.ask(Stance::Before, &renewed, "system");
    assert!(taken.values().all(|one| bundle(one) == json!("bmV3")), "{taken:?}");
}

/// Configurations with a webhook for each purpose, which is reached as `at` says.
fn reached(at: &Value) -> BTreeMap<Key, Wanted> {
    let paths = [
        ("mutate-own", "/own/mutate"),
        ("mutate-1", "/mutate"),
        ("validate-own", "/own/validate"),
        ("validate-1", "/validate"),
        ("connect-1", "/connect"),
        ("namespaces-1", "/own/validate"),
    ];
    let placed = configurations(&paths.map(|(name, _)| name)).into_values().map(|one| {
        let mut manifest = one.manifest;
        for (hook, (_, path)) in manifest["webhooks"].as_array_mut().expect("webhooks").iter_mut().zip(paths)
        {
            hook["clientConfig"] = at.clone();
            if at.get("url").is_some() {
                hook["clientConfig"]["url"] = json!(format!("https://127.0.0.1:8443{path}"));
            } else {
                hook["clientConfig"]["service"]["path"] = json!(path);
            }
        }
        Wanted::new(manifest, "system").expect("a manifest")
    });
    placed.map(|one| (one.key.clone(), one)).collect()
}

#[test]
fn what_was_edited_while_no_operator_ran_does_not_stay() {
    let service =
        json!({ "service": { "namespace": "system", "name": "webhook", "port": 443 }, "caBundle": "b2xk" });
    let some = json!({ "matchLabels": { "judged": "yes" } });
    for at in [service, json!({ "url": "", "caBundle": "b2xk" })] {
        let newest = reached(&at);
        for (member, edit) in [
            ("failurePolicy", &json!("Ignore")),
            ("objectSelector", &some),
            ("namespaceSelector", &some),
            ("matchConditions", &json!([{ "name": "never", "expression": "false" }])),
            ("rules", &json!([])),
            ("clientConfig", &json!({ "url": "https://evil.example/allow", "caBundle": "ZXZpbA==" })),
            ("matchPolicy", &json!("Exact")),
            ("scope", &json!("Cluster")),
        ] {
            let (mirror, mut edited) = (Mirror::default(), newest.clone());
            for one in edited.values_mut() {
                let mut live = stored(one, 1);
                for hook in live.body["webhooks"].as_array_mut().expect("webhooks") {
                    let edited = if member == "scope" { &mut hook["rules"][0] } else { hook };
                    edited[member] = edit.clone();
                }
                mirror.applied(live);
            }
            assert_eq!(asked_before(&mirror, &newest), newest, "{member} of {at}");
            // What is moved to another configuration stays for a step, and asks this webhook.
            for (key, one) in standing(&mirror.view(), &newest, "system") {
                for (hook, own) in webhooks(&one).zip(webhooks(&newest[&key])) {
                    assert_eq!(hook["clientConfig"], own["clientConfig"], "{member} of {at}");
                    assert_eq!(hook.get("objectSelector"), None, "{member} of {at}");
                    assert_eq!(hook["failurePolicy"], "Fail", "{member} of {at}");
                }
            }
        }
        // One that lost its label is not found, and is wanted all the same.
        assert_eq!(asked_before(&Mirror::default(), &newest), newest);
    }
}
