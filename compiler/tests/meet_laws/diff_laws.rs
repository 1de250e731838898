//! What is compared exactly is compared exactly: against the point by point meaning of random policies, which shares nothing with the comparison.

use std::collections::BTreeSet;

use bailiwick_compiler::cases::{Bench, no_manifests};
use bailiwick_compiler::diff::{Diff, Direction, Layer, Witness, diff};
use bailiwick_compiler::meet::meet;
use bailiwick_policy::cel::Watching;
use bailiwick_policy::policy::Policy;
use proptest::prelude::*;

use crate::generators::{pack, policy};
use crate::meaning::{Kind, connections};
use crate::sandboxes::{powers, sandbox};

/// Whether anything of these layers goes one way.
fn goes(found: &Diff, layers: &[Layer], direction: Direction) -> bool {
    found.changes.iter().any(|change| layers.contains(&change.layer) && change.direction == direction)
}

/// Asks both policies about every witness again.
fn witnesses_differ(found: &Diff, old: &Policy, new: &Policy) {
    let (old, new) = (Bench::new(old.clone(), Watching::Off), Bench::new(new.clone(), Watching::Off));
    for change in &found.changes {
        let Witness::Case(case) = &change.witness else { continue };
        let (before, after) =
            (old.carry_out(case, &no_manifests).unwrap(), new.carry_out(case, &no_manifests).unwrap());
        let expected = match change.direction {
            Direction::Widened => (false, true),
            Direction::Narrowed => (true, false),
            Direction::Changed => panic!("{change:?}"),
        };
        assert_eq!((before.allowed, after.allowed), expected, "{change:?}");
        assert_eq!(
            case.expect.allowed.or(case.expect.action.map(|one| one.as_str() == "Allow")),
            Some(expected.1)
        );
    }
}

fn only_network(policy: Policy) -> Policy {
    Policy { network: policy.network, ..Policy::top(vec![pack("a", "digest")]) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connections_are_compared_exactly(a in policy("a"), b in policy("b")) {
        let (old, new) = (only_network(a), only_network(b));
        let mut found = diff(&old, &new, &[]).unwrap();
        found.changes.retain(|change| change.layer == Layer::Network);
        witnesses_differ(&found, &old, &new);
        // Whether a pod may use its node's network is a matter of admission.
        prop_assert!(found.bounds.iter().all(|bound| bound.layer != Layer::Network), "{:?}", found.bounds);
        let kinds = [Some(Kind::Own), Some(Kind::Pods), Some(Kind::Address)];
        let points = |policy: &Policy| connections(policy, &kinds);
        let missing = |one: &Option<BTreeSet<String>>, other: &Option<BTreeSet<String>>| match (one, other) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(one), Some(other)) => !one.is_subset(other),
        };
        let (before, after) = (points(&old), points(&new));
        if missing(&after, &before) {
            prop_assert!(goes(&found, &[Layer::Network], Direction::Widened));
        }
        if missing(&before, &after) {
            prop_assert!(goes(&found, &[Layer::Network], Direction::Narrowed));
        }
    }

    #[test]
    fn sandboxes_are_compared_exactly(a in sandbox("shell"), b in sandbox("shell")) {
        let with = |sandbox| Policy { sandboxes: vec![sandbox], ..Policy::top(vec![pack("a", "digest")]) };
        let (before, after) = (powers(&a), powers(&b));
        let (old, new) = (with(a), with(b));
        let found = diff(&old, &new, &[]).unwrap();
        witnesses_differ(&found, &old, &new);
        prop_assert!(found.bounds.is_empty(), "{:?}", found.bounds);
        let layers = [Layer::Filesystem, Layer::Syscalls, Layer::Limits];
        if !after.is_subset(&before) {
            prop_assert!(goes(&found, &layers, Direction::Widened), "{:?}", &after - &before);
        }
        if !before.is_subset(&after) {
            prop_assert!(goes(&found, &layers, Direction::Narrowed), "{:?}", &before - &after);
        }
    }

    #[test]
    fn equal_policies_differ_in_nothing(a in policy("a"), b in sandbox("shell")) {
        let same = Policy { sandboxes: vec![b], ..a };
        prop_assert_eq!(diff(&same, &same, &[]).unwrap(), Diff::default());
    }

    #[test]
    fn a_meet_widens_nothing(a in policy("a"), b in policy("b"), c in sandbox("shell"), d in sandbox("shell")) {
        let one = Policy { network: a.network, sandboxes: vec![c], ..Policy::top(vec![pack("a", "digest")]) };
        let other = Policy { network: b.network, sandboxes: vec![d], ..Policy::top(vec![pack("b", "digest")]) };
        let both = meet(vec![one.clone(), other]).unwrap().policy;
        let mut found = diff(&one, &both, &[]).unwrap();
        found.changes.retain(|change| change.layer != Layer::Admission);
        prop_assert_eq!(found.count(Direction::Widened), 0, "{:#?}", found.changes);
    }
}
