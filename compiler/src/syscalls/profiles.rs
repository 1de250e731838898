//! The profiles, as reviewed data: what CPython with its standard library, and a shell with the usual command
//! line programs, really use. Names only; `arguments` says which arguments are allowed.
//!
//! Left out on purpose, though some default profiles have them: anything that makes namespaces or mounts,
//! io_uring (its operations bypass the filter), keys, tracing, kernel modules, setting clocks, `tee` and
//! `vmsplice`, SysV IPC and message queues, memory policies, `mknod`, `mincore`. `splice` is included because
//! `grep` drains its input with it and does not tolerate a rejection.

use bailiwick_crds::sandbox::SyscallProfile;

const ENOSYS: u16 = 38;

/// Files and directories, by path and by descriptor. Older forms are included for programs that were built
/// long ago.
const FILES: &[&str] = &[
    "access",
    "chdir",
    "chmod",
    "chown",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "ioctl",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "setxattr",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync_file_range",
    "truncate",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "write",
    "writev",
];

/// Memory.
const MEMORY: &[&str] = &[
    "brk",
    "madvise",
    "membarrier",
    "memfd_create",
    "mlock",
    "mlock2",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munmap",
];

/// Processes, threads, signals, and what a process may query about itself. Other processes can only be those
/// of the sandbox, since it has a pid namespace. Without capabilities, ids can only be set to what they are.
const PROCESSES: &[&str] = &[
    "alarm",
    "arch_prctl",
    "clone",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getitimer",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "kill",
    "pause",
    "personality",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setrlimit",
    "setsid",
    "setuid",
    "sigaltstack",
    "sysinfo",
    "tgkill",
    "times",
    "tkill",
    "uname",
    "vfork",
    "wait4",
    "waitid",
];

/// Time, and waiting for several things at once.
const WAITING: &[&str] = &[
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "getrandom",
    "gettimeofday",
    "nanosleep",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "signalfd",
    "signalfd4",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
];

/// Sockets of the families that `arguments` names; in a sandbox without egress, only Unix sockets.
const SOCKETS: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "socketpair",
];

/// Only for CPython: what `os.sched_*` and `mmap` offer.
const PYTHON: &[&str] = &["sched_rr_get_interval", "sched_setparam", "sched_setscheduler"];

/// Only for command line programs, such as `file`, that confine themselves further.
const SHELL: &[&str] =
    &["capget", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp"];

/// Calls whose absence libraries can handle, but whose rejection (`EPERM`) breaks them: glibc and musl fall
/// back from `clone3` to `clone`, whose flags a filter can see; event loops fall back from io_uring to epoll;
/// `tail -f` looks again every second where it cannot watch a file. Sorted by name.
pub(super) const REFUSED: &[(&str, u16)] = &[
    ("clone3", ENOSYS),
    ("fanotify_init", ENOSYS),
    ("fanotify_mark", ENOSYS),
    ("inotify_add_watch", ENOSYS),
    ("inotify_init", ENOSYS),
    ("inotify_init1", ENOSYS),
    ("inotify_rm_watch", ENOSYS),
    ("io_uring_enter", ENOSYS),
    ("io_uring_register", ENOSYS),
    ("io_uring_setup", ENOSYS),
];

/// Calls that CPython makes before it runs its first line and after its last, on every architecture and with
/// every C library.
pub const START: &[&str] = &[
    "brk",
    "close",
    "execve",
    "exit_group",
    "fcntl",
    "fstat",
    "futex",
    "getrandom",
    "ioctl",
    "lseek",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "openat",
    "read",
    "rt_sigaction",
    "rt_sigprocmask",
    "write",
];

/// Calls that no sandbox may have, with what they would make possible. A pack cannot add them.
const NEVER: &[(&[&str], &str)] = &[
    (
        &["clone3", "io_uring_enter", "io_uring_register", "io_uring_setup"],
        "what it does is in memory, where no filter can look",
    ),
    (
        &[
            "chroot",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "pivot_root",
            "umount2",
        ],
        "it changes what the sandbox sees of files",
    ),
    (&["setns", "unshare"], "it changes namespaces, and a new user namespace has every capability"),
    (&["open_by_handle_at", "pidfd_getfd"], "it reaches files that the sandbox was not given"),
    (
        &["kcmp", "perf_event_open", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"],
        "it looks into or changes other processes",
    ),
    (
        &[
            "acct",
            "bpf",
            "create_module",
            "delete_module",
            "finit_module",
            "init_module",
            "ioperm",
            "iopl",
            "kexec_file_load",
            "kexec_load",
            "modify_ldt",
            "reboot",
            "swapoff",
            "swapon",
            "syslog",
            "userfaultfd",
        ],
        "it belongs to the machine's owner",
    ),
    (&["add_key", "keyctl", "request_key"], "keyrings are shared with the host"),
    (
        &[
            "fanotify_init",
            "fanotify_mark",
            "inotify_add_watch",
            "inotify_init",
            "inotify_init1",
            "inotify_rm_watch",
        ],
        "a watch of a folder such as `/usr/bin` tells which programs others run",
    ),
    (
        &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday", "setdomainname", "sethostname"],
        "it changes what others see",
    ),
    (&["mknod", "mknodat", "quotactl", "quotactl_fd"], "it makes or administers devices"),
];

/// The calls of a profile; a name may occur twice.
pub(super) fn calls(profile: SyscallProfile) -> impl Iterator<Item = &'static str> {
    let own = match profile {
        SyscallProfile::Python => PYTHON,
        SyscallProfile::Shell => SHELL,
    };
    [FILES, MEMORY, PROCESSES, WAITING, SOCKETS, own].into_iter().flatten().copied()
}

/// Why no sandbox may have the call; `None`: a pack may add it.
pub(super) fn never(name: &str) -> Option<&'static str> {
    NEVER.iter().find(|(names, _)| names.contains(&name)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::table;

    #[test]
    fn every_name_is_a_system_call_and_stands_once() {
        let never = NEVER.iter().flat_map(|(names, _)| *names);
        let refused = REFUSED.iter().map(|(name, _)| name);
        let lists = [FILES, MEMORY, PROCESSES, WAITING, SOCKETS, PYTHON, SHELL];
        for name in lists.iter().flat_map(|list| *list).chain(never).chain(refused).chain(START) {
            assert!(table::find(name).is_some(), "`{name}` is no system call");
        }
        for list in lists {
            assert!(list.is_sorted(), "{list:?}");
        }
        assert!(REFUSED.is_sorted());
        for profile in [SyscallProfile::Python, SyscallProfile::Shell] {
            let mut names: Vec<_> = calls(profile).collect();
            let before = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), before, "a name stands twice in {profile:?}");
        }
    }

    #[test]
    fn no_profile_has_what_no_sandbox_may_have() {
        for profile in [SyscallProfile::Python, SyscallProfile::Shell] {
            for name in calls(profile) {
                assert_eq!(never(name), None, "{profile:?} has `{name}`");
            }
        }
    }
}
