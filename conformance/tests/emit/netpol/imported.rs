//! Imported NetworkPolicies: the pack's own policies allow what the source allows, never more, and less only
//! where the importer reports it.

use bailiwick_compiler::emit::{EmitOptions, artifacts};
use bailiwick_compiler::import::{Kind, Source, import};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_compiler::{Bindings, compile, lower};
use bailiwick_policy::policy::Policy;
use serde_json::{Value, json};

use super::simulator::Simulator;
use super::world::{Packet, World, within};
use super::{network, simulator};
use crate::policies::digest;

/// Policies for one subject each, in the namespace `agents-a`.
fn sources() -> Vec<Vec<Value>> {
    let policy = |name: &str, mut spec: Value| {
        spec["podSelector"] = json!({"matchLabels": {"app": "agent"}});
        let metadata = json!({"name": name, "namespace": "agents-a"});
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
    };
    let zone = json!({"matchLabels": {"bailiwick.dev/zone": "agents"}});
    let server = json!({"matchLabels": {"role": "server"}});
    let dns = json!({"to": [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, "namespaceSelector": {}}],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]});
    vec![
        vec![policy("deny", json!({"policyTypes": ["Ingress", "Egress"]}))],
        vec![policy(
            "ingress-only",
            json!({"ingress": [{"from": [{"namespaceSelector": zone}], "ports": [{"port": 53}]}]}),
        )],
        vec![policy("egress-only", json!({"policyTypes": ["Egress"], "egress": [dns]}))],
        vec![policy("all-out", json!({"policyTypes": ["Egress"], "egress": [{}]}))],
        vec![policy(
            "all-in",
            json!({"ingress": [{"ports": [{"protocol": "UDP"}, {"port": 100, "endPort": 200}]}]}),
        )],
        vec![policy(
            "own",
            json!({"egress": [{"to": [{"podSelector": server}]}], "ingress": [{"from": [{"podSelector": {}}]}]}),
        )],
        vec![
            policy(
                "net",
                json!({"policyTypes": ["Egress"], "egress": [{"to": [
                {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}},
                {"ipBlock": {"cidr": "2001:db8::/64"}}], "ports": [{"port": 443, "endPort": 445}]}]}),
            ),
            policy(
                "more",
                json!({"policyTypes": ["Egress", "Ingress"], "egress": [dns, {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}),
            ),
        ],
    ]
}

fn compiled(documents: &[Value]) -> Policy {
    let source = Source { name: "source.yaml".to_owned(), documents: documents.to_vec() };
    let imported = import(Some(Kind::NetworkPolicy), "imported", &[source]).unwrap();
    assert!(imported.losses.iter().all(|loss| !loss.widens), "{:?}", imported.losses);
    let file = SourceFile::new("pack.yaml", imported.yaml().unwrap().into_bytes());
    let sources = PackSources { files: vec![file], ..PackSources::default() };
    compile(&[(&sources, Bindings::default())], &MemoryLibrary::default()).policy.unwrap()
}

fn emitted(policy: &Policy) -> Simulator {
    let namespaces = vec!["agents-a".to_owned()];
    let options = EmitOptions { namespaces, ..EmitOptions::default() };
    let artifacts = artifacts(policy, &digest(policy), &options).unwrap();
    let text = String::from_utf8(artifacts.files["kubernetes/network-policies.yaml"].bytes.clone()).unwrap();
    simulator(&text.split("---\n").map(str::to_owned).collect::<Vec<_>>())
}

/// Whether an end of the packet is in a special range that a wide network of a pack does not include.
fn is_reserved(world: &World, packet: &Packet) -> bool {
    [packet.source, packet.destination].into_iter().any(|address| {
        world.pod(address).is_none() && lower::RESERVED.iter().any(|range| within(address, range))
    })
}

#[test]
fn an_imported_policy_lets_through_what_its_source_does() {
    let world = World::new();
    let (mut allowed, mut denied, mut stricter) = (0, 0, 0);
    for documents in sources() {
        let policy = compiled(&documents);
        let (source, pack) = (Simulator::new(documents.clone()), emitted(&policy));
        for packet in world.packets(network(&policy)) {
            let (was, is) = (source.allows(&world, &packet), pack.allows(&world, &packet));
            assert!(was || !is, "wider: {packet:?} of {documents:?}");
            if was != is {
                // A network that covers everything includes pods by their addresses too, and those are in
                // private ranges.
                let is_wide = documents.len() > 1;
                assert!(is_wide || is_reserved(&world, &packet), "{packet:?} of {documents:?}");
                stricter += 1;
            }
            *if is { &mut allowed } else { &mut denied } += 1;
        }
    }
    assert!(
        allowed > 1_000 && denied > 1_000 && stricter > 0,
        "{allowed} allowed, {denied} denied, {stricter} stricter"
    );
}
