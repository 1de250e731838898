//! The filter under attack: everything that the design refuses, with the project's own filter compiler. Allow
//! lists are the policy compiler's concern; these tests show that each refusal holds, so everything else is
//! allowed through to the other layers.

use std::collections::BTreeMap;

use bailiwick_sys::seccomp::{Action, Architecture, Policy, Program, Rule, Test, compile};

/// Calls by name and number, as payloads name them (`SYS_mount`).
const CALLS: &[(&str, libc::c_long)] = &[
    ("SYS_unshare", libc::SYS_unshare),
    ("SYS_setns", libc::SYS_setns),
    ("SYS_mount_setattr", libc::SYS_mount_setattr),
    ("SYS_mount", libc::SYS_mount),
    ("SYS_umount2", libc::SYS_umount2),
    ("SYS_pivot_root", libc::SYS_pivot_root),
    ("SYS_chroot", libc::SYS_chroot),
    ("SYS_fsopen", libc::SYS_fsopen),
    ("SYS_fsmount", libc::SYS_fsmount),
    ("SYS_open_tree", libc::SYS_open_tree),
    ("SYS_move_mount", libc::SYS_move_mount),
    ("SYS_io_uring_setup", libc::SYS_io_uring_setup),
    ("SYS_bpf", libc::SYS_bpf),
    ("SYS_perf_event_open", libc::SYS_perf_event_open),
    ("SYS_userfaultfd", libc::SYS_userfaultfd),
    ("SYS_keyctl", libc::SYS_keyctl),
    ("SYS_add_key", libc::SYS_add_key),
    ("SYS_request_key", libc::SYS_request_key),
    ("SYS_ptrace", libc::SYS_ptrace),
    ("SYS_process_vm_readv", libc::SYS_process_vm_readv),
    ("SYS_process_vm_writev", libc::SYS_process_vm_writev),
    ("SYS_pidfd_getfd", libc::SYS_pidfd_getfd),
    ("SYS_open_by_handle_at", libc::SYS_open_by_handle_at),
    ("SYS_personality", libc::SYS_personality),
    ("SYS_clone3", libc::SYS_clone3),
    ("SYS_clone", libc::SYS_clone),
    ("SYS_socket", libc::SYS_socket),
    ("SYS_mknodat", libc::SYS_mknodat),
    ("SYS_ioctl", libc::SYS_ioctl),
    ("SYS_syslog", libc::SYS_syslog),
    ("SYS_getpid", libc::SYS_getpid),
];

/// Families that are allowed: local, IPv4, IPv6.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// More families than Linux has.
const ALL_FAMILIES: u32 = 64;

/// A payload with the numbers of its calls.
pub(crate) fn numbered(code: &str) -> String {
    let mut code = code.to_owned();
    for (name, number) in CALLS {
        // Whole names only: `SYS_clone` is a prefix of `SYS_clone3`.
        code = code.split(name).enumerate().fold(String::new(), |done, (index, part)| {
            let whole = !part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let named = if whole { number.to_string() } else { (*name).to_owned() };
            if index == 0 { part.to_owned() } else { done + &named + part }
        });
    }
    code
}

fn number(name: &str) -> u32 {
    let (_, number) = CALLS.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name}"));
    u32::try_from(*number).unwrap()
}

fn test(index: u8, mask: u32, value: u32) -> Vec<Test> {
    vec![Test { index, mask, value }]
}

pub(crate) fn program() -> Program {
    let refused = Action::Errno(u16::try_from(libc::EPERM).unwrap());
    let mut rules: BTreeMap<u32, Rule> = BTreeMap::new();
    for (name, _) in CALLS.iter().filter(|(name, _)| *name != "SYS_getpid") {
        rules.insert(number(name), Rule { when: Vec::new(), then: refused });
    }
    let mut narrow = |name: &str, when: Vec<Vec<Test>>, then: Action| {
        rules.insert(number(name), Rule { when, then });
    };
    narrow("SYS_clone3", Vec::new(), Action::Errno(u16::try_from(libc::ENOSYS).unwrap()));
    let namespaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    let bits = namespaces.map(|bit| test(0, bit.cast_unsigned(), bit.cast_unsigned()));
    narrow("SYS_clone", bits.to_vec(), refused);
    let families = (0..ALL_FAMILIES).filter(|family| !FAMILIES.contains(&family.cast_signed()));
    let mut sockets: Vec<Vec<Test>> = families.map(|family| test(0, u32::MAX, family)).collect();
    sockets.push(test(1, 0xf, libc::SOCK_RAW.cast_unsigned()));
    narrow("SYS_socket", sockets, refused);
    let devices = [libc::S_IFCHR, libc::S_IFBLK].map(|kind| test(2, libc::S_IFMT, kind));
    narrow("SYS_mknodat", devices.to_vec(), refused);
    let typed = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32].map(|request| test(1, u32::MAX, request));
    narrow("SYS_ioctl", typed.to_vec(), refused);
    let architecture =
        if cfg!(target_arch = "x86_64") { Architecture::X86_64 } else { Architecture::Aarch64 };
    compile(&Policy { architecture, rules, otherwise: Action::Allow }).expect("the policy compiles")
}
