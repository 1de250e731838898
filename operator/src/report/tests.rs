//! What is said while it is not known what stands.

use serde_json::{Map, json};

use super::*;
use crate::mirror::Mirror;
use crate::world::Read;

fn key(kind: Kind, name: &str) -> Key {
    Key { kind, namespace: Some("pools".to_owned()), name: name.to_owned() }
}

/// The `Ready` condition and the ready pods of a pool of digest `b`, whose Deployment is of another or the same.
fn said(annotated: &str, raced: &BTreeSet<Key>) -> Option<(String, u64)> {
    said_of(Some("b"), annotated, raced)
}

/// The same of a pool whose digest stands in its status, and is known now or not.
fn said_of(known: Option<&str>, annotated: &str, raced: &BTreeSet<Key>) -> Option<(String, u64)> {
    let spec = json!({
        "runtime": "Deployment", "pack": { "name": "a", "version": "1.0.0" }, "pool": "warm", "replicas": 2, "image": "x",
    });
    let pool = Live {
        body: Map::from_iter([("spec".to_owned(), spec.clone())]),
        status: json!({ "digest": "b" }),
        ..Live::named(key(Kind::SandboxPool, "warm"))
    };
    let deployment = Live {
        annotations: BTreeMap::from([(DIGEST_ANNOTATION.to_owned(), format!("sha256:{annotated}"))]),
        body: Map::from_iter([("spec".to_owned(), json!({ "replicas": 2 }))]),
        generation: 1,
        status: json!({ "observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2 }),
        ..Live::named(key(Kind::Deployment, "bailiwick-pool-warm"))
    };
    let mirror = Mirror::default();
    mirror.applied(deployment);
    let verdict = PoolVerdict { key: pool.key.clone(), error: None, digest: known.map(str::to_owned) };
    let read =
        Read { live: Arc::new(pool), said: serde_json::from_value(spec).map_err(|error| error.to_string()) };
    let world = World { pools: vec![read], ..World::default() };
    let derived = Derived { pools: vec![verdict], ..Derived::default() };
    let (failed, none, armed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let outcome = Outcome {
        failed: &failed,
        drifted: &none,
        raced,
        armed: &armed,
        disarmed: None,
        now: "2026-01-01T00:00:00Z",
    };
    let due = report(&world, &derived, &mirror.view(), &mut PackChecks::default(), &outcome);
    let status = &due.first()?.status;
    let ready = status["conditions"].as_array()?.iter().find(|one| one["type"] == "Ready")?;
    Some((ready["reason"].as_str()?.to_owned(), status["readyReplicas"].as_u64()?))
}

#[test]
fn a_pool_is_ready_with_pods_of_its_own_digest_alone() {
    assert_eq!(said("b", &BTreeSet::new()), Some(("Ready".to_owned(), 2)));
    assert_eq!(said("a", &BTreeSet::new()), Some(("Waiting".to_owned(), 0)));
}

#[test]
fn a_pool_whose_pack_is_gone_when_the_operator_starts_is_as_ready_as_it_was() {
    assert_eq!(said_of(None, "b", &BTreeSet::new()), Some(("Ready".to_owned(), 2)));
    assert_eq!(said_of(None, "a", &BTreeSet::new()), Some(("Waiting".to_owned(), 0)));
}

#[test]
fn nothing_is_said_of_what_somebody_else_wrote_meanwhile() {
    let raced = BTreeSet::from([key(Kind::Deployment, "bailiwick-pool-warm")]);
    assert_eq!(said("b", &raced), None);
    assert!(said("b", &BTreeSet::from([key(Kind::Deployment, "bailiwick-pool-other")])).is_some());
}

#[test]
fn nothing_is_said_of_a_binding_either() {
    let policy = Key { kind: Kind::NetworkPolicy, namespace: Some("n".to_owned()), name: "p".to_owned() };
    let binding = Key { kind: Kind::PolicyBinding, namespace: None, name: "b".to_owned() };
    let read = Read { live: Arc::new(Live::named(binding)), said: Err("unreadable".to_owned()) };
    let world = World { bindings: vec![read], ..World::default() };
    let bindings_of = BTreeMap::from([(policy.clone(), vec!["b".to_owned()])]);
    let derived = Derived { bindings_of, ..Derived::default() };
    let (failed, none, armed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for (raced, statuses) in [(BTreeSet::new(), 1), (BTreeSet::from([policy]), 0)] {
        let outcome = Outcome {
            failed: &failed,
            drifted: &none,
            raced: &raced,
            armed: &armed,
            disarmed: None,
            now: "t",
        };
        let due = report(&world, &derived, &Mirror::default().view(), &mut PackChecks::default(), &outcome);
        assert_eq!(due.len(), statuses);
    }
}
