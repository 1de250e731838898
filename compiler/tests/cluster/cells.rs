//! Which bindings govern pods together.

use std::collections::BTreeSet;

use bailiwick_compiler::cluster::MAX_CELLS;
use serde_json::{Value, json};

use crate::stage::{Cluster, of, pack};

fn sets(cluster: &Cluster) -> BTreeSet<Vec<String>> {
    cluster.cells().cells.into_values().map(|cell| cell.bindings).collect()
}

fn named(sets: &[&[&str]]) -> BTreeSet<Vec<String>> {
    sets.iter().map(|set| set.iter().map(|name| (*name).to_owned()).collect()).collect()
}

fn bound(packs: &[Value]) -> Cluster {
    let mut cluster = Cluster::with(packs);
    for pack in packs {
        let name = pack["spec"]["pack"].as_str().expect("a name");
        cluster.bind(name, of(name, "1.0.0"));
    }
    for (name, verdict) in cluster.update() {
        assert!(verdict.is_current(), "{name}: {}", verdict.message);
    }
    cluster
}

#[test]
fn only_cells_that_can_be_are_there() {
    let everything = pack("all", "1.0.0", "", &[443]);
    let x = pack("x", "1.0.0", "x", &[443]);
    let y = pack("y", "1.0.0", "y", &[443]);
    // A pod has one value of a label, so nothing is both x and y; and whatever is x is also selected by `all`.
    let cluster = bound(&[everything, x, y]);
    assert_eq!(sets(&cluster), named(&[&["all"], &["all", "x"], &["all", "y"]]));
    // Selectors over different labels overlap in every way.
    let mut tier = pack("tier", "1.0.0", "", &[443]);
    tier["spec"]["subjects"]["pods"] = json!({ "matchLabels": { "tier": "gold" } });
    let cluster = bound(&[pack("x", "1.0.0", "x", &[443]), tier]);
    assert_eq!(sets(&cluster), named(&[&["x"], &["tier"], &["tier", "x"]]));
    // A selector that is part of another one never stands alone.
    let mut inner = pack("inner", "1.0.0", "x", &[443]);
    inner["spec"]["subjects"]["pods"] = json!({ "matchLabels": { "app": "x", "tier": "gold" } });
    let cluster = bound(&[inner, pack("x", "1.0.0", "x", &[443])]);
    assert_eq!(sets(&cluster), named(&[&["x"], &["inner", "x"]]));
}

#[test]
fn a_cell_is_held_to_the_meet_of_its_bindings() {
    let mut cluster = bound(&[pack("a", "1.0.0", "", &[443, 80]), pack("b", "1.0.0", "x", &[443, 22])]);
    let cells = cluster.cells();
    let both = cells.cells.values().find(|cell| cell.bindings.len() == 2).expect("the cell of both");
    assert_eq!(both.namespaces, ["one", "two"]);
    let effective = both.effective.as_ref().expect("it can be met");
    let network = effective.policy.network.as_ref().expect("a network");
    let ports: BTreeSet<u16> =
        network.egress.iter().flat_map(|rule| &rule.ports).map(|port| port.first).collect();
    assert_eq!(ports, BTreeSet::from([443]), "what both allow");
    assert_eq!(effective.policy.cell, both.name);
    assert_eq!(bailiwick_policy::bundle::load(&effective.bundle).expect("a bundle").digest, effective.digest);
    // A stage changes what holds, and neither the name of the cell nor what the other binding asks for.
    cluster.bind("b", json!({ "pack": { "name": "b", "version": "1.0.0" }, "stage": "Audit" }));
    cluster.update();
    let later = cluster.cells();
    assert_eq!(cells.cells.keys().collect::<Vec<_>>(), later.cells.keys().collect::<Vec<_>>());
    let effective = later.cells[&both.name].effective.as_ref().expect("`a` is enforced");
    let network = effective.policy.network.as_ref().expect("a network");
    let ports: BTreeSet<u16> =
        network.egress.iter().flat_map(|rule| &rule.ports).map(|port| port.first).collect();
    assert_eq!(ports, BTreeSet::from([80, 443]));
    assert_ne!(effective.digest, both.effective.as_ref().expect("met").digest);
}

#[test]
fn packs_that_cannot_be_met_are_told_and_their_cell_allows_nothing() {
    let pools = |runtime: &str| {
        json!([{ "name": "warm", "backend": "Native", "runtimeClass": runtime, "podSecurity": { "level": "Baseline", "version": "v1.36" },
            "userNamespace": "Required", "cgroup": "Writable", "resources": { "cpus": "2", "memory": "1Gi" } }])
    };
    let (mut a, mut b) = (pack("a", "1.0.0", "", &[443]), pack("b", "1.0.0", "x", &[443]));
    (a["spec"]["pools"], b["spec"]["pools"]) = (pools("runc"), pools("gvisor"));
    let cells = bound(&[a, b]).cells();
    let both = cells.cells.values().find(|cell| cell.bindings.len() == 2).expect("the cell of both");
    assert!(both.effective.is_none());
    let problem = cells.problems.iter().find(|one| one.bindings == ["a", "b"]).expect("it is told");
    assert_eq!(problem.reason, "PacksConflict");
    assert!(problem.message.contains("`warm`"), "{}", problem.message);
}

#[test]
fn too_many_overlaps_are_refused_rather_than_worked_through() {
    let packs: Vec<Value> = (0..12)
        .map(|at| {
            let mut pack = pack(&format!("p{at}"), "1.0.0", "", &[443]);
            pack["spec"]["subjects"]["pods"] = json!({ "matchLabels": { format!("label{at}"): "on" } });
            pack
        })
        .collect();
    let cells = bound(&packs).cells();
    assert!(cells.cells.len() <= MAX_CELLS);
    assert!(cells.problems.iter().any(|problem| problem.reason == "TooManyCells"), "{:?}", cells.problems);
    // Which bindings reach a namespace is known all the same: what denies by default needs no cell.
    assert_eq!(cells.reach["one"].len(), 12);
}

#[test]
fn the_same_objects_in_another_order_give_the_same_cells() {
    let packs =
        [pack("a", "1.0.0", "", &[443]), pack("b", "1.0.0", "x", &[443]), pack("c", "1.0.0", "y", &[22])];
    let reversed: Vec<Value> = packs.iter().rev().cloned().collect();
    assert_eq!(bound(&packs).cells(), bound(&reversed).cells());
}
