//! The laws of the meet, over generated policies: commutative, associative, idempotent, never widening.

use std::collections::BTreeSet;

use bailiwick_compiler::meet::{Conflict, meet};
use bailiwick_policy::policy::{Network, NetworkRule, Peer, Policy, PortRange, Protocol};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::generators::{origin, pack, policy};
use crate::meaning::{Kind, connections, meaning};

fn met(policies: &[&Policy]) -> Policy {
    meet(policies.iter().map(|policy| (*policy).clone()).collect()).unwrap().policy
}

/// `inner ⊆ outer`, where `None` of a section allows everything.
fn within<T: Ord>(inner: Option<&BTreeSet<T>>, outer: Option<&BTreeSet<T>>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.is_subset(outer),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commutative_to_the_byte(a in policy("a"), b in policy("b"), c in policy("c")) {
        let bytes = |policies: &[&Policy]| serde_json::to_string(&met(policies)).unwrap();
        prop_assert_eq!(bytes(&[&a, &b, &c]), bytes(&[&c, &a, &b]));
        prop_assert_eq!(bytes(&[&a, &b]), bytes(&[&b, &a]));
    }

    #[test]
    fn associative(a in policy("a"), b in policy("b"), c in policy("c")) {
        let left = met(&[&met(&[&a, &b]), &c]);
        let right = met(&[&a, &met(&[&b, &c])]);
        prop_assert_eq!(meaning(&left), meaning(&right));
        prop_assert_eq!(meaning(&left), meaning(&met(&[&a, &b, &c])));
        prop_assert_eq!(left.packs, right.packs);
        prop_assert_eq!(left.cell, right.cell);
    }

    #[test]
    fn idempotent(a in policy("a"), b in policy("b")) {
        prop_assert_eq!(meaning(&met(&[&a, &a])), meaning(&a));
        let ab = met(&[&a, &b]);
        prop_assert_eq!(meaning(&met(&[&ab, &a])), meaning(&ab));
        prop_assert_eq!(serde_json::to_string(&met(&[&ab])).unwrap(), serde_json::to_string(&ab).unwrap());
    }

    #[test]
    fn never_widening(a in policy("a"), b in policy("b")) {
        let both = met(&[&a, &b]);
        let meaning_of_both = meaning(&both);
        for one in [&a, &b] {
            let alone = meaning(one);
            // As packets are: a pod has an address too.
            prop_assert!(within(connections(&both, &[None]).as_ref(), connections(one, &[None]).as_ref()));
            prop_assert!(within(meaning_of_both.classes.as_ref(), alone.classes.as_ref()));
            prop_assert!(alone.demands.is_subset(&meaning_of_both.demands));
            prop_assert!(meaning_of_both.token_forbidden || !alone.token_forbidden);
            prop_assert!(meaning_of_both.images.is_subset(&alone.images));
            prop_assert!(alone.rules.is_subset(&meaning_of_both.rules));
            if let Some((namespaces, pods, _, unmatched)) = &alone.subject {
                let (met_namespaces, met_pods, _, met_unmatched) = meaning_of_both.subject.as_ref().unwrap();
                prop_assert!(met_namespaces.is_subset(namespaces) && met_pods.is_subset(pods) && met_unmatched >= unmatched);
            }
        }
    }

    /// Exact: nothing that both allow is lost, as long as peers of one kind are looked at.
    #[test]
    fn exact_within_a_kind_of_peer(a in policy("a"), b in policy("b")) {
        let kinds = [Some(Kind::Own), Some(Kind::Pods), Some(Kind::Address)];
        let (left, right) = (connections(&a, &kinds), connections(&b, &kinds));
        let expected = match (left, right) {
            (Some(left), Some(right)) => Some(&left & &right),
            (one, other) => one.or(other),
        };
        prop_assert_eq!(connections(&met(&[&a, &b]), &kinds), expected);
    }
}

#[test]
fn the_meet_of_nothing_is_refused() {
    assert_eq!(meet(Vec::new()), Err(vec![Conflict::Nothing]));
}

#[test]
fn a_version_with_two_contents_is_refused() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let a = policy("a").new_tree(&mut runner).unwrap().current();
    let other = Policy { packs: vec![pack("a", "another")], ..a.clone() };
    assert_eq!(
        meet(vec![a, other]),
        Err(vec![Conflict::TwoContents { name: "a".to_owned(), version: "1.0.0".to_owned() }])
    );
}

#[test]
fn what_cannot_be_said_is_named() {
    let rule = |name: &str, peer: Peer, at: &str| NetworkRule {
        name: name.to_owned(),
        peers: vec![peer],
        ports: vec![PortRange { protocol: Protocol::Tcp, first: 443, last: 443 }],
        from: vec![origin(at)],
    };
    let with = |name: &'static str, rule: NetworkRule| Policy {
        network: Some(Network { egress: vec![rule], ingress: Vec::new(), from: Vec::new() }),
        ..Policy::top(vec![pack(name, "digest")])
    };
    let a = with("a", rule("pods", Peer::Pods { namespaces: None, pods: Vec::new() }, "network.egress[0]"));
    let b = with(
        "b",
        rule("web", Peer::Cidr { cidr: "10.0.0.0/8".to_owned(), except: Vec::new() }, "network.egress[3]"),
    );
    let met = meet(vec![b, a]).unwrap();
    assert_eq!(met.policy.network.unwrap().egress, []);
    assert_eq!(met.narrowed.len(), 1);
    assert_eq!(met.narrowed[0].left.at, "spec.network.egress[0]");
    assert_eq!(met.narrowed[0].right.at, "spec.network.egress[3]");
}
