//! The emitted NetworkPolicies allow what the policy says, by two readings of the API: our simulator of its
//! semantics, which shares no code with the emitter, and the evaluator of kube-network-policies.

mod corpus;
mod imported;
mod intent;
mod simulator;
mod world;

use std::io::Write;
use std::process::{Command, Stdio};

use bailiwick_compiler::emit::{EmitOptions, artifacts};
use bailiwick_conformance::go_module::{built, go_is_there};
use bailiwick_policy::policy::{Network, NetworkRule, Policy};
use serde_json::{Value, json};

use self::corpus::{Random, policy};
use self::intent::intended;
use self::simulator::Simulator;
use self::world::{Packet, World};
use crate::policies::digest;

const POLICIES: u64 = 40;

/// The documents that are emitted for the governed namespaces of the simulated cluster, as text.
fn emitted(policy: &Policy) -> Vec<String> {
    let namespaces = vec!["agents-a".to_owned(), "agents-b".to_owned()];
    let artifacts =
        artifacts(policy, &digest(policy), &EmitOptions { namespaces, ..EmitOptions::default() }).unwrap();
    let text = String::from_utf8(artifacts.files["kubernetes/network-policies.yaml"].bytes.clone()).unwrap();
    text.split("---\n").map(str::to_owned).collect()
}

fn simulator(documents: &[String]) -> Simulator {
    Simulator::new(documents.iter().map(|text| serde_saphyr::from_str(text).unwrap()).collect())
}

fn network(policy: &Policy) -> &Network {
    policy.network.as_ref().unwrap()
}

/// The verdicts of the simulator over all packets.
fn verdicts(policy: &Policy, world: &World, packets: &[Packet]) -> Vec<bool> {
    let simulator = simulator(&emitted(policy));
    packets.iter().map(|packet| simulator.allows(world, packet)).collect()
}

#[test]
fn what_is_let_through_is_what_the_policy_says() {
    let world = World::new();
    let (mut allowed, mut denied) = (0, 0);
    for seed in 0..POLICIES {
        let policy = policy(&mut Random::new(seed));
        let simulator = simulator(&emitted(&policy));
        for packet in world.packets(network(&policy)) {
            let (found, expected) = (simulator.allows(&world, &packet), intended(&policy, &world, &packet));
            assert_eq!(found, expected, "seed {seed}: {packet:?}\n{:?}", policy.network);
            *if found { &mut allowed } else { &mut denied } += 1;
        }
    }
    assert!(allowed > 10_000 && denied > 10_000, "{allowed} allowed, {denied} denied");
}

#[test]
fn another_rule_takes_nothing_away() {
    let world = World::new();
    for seed in 0..POLICIES {
        let policy = policy(&mut Random::new(seed));
        let packets = world.packets(network(&policy));
        let all = verdicts(&policy, &world, &packets);
        for left_out in 0..network(&policy).egress.len() {
            let mut fewer = policy.clone();
            fewer.network.as_mut().unwrap().egress.remove(left_out);
            let some = verdicts(&fewer, &world, &packets);
            let widened = some.iter().zip(&all).position(|(some, all)| *some && !all);
            assert_eq!(widened, None, "seed {seed}: without rule {left_out} more is allowed");
        }
    }
}

#[test]
fn order_means_nothing() {
    let world = World::new();
    for seed in 0..POLICIES {
        let policy = policy(&mut Random::new(seed));
        let packets = world.packets(network(&policy));
        let mut turned = policy.clone();
        let network = turned.network.as_mut().unwrap();
        for rules in [&mut network.egress, &mut network.ingress] {
            rules.reverse();
            for rule in rules.iter_mut() {
                rule.peers.reverse();
                rule.ports.reverse();
            }
        }
        assert_eq!(verdicts(&policy, &world, &packets), verdicts(&turned, &world, &packets), "seed {seed}");
    }
}

#[test]
fn metadata_is_never_allowed_unless_it_is_named() {
    let world = World::new();
    for seed in 0..POLICIES {
        let mut random = Random::new(seed);
        let mut policy = policy(&mut random);
        let egress = &mut policy.network.as_mut().unwrap().egress;
        *egress = (0..3).map(|index| corpus::wide_rule(&mut random, index)).collect::<Vec<NetworkRule>>();
        let simulator = simulator(&emitted(&policy));
        let mut reached = 0;
        for packet in world.packets(network(&policy)) {
            let governed = world.pod(packet.source).is_some_and(world::Pod::governed);
            if !governed || !simulator.allows(&world, &packet) {
                continue;
            }
            reached += 1;
            let special = world::UNREACHABLE.iter().find(|range| world::within(packet.destination, range));
            assert_eq!(special, None, "seed {seed}: {packet:?}");
        }
        assert!(reached > 0, "seed {seed}: nothing was reached, so nothing is shown");
    }
}

#[test]
fn the_simulator_knows_the_traps_of_the_api() {
    let world = World::new();
    let governed = world.pods.iter().find(|pod| pod.governed()).unwrap().addresses[0];
    let out =
        Packet { source: governed, destination: "198.51.100.1".parse().unwrap(), port: 80, protocol: "TCP" };
    let spec = |spec: Value| {
        let metadata = json!({"name": "x", "namespace": "agents-a"});
        Simulator::new(vec![json!({"metadata": metadata, "spec": spec})]).allows(&world, &out)
    };
    assert!(
        spec(json!({"podSelector": {}, "egress": []})),
        "without policyTypes an empty egress isolates nothing"
    );
    assert!(!spec(json!({"podSelector": {}, "policyTypes": ["Egress"]})));
    assert!(
        spec(json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]})),
        "an empty rule allows everything"
    );
    let empty = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [], "ports": []}]});
    assert!(spec(empty), "empty lists of a rule allow everything");
    assert!(spec(json!({"podSelector": {"matchLabels": {"no": "such"}}, "policyTypes": ["Egress"]})));
}

#[test]
fn kube_network_policies_gives_the_same_verdicts() {
    if !go_is_there().unwrap() {
        return;
    }
    let world = World::new();
    let (mut clusters, mut expected) = (Vec::new(), Vec::new());
    for seed in 0..POLICIES {
        let mut random = Random::new(seed);
        let policy = policy(&mut random);
        let documents = emitted(&policy);
        let simulator = simulator(&documents);
        let all = world.packets(network(&policy));
        let packets: Vec<_> = (0..100).map(|_| all[random.below(all.len())]).collect();
        expected.push(packets.iter().map(|packet| simulator.allows(&world, packet)).collect::<Vec<bool>>());
        clusters.push(world.cluster(&documents, &packets));
    }
    let found = evaluator(&Value::Array(clusters.clone()));
    let mut judged = 0;
    for (seed, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found, expected, "seed {seed}: {}", clusters[seed]["packets"][index]);
            judged += 1;
        }
    }
    let allowed = expected.iter().flatten().filter(|allowed| **allowed).count();
    assert!(judged >= 500 && allowed >= 100 && judged - allowed >= 100, "{judged} judged, {allowed} allowed");
}

/// Runs `conformance/netpol`, which Go builds at the versions that its go.sum pins.
fn evaluator(clusters: &Value) -> Vec<Vec<bool>> {
    let mut child = Command::new(built("netpol", ".", "netpol").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(clusters.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "conformance/netpol failed; its messages are above");
    serde_json::from_slice(&output.stdout).unwrap()
}
