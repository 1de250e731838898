//! From a binding to the policy that it puts in force, and what stays when it cannot.

use bailiwick_compiler::cluster::{PackError, Reason, precedence};
use serde_json::{Value, json};

use crate::stage::{Cluster, of, pack};

#[test]
fn a_binding_names_its_pack_by_version_or_by_digest() {
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443])]);
    cluster.bind("by-version", of("a", "1.0.0"));
    let digest = cluster.packs.add(&pack("a", "1.1.0", "x", &[80])).expect("a pack");
    cluster.bind("by-digest", json!({ "pack": { "name": "a", "digest": digest } }));
    for (name, pack, reason) in [
        ("no-pack", json!({ "name": "b", "version": "1.0.0" }), Reason::UnknownPack),
        ("no-version", json!({ "name": "a", "version": "2.0.0" }), Reason::UnknownVersion),
        ("no-digest", json!({ "name": "a", "digest": "0".repeat(64) }), Reason::UnknownDigest),
        ("nothing", json!({ "name": "a" }), Reason::UnknownVersion),
    ] {
        cluster.bind(name, json!({ "pack": pack }));
        let verdict = &cluster.update()[name];
        assert_eq!(verdict.reason, reason, "{name}: {}", verdict.message);
        assert!(verdict.in_force.is_none() && cluster.in_force.policy(name).is_none());
    }
    let verdicts = cluster.update();
    let version = |name: &str| verdicts[name].in_force.as_ref().expect("in force").version.to_string();
    assert_eq!((version("by-version"), version("by-digest")), ("1.0.0".to_owned(), "1.1.0".to_owned()));
}

#[test]
fn parameters_are_chosen_inside_their_domain_and_are_part_of_the_cell() {
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443])]);
    cluster.bind("plain", of("a", "1.0.0"));
    let chosen =
        |cidr: &str| json!({ "pack": { "name": "a", "version": "1.0.0" }, "parameters": { "cidr": cidr } });
    cluster.bind("chosen", chosen("198.51.100.0/24"));
    cluster.bind("outside", chosen("0.0.0.0/0"));
    let mut other = chosen("192.0.2.0/24");
    other["parameters"] = json!({ "cdir": "192.0.2.0/24" });
    cluster.bind("misspelt", other);
    let verdicts = cluster.update();
    let policy = |name: &str| {
        serde_json::to_string(cluster.in_force.policy(name).expect(name).policy.as_ref()).unwrap()
    };
    assert!(policy("plain").contains("192.0.2.0/24") && !policy("plain").contains("198.51.100.0/24"));
    assert!(policy("chosen").contains("198.51.100.0/24"));
    let cell = |name: &str| cluster.in_force.policy(name).expect(name).policy.cell.clone();
    assert_ne!(cell("plain"), cell("chosen"));
    assert_eq!(verdicts["outside"].reason, Reason::DoesNotCompile);
    assert!(verdicts["outside"].message.contains("BW0203"), "{}", verdicts["outside"].message);
    assert!(verdicts["misspelt"].message.contains("did you mean `cidr`"), "{}", verdicts["misspelt"].message);
}

#[test]
fn narrowing_leaves_out_and_never_adds() {
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443])]);
    let narrowed =
        |to: serde_json::Value| json!({ "pack": { "name": "a", "version": "1.0.0" }, "narrowTo": to });
    cluster.bind("team", narrowed(json!({ "namespaces": { "matchLabels": { "team": "a" } } })));
    cluster.bind("tier", narrowed(json!({ "pods": { "matchLabels": { "tier": "gold" } } })));
    cluster.bind("nobody", narrowed(json!({ "pods": { "matchLabels": { "app": "y" } } })));
    cluster.bind("no-selector", narrowed(json!({ "pods": { "matchLabels": { "app": "not a value!" } } })));
    let verdicts = cluster.update();
    assert_eq!(verdicts["nobody"].reason, Reason::BadSelector);
    assert_eq!(verdicts["no-selector"].reason, Reason::BadSelector);
    let cells = cluster.cells();
    assert_eq!(cells.reach["one"], ["team", "tier"]);
    assert_eq!(cells.reach["two"], ["tier"], "namespace `two` is of another team");
    assert!(!cells.reach.contains_key("web"), "narrowing reached a namespace that the pack does not govern");
}

#[test]
fn a_selector_too_long_for_the_api_servers_conditions_is_refused_and_what_was_in_force_stays() {
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443])]);
    let teams = |count: usize| {
        let values: Vec<String> = (0..count).map(|at| format!("{at:0>63}")).collect();
        let term = json!({ "key": "team", "operator": "In", "values": values });
        json!({ "pack": { "name": "a", "version": "1.0.0" }, "narrowTo": { "namespaces": { "matchExpressions": [term] } } })
    };
    cluster.bind("teams", teams(500));
    assert_eq!(cluster.update()["teams"].reason, Reason::Compiled);
    cluster.bind("teams", teams(700));
    let verdict = &cluster.update()["teams"];
    assert_eq!(verdict.reason, Reason::BadSelector);
    assert!(verdict.message.contains("select by a label that they have in common"), "{}", verdict.message);
    assert!(verdict.in_force.is_some(), "the shorter one stays");
}

/// The scheduler's binding writes them, so that a floor that kept them would let no pod start.
#[test]
fn pods_are_not_selected_by_what_a_node_labels_them_with() {
    let zone = json!({ "matchLabels": { "topology.kubernetes.io/zone": "a" } });
    let mut packed = pack("b", "1.0.0", "x", &[443]);
    packed["spec"]["subjects"]["pods"] = zone.clone();
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443]), packed]);
    cluster.bind("a", json!({ "pack": { "name": "a", "version": "1.0.0" }, "narrowTo": { "pods": zone } }));
    cluster.bind("b", of("b", "1.0.0"));
    let verdicts = cluster.update();
    assert_eq!(verdicts["a"].reason, Reason::BadSelector);
    for name in ["a", "b"] {
        let message = &verdicts[name].message;
        assert!(message.contains("`topology.kubernetes.io/zone` from its node"), "{name}: {message}");
    }
}

#[test]
fn a_ceiling_is_not_bound() {
    let mut ceiling = pack("a", "1.0.0", "x", &[443]);
    ceiling["spec"].as_object_mut().expect("a spec").remove("subjects");
    let mut cluster = Cluster::with(&[ceiling]);
    cluster.bind("a", of("a", "1.0.0"));
    assert_eq!(cluster.update()["a"].reason, Reason::GovernsNobody);
}

#[test]
fn what_does_not_compile_changes_nothing_that_works() {
    let mut broken = pack("a", "2.0.0", "x", &[443]);
    broken["spec"]["network"]["egress"][0]["to"]["cidr"] = json!("192.0.2.0/99");
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443]), broken]);
    cluster.bind("a", of("a", "1.0.0"));
    assert!(cluster.update()["a"].is_current());
    let before = (cluster.cells(), cluster.in_force.policy("a").cloned());
    for (why, spec) in [
        ("a broken pack", of("a", "2.0.0")),
        ("an unknown version", of("a", "3.0.0")),
        (
            "a value outside its domain",
            json!({ "pack": { "name": "a", "version": "1.0.0" }, "parameters": { "cidr": "x" } }),
        ),
    ] {
        cluster.bind("a", spec);
        let verdict = &cluster.update()["a"];
        assert!(!verdict.is_current(), "{why} compiled");
        assert_eq!(
            verdict.in_force.as_ref().map(|pack| pack.version.to_string()).as_deref(),
            Some("1.0.0"),
            "{why}"
        );
        assert_eq!(
            (cluster.cells(), cluster.in_force.policy("a").cloned()),
            before,
            "{why} changed what works"
        );
    }
    // Once it compiles, it is in force.
    cluster.bind("a", json!({ "pack": { "name": "a", "version": "1.0.0" }, "stage": "Audit" }));
    assert!(cluster.update()["a"].is_current());
    assert_ne!(cluster.in_force.policy("a").cloned(), before.1);
    // And a binding that goes is in force no more.
    cluster.bindings.clear();
    cluster.update();
    assert!(cluster.in_force.policy("a").is_none() && cluster.cells().cells.is_empty());
}

#[test]
fn after_a_restart_the_status_says_what_was_in_force() {
    let mut broken = pack("a", "2.0.0", "x", &[443]);
    broken["spec"]["network"]["egress"][0]["to"]["cidr"] = json!("192.0.2.0/99");
    let mut cluster = Cluster::with(&[broken.clone(), pack("a", "1.0.0", "x", &[443])]);
    let digest = cluster.packs.add(&pack("a", "1.0.0", "x", &[443])).expect("a pack");
    cluster.bind("a", of("a", "2.0.0"));
    let status = json!({ "version": "1.0.0", "digest": digest, "stage": "Warn" });
    cluster.statuses.insert("a".to_owned(), serde_json::from_value(status.clone()).expect("a status"));
    let verdict = &cluster.update()["a"];
    assert!(!verdict.is_current());
    assert_eq!(verdict.in_force.as_ref().map(|pack| pack.digest.clone()), Some(digest));
    let bound = cluster.in_force.policy("a").expect("the last good version");
    assert_eq!(
        bound.stage,
        bailiwick_policy::admission::Stage::Warn,
        "the stage is the one that was reached"
    );
    // With the values that were chosen then, not with those that may be what does not compile.
    for (asked, chosen) in [
        (json!({ "parameters": { "cidr": "nonsense" } }), json!({})),
        (json!({ "narrowTo": { "pods": { "matchLabels": { "app": "y" } } } }), json!({})),
        (json!({}), json!({ "parameters": { "cidr": "198.51.100.0/24" } })),
    ] {
        let mut again = Cluster::with(&[broken.clone(), pack("a", "1.0.0", "x", &[443])]);
        let mut spec = of("a", "2.0.0");
        spec.as_object_mut().expect("a spec").extend(asked.as_object().expect("an object").clone());
        again.bind("a", spec);
        let mut status = status.clone();
        status["chosen"] = chosen.clone();
        again.statuses.insert("a".to_owned(), serde_json::from_value(status).expect("a status"));
        again.update();
        let mut first = Cluster::with(&[pack("a", "1.0.0", "x", &[443])]);
        let mut spec = of("a", "1.0.0");
        spec.as_object_mut().expect("a spec").extend(chosen.as_object().expect("an object").clone());
        first.bind("a", spec);
        first.update();
        let digest = |cluster: &Cluster| cluster.in_force.policy("a").map(|bound| bound.digest.clone());
        assert!(digest(&first).is_some());
        assert_eq!(digest(&again), digest(&first), "{asked} {chosen}");
    }
    // A status that names another content than the cluster's is not believed; and then nobody knows what governs.
    let mut cluster = Cluster::with(&[broken, pack("a", "1.0.0", "x", &[443])]);
    cluster.bind("a", of("a", "2.0.0"));
    let mut other = status;
    other["digest"] = json!("0".repeat(64));
    cluster.statuses.insert("a".to_owned(), serde_json::from_value(other).expect("a status"));
    let verdict = cluster.update().remove("a").expect("a verdict");
    let binding = bailiwick_compiler::cluster::Binding {
        name: "a",
        spec: &cluster.bindings["a"],
        status: cluster.statuses.get("a"),
    };
    assert!(verdict.in_force.is_none() && verdict.is_lost(&binding));
}

#[test]
fn a_binding_that_cannot_be_read_keeps_what_it_has_in_force() {
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443])]);
    cluster.bind("a", of("a", "1.0.0"));
    cluster.update();
    let before = cluster.in_force.policy("a").cloned();
    assert!(before.is_some());
    cluster.in_force.update_beside(&[], &["a"].into(), &cluster.packs);
    assert_eq!(cluster.in_force.policy("a").cloned(), before);
    cluster.in_force.update(&[], &cluster.packs);
    assert_eq!(cluster.in_force.policy("a"), None, "it is gone");
}

#[test]
fn a_new_version_of_an_extended_pack_tells_whose_policies_it_would_change() {
    let mut child = pack("child", "1.0.0", "x", &[443]);
    child["spec"]["extends"] = json!([{ "name": "parent", "version": "^1.0" }]);
    let parent = |version: &str, ports: &[u16]| {
        let mut parent = pack("parent", version, "x", ports);
        parent["spec"].as_object_mut().expect("a spec").remove("subjects");
        parent
    };
    let mut cluster = Cluster::with(&[child, parent("1.0.0", &[443]), pack("alone", "1.0.0", "y", &[443])]);
    cluster.bind("child", of("child", "1.0.0"));
    cluster.bind("alone", of("alone", "1.0.0"));
    cluster.update();
    let renewed = |name: &str, more: serde_json::Value| {
        let mut packs = cluster.packs.clone();
        packs.add(&more).expect("a pack");
        let renewed = cluster.in_force.renewed(name, &packs).map(|bound| bound.binding.clone());
        renewed.collect::<Vec<_>>()
    };
    assert_eq!(renewed("parent", parent("1.1.0", &[443, 80])), ["child"]);
    assert_eq!(renewed("parent", parent("2.0.0", &[443, 80])), Vec::<String>::new(), "it does not fit");
    assert_eq!(
        renewed("alone", pack("alone", "1.1.0", "y", &[80])),
        Vec::<String>::new(),
        "it must be bound"
    );
}

#[test]
fn a_published_version_has_one_content() {
    let mut cluster = Cluster::with(&[pack("a", "1.0.0", "x", &[443])]);
    assert!(cluster.packs.add(&pack("a", "1.0.0", "x", &[443])).is_ok(), "the same again");
    cluster.bind("a", of("a", "1.0.0"));
    cluster.update();
    let mut locked = pack("a", "1.0.0", "x", &[443]);
    locked["metadata"]["annotations"] =
        json!({ bailiwick_compiler::cluster::LOCK_ANNOTATION: "packs: []\n" });
    for mut other in [pack("a", "1.0.0", "x", &[80]), locked, pack("a", "1.0.0", "x", &[443])] {
        other["metadata"]["name"] = json!("other");
        let error = cluster.packs.add(&other).unwrap_err();
        assert!(matches!(&error, PackError::Twice { first, .. } if first == "a-1.0.0"), "{error}");
        assert!(cluster.packs.is_another(&other));
        cluster.update();
        assert_eq!(cluster.in_force.compilations(), 1, "it is as it was");
    }
    assert!(!cluster.packs.is_another(&pack("a", "1.0.0", "x", &[443])));
    // One that was there first keeps no place.
    let mut squatter = pack("b", "1.0.0", "x", &[80]);
    squatter["metadata"]["name"] = json!("squatter");
    cluster.packs.add(&squatter).expect("nothing is that version yet");
    cluster.packs.add(&pack("b", "1.0.0", "x", &[443])).expect("the version itself");
    assert!(cluster.packs.is_another(&squatter));
    assert!(!cluster.packs.is_another(&pack("a", "2.0.0", "x", &[443])), "nothing is that version");
    let error = cluster.packs.add(&json!({ "spec": { "pack": "a" } })).unwrap_err();
    assert!(matches!(error, PackError::Nameless), "{error}");
}

#[test]
fn of_two_objects_of_one_version_the_one_named_after_it_counts() {
    let named = |name: &str| {
        let mut pack = pack("a", "1.0.0", "x", &[443]);
        pack["metadata"]["name"] = json!(name);
        pack
    };
    let mut all = [named("z"), named("0"), named("a-1.0.0")];
    all.sort_by_cached_key(precedence);
    assert_eq!(
        all.each_ref().map(|pack| pack["metadata"]["name"].as_str().expect("a name")),
        ["a-1.0.0", "0", "z"]
    );
}

#[test]
fn a_pack_may_extend_packs_of_the_cluster() {
    let mut child = pack("child", "1.0.0", "x", &[443]);
    child["spec"]["extends"] = json!([{ "name": "parent", "version": "^1.0" }]);
    let mut parent = pack("parent", "1.0.0", "x", &[443, 80]);
    parent["spec"].as_object_mut().expect("a spec").remove("subjects");
    let mut cluster = Cluster::with(&[child.clone()]);
    cluster.bind("child", of("child", "1.0.0"));
    assert_eq!(cluster.update()["child"].reason, Reason::DoesNotCompile, "its parent is not there yet");
    cluster.packs.add(&parent).expect("a pack");
    let verdict = &cluster.update()["child"];
    assert!(verdict.is_current(), "{}", verdict.message);
    // A lock that stands in the annotation is obeyed.
    child["metadata"]["annotations"] = json!({ bailiwick_compiler::cluster::LOCK_ANNOTATION: "packs: []\n" });
    let mut cluster = Cluster::with(&[child, parent]);
    cluster.bind("child", of("child", "1.0.0"));
    let verdict = &cluster.update()["child"];
    assert!(verdict.message.contains("BW0210"), "{}", verdict.message);
}

#[test]
fn a_new_binding_opens_what_another_denied_only_where_it_selects_other_pods() {
    let mut cluster = Cluster::with(&[
        pack("a", "1.0.0", "x", &[443]),
        pack("b", "1.0.0", "y", &[443]),
        pack("c", "1.0.0", "x", &[443]),
    ]);
    cluster.bind("a", of("a", "1.0.0"));
    cluster.update();
    let opened = |name: &str, change: serde_json::Value| {
        let mut other = Cluster::with(&[pack("b", "1.0.0", "y", &[443]), pack("c", "1.0.0", "x", &[443])]);
        let mut spec = of(name, "1.0.0");
        spec.as_object_mut().expect("a spec").extend(change.as_object().expect("an object").clone());
        other.bind(name, spec);
        other.update();
        let new = other.in_force.policy(name).expect("bound").clone();
        bailiwick_compiler::cluster::opens(&cluster.in_force, &new).map(str::to_owned)
    };
    assert_eq!(opened("b", json!({})).as_deref(), Some("a"), "pods with `app: y` were denied");
    assert_eq!(opened("c", json!({})), None, "pods with `app: x` are governed already");
    let elsewhere =
        json!({ "narrowTo": { "namespaces": { "matchLabels": { "zone": "agents", "team": "c" } } } });
    assert_eq!(opened("b", elsewhere).as_deref(), Some("a"), "a namespace of that team may come");
    // What only audits denies nothing yet.
    cluster.bind("a", json!({ "pack": { "name": "a", "version": "1.0.0" }, "stage": "Audit" }));
    cluster.update();
    let mut other = Cluster::with(&[pack("b", "1.0.0", "y", &[443])]);
    other.bind("b", of("b", "1.0.0"));
    other.update();
    let new = other.in_force.policy("b").expect("bound");
    assert_eq!(bailiwick_compiler::cluster::opens(&cluster.in_force, new), None);
}

/// A pack that extends `base`, whatever version of it from 1 on.
fn child(name: &str) -> Value {
    let mut pack = pack(name, "1.0.0", name, &[443]);
    pack["spec"]["extends"] = json!([{ "name": "base", "version": "^1" }]);
    pack
}

/// A version of a pack that governs nobody by itself.
fn base(version: &str, ports: &[u16]) -> Value {
    let mut base = pack("base", version, "", ports);
    base["spec"].as_object_mut().expect("a spec").remove("subjects");
    base
}

#[test]
fn what_is_taken_stays_known_while_something_newer_does_not_compile() {
    let mut cluster = Cluster::with(&[child("a"), base("1.0.0", &[443])]);
    cluster.bind("a", of("a", "1.0.0"));
    cluster.update();
    let taken = |cluster: &Cluster| {
        let bound = cluster.in_force.policy("a").expect("bound");
        let taken = bound.taken.iter().map(|one| format!("{} {} {}", one.name, one.requirement, one.version));
        taken.collect::<Vec<_>>()
    };
    assert_eq!(taken(&cluster), ["base ^1 1.0.0"]);
    // There is no such version, so what the one in force takes stays taken.
    cluster.bind("a", of("a", "9.9.9"));
    assert!(!cluster.update()["a"].is_current());
    assert_eq!(taken(&cluster), ["base ^1 1.0.0"]);
    // A newer base that the child does not fit under.
    cluster.bind("a", of("a", "1.0.0"));
    cluster.packs.add(&base("1.1.0", &[80])).expect("a pack");
    assert!(!cluster.update()["a"].is_current());
    assert_eq!(taken(&cluster), ["base ^1 1.0.0"]);
}

#[test]
fn a_new_pack_compiles_only_what_takes_it_and_the_result_is_that_of_all_compiled_anew() {
    let mut cluster =
        Cluster::with(&[base("1.0.0", &[443]), child("a"), child("b"), pack("plain", "1.0.0", "p", &[443])]);
    for (name, spec) in [
        ("a", of("a", "1.0.0")),
        ("b", of("b", "1.0.0")),
        ("plain", of("plain", "1.0.0")),
        (
            "values",
            json!({ "pack": { "name": "plain", "version": "1.0.0" }, "parameters": { "cidr": "198.51.100.0/24" } }),
        ),
        ("unknown", of("later", "1.0.0")),
    ] {
        cluster.bind(name, spec);
    }
    // How many of the five are compiled after a change, with the policies that come of it; the same as of one who compiles all.
    let mut compiled = |change: &dyn Fn(&mut Cluster)| {
        change(&mut cluster);
        let before = cluster.in_force.compilations();
        let verdicts = cluster.update();
        let count = cluster.in_force.compilations() - before;
        let mut anew = Cluster {
            packs: cluster.packs.clone(),
            bindings: cluster.bindings.clone(),
            ..Cluster::default()
        };
        assert_eq!(anew.update(), verdicts);
        let policies = |cluster: &Cluster| {
            cluster
                .in_force
                .policies()
                .map(|one| (one.binding.clone(), one.digest.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(policies(&anew), policies(&cluster));
        assert!(anew.in_force.policies().eq(cluster.in_force.policies()));
        count
    };
    let add = |packs: Vec<Value>| {
        move |cluster: &mut Cluster| {
            packs.iter().for_each(|pack| _ = cluster.packs.add(pack).expect("a pack"))
        }
    };
    assert_eq!(compiled(&|_| ()), 5);
    assert_eq!(compiled(&|_| ()), 0);
    assert_eq!(compiled(&add(vec![pack("plain", "2.0.0", "p", &[80])])), 0, "nobody binds it");
    assert_eq!(compiled(&add(vec![base("2.0.0", &[80])])), 0, "nobody's requirement takes it");
    assert_eq!(compiled(&add(vec![base("1.1.0", &[80, 443])])), 2, "both that extend it");
    assert_eq!(compiled(&add(vec![pack("later", "1.0.0", "l", &[443])])), 1, "who waited for it");
    assert_eq!(
        compiled(&|cluster| cluster
            .bind("a", json!({ "pack": { "name": "a", "version": "1.0.0" }, "stage": "Warn" }))),
        1
    );
    // A version that goes is missed by who took it.
    let all = [
        base("1.0.0", &[443]),
        base("2.0.0", &[80]),
        child("a"),
        child("b"),
        pack("plain", "1.0.0", "p", &[443]),
        pack("later", "1.0.0", "l", &[443]),
    ];
    let without = Cluster::with(&all).packs;
    assert_eq!(compiled(&move |cluster| cluster.packs = without.clone()), 2);
}
