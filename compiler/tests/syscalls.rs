//! Lowering of system calls: profile, `add` and `remove`.
#![forbid(unsafe_code)]

use bailiwick_compiler::syscalls::{self, Error, List, lower, union, with_builder};
use bailiwick_crds::sandbox::SyscallProfile::{self, Python, Shell};
use bailiwick_policy::policy::sandboxes::{AllowedSyscall, ArgumentTest, SyscallNumbers, Syscalls};
use expect_test::{Expect, expect};

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn lowered(profile: SyscallProfile, add: &[&str], remove: &[&str]) -> Result<Syscalls, Vec<Error>> {
    lower(profile, &strings(add), &strings(remove))
}

fn check(add: &[&str], remove: &[&str], expected: Expect) {
    let errors = lowered(Shell, add, remove).expect_err("wrong names");
    let text: Vec<_> = errors.iter().map(|error| format!("{error} {error:?}\n")).collect();
    expected.assert_eq(&text.concat());
}

fn allowed<'a>(syscalls: &'a Syscalls, name: &str) -> Option<&'a AllowedSyscall> {
    syscalls.allowed.iter().find(|call| call.name == name)
}

#[test]
fn every_wrong_name_is_reported() {
    check(
        &["opennat", "mount", "ptrace", "keyctl"],
        &["", "Connect"],
        expect![[r#"
            there is no system call `opennat` Unknown { list: Add, index: 0, name: "opennat", nearest: Some("openat") }
            there is no system call `` Unknown { list: Remove, index: 0, name: "", nearest: None }
            there is no system call `Connect` Unknown { list: Remove, index: 1, name: "Connect", nearest: Some("connect") }
            no sandbox may have `mount`: it changes what the sandbox sees of files Never { index: 1, name: "mount", why: "it changes what the sandbox sees of files" }
            no sandbox may have `ptrace`: it looks into or changes other processes Never { index: 2, name: "ptrace", why: "it looks into or changes other processes" }
            no sandbox may have `keyctl`: keyrings are shared with the host Never { index: 3, name: "keyctl", why: "keyrings are shared with the host" }
        "#]],
    );
}

#[test]
fn a_call_is_not_both_added_and_removed() {
    check(
        &["mincore"],
        &["read", "mincore"],
        expect![[r#"
            `mincore` is both added and removed Both { index: 1, name: "mincore" }
        "#]],
    );
}

#[test]
fn a_list_longer_than_the_table_is_refused_unread() {
    let many = vec!["read".to_owned(); 513];
    assert_eq!(lower(Shell, &many, &[]), Err(vec![Error::TooMany { list: List::Add }]));
}

#[test]
fn add_and_remove_change_the_profile() {
    let plain = lowered(Python, &[], &[]).expect("a profile");
    let changed = lowered(Python, &["mincore", "read"], &["socket", "socketpair"]).expect("known names");
    assert!(allowed(&plain, "mincore").is_none() && allowed(&plain, "socket").is_some());
    assert!(allowed(&changed, "mincore").is_some() && allowed(&changed, "socket").is_none());
    assert_eq!(changed.allowed.len(), plain.allowed.len() - 1);
    assert_eq!(changed.refused, plain.refused);
}

#[test]
fn a_call_that_is_added_again_keeps_its_tests() {
    let added = lowered(Shell, &["clone", "ioctl", "socket", "prctl"], &[]).expect("known names");
    assert_eq!(added, lowered(Shell, &[], &[]).expect("a profile"));
    let clone = allowed(&added, "clone").expect("in the profile");
    assert_eq!(clone.when, [[ArgumentTest { index: 0, mask: 0x7e02_0000, value: 0 }]]);
}

#[test]
fn removing_what_is_refused_does_not_change_its_errno() {
    assert_eq!(lowered(Shell, &[], &["clone3"]), lowered(Shell, &[], &[]));
}

#[test]
fn lists_are_sorted_and_apart() {
    for profile in [Python, Shell] {
        let syscalls = lowered(profile, &[], &[]).expect("a profile");
        assert!(syscalls.allowed.is_sorted_by(|a, b| a.name < b.name));
        assert!(syscalls.refused.is_sorted_by(|a, b| a.name < b.name));
        assert!(syscalls.refused.iter().all(|call| allowed(&syscalls, &call.name).is_none()));
        let clone3 = syscalls.refused.iter().find(|call| call.name == "clone3").expect("refused");
        assert_eq!(clone3.errno, 38);
        assert_eq!(clone3.numbers, SyscallNumbers { x86_64: Some(435), aarch64: Some(435) });
    }
}

#[test]
fn no_profile_sends_characters_to_a_terminal() {
    const TIOCSTI: u32 = 0x5412;
    const TIOCLINUX: u32 = 0x541c;
    for profile in [Python, Shell] {
        let syscalls = lowered(profile, &[], &[]).expect("a profile");
        let ioctl = allowed(&syscalls, "ioctl").expect("in the profile");
        assert!(!ioctl.when.is_empty());
        for request in [TIOCSTI, TIOCLINUX] {
            let passes =
                ioctl.when.iter().any(|all| all.iter().all(|test| request & test.mask == test.value));
            assert!(!passes, "{request:#x}");
        }
    }
}

/// As BW0402 says: a profile's sockets are Unix, TCP and UDP, whatever the sandbox may reach.
#[test]
fn no_profile_makes_sockets_of_other_families_or_raw_ones() {
    const FAMILIES: [u32; 3] = [1, 2, 10];
    for (profile, add) in [(Python, &["socket", "socketpair"][..]), (Shell, &[][..])] {
        let syscalls = lowered(profile, add, &[]).expect("a profile");
        for name in ["socket", "socketpair"] {
            let socket = allowed(&syscalls, name).expect("in the profile");
            let passes = |arguments: [u32; 3]| {
                let holds =
                    |test: &ArgumentTest| arguments[usize::from(test.index)] & test.mask == test.value;
                socket.when.iter().any(|all| all.iter().all(holds))
            };
            assert!(passes([1, 1, 0]), "{name}: Unix");
            for family in (0..64).filter(|family| !FAMILIES.contains(family)) {
                assert!((0..8).all(|kind| !passes([family, kind, 0])), "{name}: family {family}");
            }
            // Raw sockets, and SCTP in a stream.
            for arguments in [[2, 3, 0], [10, 3, 58], [2, 3, 255], [2, 1, 132]] {
                assert!(!passes(arguments), "{name}: {arguments:?}");
            }
        }
    }
}

#[test]
fn the_union_has_what_any_has() {
    let python = lowered(Python, &[], &["connect"]).expect("known names");
    let shell = lowered(Shell, &["mincore"], &[]).expect("known names");
    let both = union(&[&python, &shell]);
    for call in python.allowed.iter().chain(&shell.allowed) {
        let found = allowed(&both, &call.name).expect("in the union");
        assert!(call.when.iter().all(|tests| found.when.contains(tests)), "{}", call.name);
    }
    assert_eq!(both, union(&[&shell, &python]));
    assert_eq!(union(&[&python]), python);
}

#[test]
fn a_pool_builds_namespaces_and_its_sandboxes_do_not() {
    let shell = lowered(Shell, &[], &[]).expect("a profile");
    let pool = with_builder(&[&shell]);
    for name in
        ["clone", "clone3", "mount", "umount2", "pivot_root", "sethostname", "setns", "move_mount", "ioctl"]
    {
        assert_eq!(allowed(&pool, name).expect(name).when, Vec::<Vec<ArgumentTest>>::new(), "{name}");
    }
    assert!(pool.refused.iter().all(|call| call.name != "clone3"));
    for name in ["ptrace", "bpf", "io_uring_setup", "kexec_load", "add_key", "open_by_handle_at"] {
        assert!(syscalls::numbers(name).is_some() && allowed(&pool, name).is_none(), "{name}");
    }
}
