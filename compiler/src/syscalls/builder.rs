//! The calls that the launcher and the executor themselves need in a pool's pod, in addition to those of its
//! sandboxes: building namespaces and mounts, and serving requests. The pod's profile surrounds all of it,
//! and each sandbox has its own filter inside.

use bailiwick_policy::policy::sandboxes::{AllowedSyscall, Syscalls};

use super::{numbers, union};

/// With any arguments: none of these is harmful in a pod that has no capability outside its own user
/// namespaces.
const BUILDER: &[&str] = &[
    // Namespaces and processes.
    "capget",
    "capset",
    "clone",
    "clone3",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "setgid",
    "setgroups",
    "setns",
    "setresgid",
    "setresuid",
    "setuid",
    "unshare",
    "waitid",
    // Mounts, old and new interface.
    "chroot",
    "fsconfig",
    "fsmount",
    "fsopen",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "umount2",
    // The names and limits of a sandbox, and its confinement.
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "prlimit64",
    "seccomp",
    "setdomainname",
    "sethostname",
    "setrlimit",
    // Serving: sockets with passed descriptors, `ioctl` and netlink for the loopback interface, watching
    // files.
    "accept4",
    "bind",
    "fcntl",
    "inotify_add_watch",
    "inotify_init1",
    "inotify_rm_watch",
    "ioctl",
    "listen",
    "name_to_handle_at",
    "recvmsg",
    "sched_setscheduler",
    "sendmsg",
    "setsockopt",
    "signalfd4",
    "socket",
    "socketpair",
];

/// The calls of these sandboxes and of the processes that build them.
#[must_use]
pub fn with_builder(sandboxes: &[&Syscalls]) -> Syscalls {
    let mut allowed: Vec<AllowedSyscall> = BUILDER
        .iter()
        .filter_map(|name| {
            Some(AllowedSyscall { name: (*name).to_owned(), numbers: numbers(name)?, when: Vec::new() })
        })
        .collect();
    allowed.sort();
    let builder = Syscalls { allowed, refused: Vec::new() };
    union(&[sandboxes, &[&builder]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_system_call_and_stands_once() {
        assert_eq!(with_builder(&[]).allowed.len(), BUILDER.len());
    }
}
