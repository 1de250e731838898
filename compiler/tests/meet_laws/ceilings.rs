//! What becomes of one sandbox that two packs name: its variables, and its sockets.

use bailiwick_compiler::meet::meet;
use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::narrower::wider;
use bailiwick_policy::policy::sandboxes::{AllowedSyscall, ArgumentTest, Sandbox, SyscallNumbers, Syscalls};
use proptest::strategy::{Strategy as _, ValueTree as _};

use crate::sandboxes::{VARIABLES, met, policy, sandbox};

/// The pack that places a sandbox keeps its environment, or the packs conflict, whatever others name.
#[test]
fn a_meet_leaves_the_environment_to_the_pack_that_places_the_sandbox() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let base = sandbox("shell").new_tree(&mut runner).unwrap().current();
    let with = |name: &'static str, sandbox: Sandbox| {
        let policy = policy(name).new_tree(&mut runner.clone()).unwrap().current();
        Policy { sandboxes: vec![sandbox], pools: Vec::new(), tools: Vec::new(), audit: None, ..policy }
    };
    let subsets: [&[(&str, &str)]; 4] = [&[], &VARIABLES[..1], &VARIABLES[1..], &VARIABLES];
    let mut met_some = 0;
    for (mine, theirs) in subsets.iter().flat_map(|mine| subsets.iter().map(move |theirs| (mine, theirs))) {
        for pool in [None, Some("warm".to_owned())] {
            let placed =
                Sandbox { pool: Some("warm".to_owned()), environment: variables(mine), ..base.clone() };
            let other = Sandbox { pool, environment: variables(theirs), ..base.clone() };
            let Ok(both) = meet(vec![with("a", placed.clone()), with("b", other)]) else { continue };
            let found = wider(&both.policy.sandboxes[0], &placed);
            assert_ne!(found, Some("its environment is another one"), "{mine:?} {theirs:?}");
            met_some += 1;
        }
    }
    // Nine of the sixteen pairs are nested as a ceiling must be, and four are equal.
    assert_eq!(met_some, 9 + 4);
}

/// ADR 33: packs that both let a sandbox reach something, and not the same, leave it Unix sockets.
#[test]
fn sockets_that_could_reach_nothing_are_not_made() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let base = sandbox("shell").new_tree(&mut runner).unwrap().current();
    let numbers = SyscallNumbers { x86_64: Some(41), aarch64: Some(198) };
    let of = |name: &'static str, when: &[Vec<ArgumentTest>], egress: &[&str]| {
        let allowed = vec![AllowedSyscall { name: "socket".to_owned(), numbers, when: when.to_vec() }];
        let syscalls = Syscalls { allowed, refused: Vec::new() };
        let egress = egress.iter().map(|rule| (*rule).to_owned()).collect();
        let policy = policy(name).new_tree(&mut runner.clone()).unwrap().current();
        let sandboxes = vec![Sandbox { egress, syscalls, pool: None, ..base.clone() }];
        Policy { sandboxes, pools: Vec::new(), tools: Vec::new(), audit: None, ..policy }
    };
    let family = |value| vec![ArgumentTest { index: 0, mask: u32::MAX, value }];
    let families = |policy: &Policy| -> Vec<u32> {
        let allowed = &policy.sandboxes[0].syscalls.allowed;
        allowed.iter().flat_map(|call| call.when.iter().flatten().map(|test| test.value)).collect()
    };
    for when in [vec![family(1), family(2)], Vec::new()] {
        let [a, b] = [of("a", &when, &["web"]), of("b", &when, &["web", "mail"])];
        let other = of("b", &when, &["mail"]);
        assert_eq!(families(&met(&[&a, &b])), if when.is_empty() { Vec::new() } else { vec![1, 2] });
        assert_eq!(families(&met(&[&a, &other])), [1]);
        assert_eq!(families(&met(&[&of("a", &when, &[])])), [1]);
    }
    assert!(met(&[&of("a", &[family(2)], &[])]).sandboxes[0].syscalls.allowed.is_empty());
}

fn variables(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
