//! Compiled filters in the kernel: each denied call is tried in a child process under the filter, and bare
//! next to it, where it gets another answer. The tests need no privileges; they are x86_64 only, for forms of
//! calls that no other architecture has.

use std::collections::BTreeMap;

use bailiwick_sys::seccomp::{Action, Architecture, Policy, Program, Rule, Test, compile};

const ALL: u32 = u32::MAX;
const HIGH: u64 = 1 << 32;

/// How a call in a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Ok,
    Errno(i32),
    Killed(i32),
}

const EPERM: Ended = Ended::Errno(libc::EPERM);
const ENOSYS: Ended = Ended::Errno(libc::ENOSYS);
const SIGSYS: Ended = Ended::Killed(libc::SIGSYS);

/// Runs `action` in a child, under the filter if there is one; the action returns an errno or 0.
fn in_child(filter: Option<&Program>, action: impl FnOnce() -> i32) -> Ended {
    let instructions = filter.map_or(&[][..], |program| &program.0);
    let program = libc::sock_fprog {
        len: instructions.len() as u16,
        filter: instructions.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    // SAFETY: between fork and _exit the child makes only system calls, so it does not matter which locks
    // other threads held. `Instruction` is laid out as `sock_filter` (`repr(C)`, same fields), and the kernel
    // copies the program, which outlives the call.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork");
        if child == 0 {
            if filter.is_some() {
                let quiet = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1u64, 0u64, 0u64, 0u64);
                let mode = u64::from(libc::SECCOMP_MODE_FILTER);
                let loaded = libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program);
                if quiet != 0 || loaded != 0 {
                    libc::_exit(255);
                }
            }
            libc::_exit(action());
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        if libc::WIFSIGNALED(status) {
            return Ended::Killed(libc::WTERMSIG(status));
        }
        match libc::WEXITSTATUS(status) {
            0 => Ended::Ok,
            255 => panic!("the kernel refuses the filter"),
            errno => Ended::Errno(errno),
        }
    }
}

/// Pointers in a test's arguments are invalid: the kernel copies no more than it finds.
fn raw(filter: Option<&Program>, number: i64, arguments: [u64; 4]) -> Ended {
    in_child(filter, || {
        let [a, b, c, d] = arguments;
        // SAFETY: pointers among the arguments are null or invalid, for which the kernel answers EFAULT; the
        // child ends right after.
        let result = unsafe { libc::syscall(number, a, b, c, d, 0u64, 0u64) };
        // SAFETY: errno of this thread.
        if result < 0 { unsafe { *libc::__errno_location() } } else { 0 }
    })
}

fn rule(when: &[&[Test]], then: Action) -> Rule {
    Rule { when: when.iter().map(|all| all.to_vec()).collect(), then }
}

const fn is(index: u8, mask: u32, value: u32) -> Test {
    Test { index, mask, value }
}

const NATIVE: Architecture =
    if cfg!(target_arch = "x86_64") { Architecture::X86_64 } else { Architecture::Aarch64 };

/// The calls that a child needs to answer, and calls with tests.
fn filter() -> Program {
    let number = |number: i64| u32::try_from(number).expect("a number");
    let mut rules = BTreeMap::new();
    for call in [
        libc::SYS_exit_group,
        libc::SYS_exit,
        libc::SYS_getpid,
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_rt_sigreturn,
    ] {
        rules.insert(number(call), rule(&[], Action::Allow));
    }
    rules.insert(number(libc::SYS_clone3), rule(&[], Action::Errno(38)));
    rules.insert(number(libc::SYS_io_uring_setup), rule(&[], Action::Errno(38)));
    rules.insert(
        number(libc::SYS_ioctl),
        rule(&[&[is(1, ALL, 0x5401)], &[is(1, ALL, 0x5421)]], Action::Allow),
    );
    rules.insert(number(libc::SYS_clone), rule(&[&[is(0, 0x7e02_0000, 0)]], Action::Allow));
    rules.insert(number(libc::SYS_personality), rule(&[&[is(0, ALL, 0)], &[is(0, ALL, ALL)]], Action::Allow));
    let socket: &[&[Test]] =
        &[&[is(0, ALL, 1), is(1, 0xf, 1)], &[is(0, ALL, 2), is(1, 0xf, 1), is(2, ALL, 0)]];
    rules.insert(number(libc::SYS_socket), rule(socket, Action::Allow));
    compile(&Policy { architecture: NATIVE, rules, otherwise: Action::Errno(1) }).expect("compiles")
}

#[test]
fn denied_calls_are_denied_by_the_filter_alone() {
    let filter = filter();
    for (name, number, arguments) in [
        ("unshare", libc::SYS_unshare, [0, 0, 0, 0]),
        ("setns", libc::SYS_setns, [99, 0, 0, 0]),
        ("mount_setattr", libc::SYS_mount_setattr, [99, 0, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0, 0xffff_fffd, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0]),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [99, 0, 0, 0]),
        ("personality", libc::SYS_personality, [0x004_0000, 0, 0, 0]),
        ("ioctl TIOCSTI", libc::SYS_ioctl, [99, 0x5412, 0, 0]),
        ("ioctl TIOCSTI, high bits", libc::SYS_ioctl, [99, HIGH | 0x5412, 0, 0]),
        ("ioctl TIOCLINUX", libc::SYS_ioctl, [99, 0x541c, 0, 0]),
        ("socket AF_NETLINK", libc::SYS_socket, [16, 3, 0, 0]),
        ("socket AF_VSOCK, high bits", libc::SYS_socket, [HIGH | 40, 1, 0, 0]),
        ("socket AF_UNIX of type SEQPACKET", libc::SYS_socket, [1, 5, 0, 0]),
        ("socket AF_INET for SCTP", libc::SYS_socket, [2, 1, 132, 0]),
        // CLONE_NEWNS and CLONE_FS exclude each other, so that the bare call fails there.
        ("clone with a namespace", libc::SYS_clone, [0x2_0200, 0, 0, 0]),
        ("clone with a namespace, high bits", libc::SYS_clone, [HIGH | 0x2_0200, 0, 0, 0]),
    ] {
        assert_eq!(raw(Some(&filter), number, arguments), EPERM, "{name}");
        assert_ne!(raw(None, number, arguments), EPERM, "{name}: bare, so the filter is what denies it");
    }
    for (name, number) in [("clone3", libc::SYS_clone3), ("io_uring_setup", libc::SYS_io_uring_setup)] {
        assert_eq!(raw(Some(&filter), number, [0; 4]), ENOSYS, "{name}");
        assert_ne!(raw(None, number, [0; 4]), ENOSYS, "{name}");
    }
}

#[test]
fn allowed_arguments_go_through_with_whatever_high_bits() {
    let filter = filter();
    for (number, arguments, expected) in [
        (libc::SYS_getpid, [0; 4], Ended::Ok),
        (libc::SYS_personality, [0xffff_ffff, 0, 0, 0], Ended::Ok),
        (libc::SYS_socket, [1, 1, 0, 0], Ended::Ok),
        // The kernel truncates `int` to 32 bits, as the filter does.
        (libc::SYS_socket, [HIGH | 1, HIGH | 1, 0, 0], Ended::Ok),
        (libc::SYS_socket, [1, 1 | 0x8_0000, 0, 0], Ended::Ok),
        (libc::SYS_ioctl, [99, 0x5401, 0, 0], Ended::Errno(libc::EBADF)),
    ] {
        assert_eq!(raw(Some(&filter), number, arguments), expected, "{number} {arguments:x?}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn other_forms_of_calls_kill() {
    let filter = filter();
    // getpid of x32, allowed getpid among its numbers or not; a kernel without x32 answers ENOSYS to the bare
    // call.
    for number in [0x4000_0000 | 39, 0x4000_0000 | 101] {
        assert_eq!(raw(Some(&filter), number, [0; 4]), SIGSYS);
        assert_ne!(raw(None, number, [0; 4]), SIGSYS);
    }
    let int_0x80 = || {
        let mut result: i64 = 20;
        // SAFETY: getpid of the 32-bit interface takes no arguments and changes nothing but rax.
        unsafe {
            std::arch::asm!("int 0x80", inout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
        };
        i32::from(result < 0)
    };
    assert_eq!(in_child(Some(&filter), int_0x80), SIGSYS);
    assert_ne!(in_child(None, int_0x80), SIGSYS);
}
