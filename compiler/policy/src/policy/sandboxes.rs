//! Pools and sandboxes of the effective policy: where a tool's command runs and what confines it there.
//!
//! Lowered and total: sizes in bytes, times in milliseconds, CPUs in thousandths, system calls by number for
//! each architecture. A builder of sandboxes needs no default and no table. A sandbox that two packs name is
//! met: path lists intersect, limits take the minimum, and system calls that only one allows are refused.

use serde::{Deserialize, Serialize};

use super::{Origin, PodSecurity};

/// Pods of one kind in which sandboxes run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// Name, unique.
    pub name: String,
    /// What a sandbox is in this pool.
    pub backend: Backend,
    /// RuntimeClass of the pool's pods.
    pub runtime_class: String,
    /// Pod Security Standard of the pool's own namespaces.
    pub pod_security: PodSecurity,
    /// Whether the pool's pods must have their own user namespace.
    pub user_namespace: UserNamespace,
    /// Whether a pod of the pool creates its own cgroups.
    pub cgroup: CgroupAccess,
    /// CPUs of one pod, in thousandths.
    pub cpus_milli: u64,
    /// Memory of one pod, in bytes.
    pub memory_bytes: u64,
    /// The origins of the pool.
    pub from: Vec<Origin>,
}

/// What a sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Backend {
    /// Namespaces, seccomp and cgroups within a pod of the pool, or on a plain machine.
    Native,
    /// The pod itself, one call at a time.
    Pod,
}

/// Whether pods have their own user namespace; the later value is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UserNamespace {
    /// Where the cluster supports it.
    Optional,
    /// A pod without one is denied.
    Required,
}

/// Access of a pod to its cgroup; the earlier value is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CgroupAccess {
    /// As usual.
    ReadOnly,
    /// It may create its own cgroups.
    Writable,
}

/// Where a tool's command runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sandbox {
    /// Name, unique.
    pub name: String,
    /// Name of the pool; `None`: a ceiling that no pack has placed in a pool.
    pub pool: Option<String>,
    /// The language whose source text a call may contain; `None`: programs only.
    pub runtime: Option<Language>,
    /// Which files it sees.
    pub filesystem: Filesystem,
    /// Names of the policy's egress rules that it may use, sorted; empty: no network at all.
    pub egress: Vec<String>,
    /// System calls.
    pub syscalls: Syscalls,
    /// Limits of one call.
    pub limits: Limits,
    /// What is acceptable where a limit cannot be enforced exactly.
    pub at_least: AtLeast,
    /// Environment variables in addition to `PATH` and `HOME`, sorted by name.
    pub environment: Vec<(String, String)>,
    /// The origins of the sandbox.
    pub from: Vec<Origin>,
}

/// Languages whose source text can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Language {
    /// CPython: `/usr/bin/python3 -I FILE`.
    Python,
}

/// Which files a sandbox sees. Paths are absolute and canonical.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filesystem {
    /// Paths of the image that can be read and executed, sorted, none within another.
    pub read_only: Vec<String>,
    /// Empty writable directories in memory, sorted by path.
    pub writable: Vec<Tmpfs>,
    /// The session's directory; `None`: the sandbox has none.
    pub workspace: Option<Workspace>,
    /// Whether it has a `/proc` of its own processes.
    pub proc: Proc,
    /// Names of `/dev`, sorted: `null`, `zero`, `full`, `random`, `urandom`.
    pub devices: Vec<String>,
}

/// An empty writable directory in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tmpfs {
    /// Where.
    pub path: String,
    /// Its capacity in bytes.
    pub size_bytes: u64,
    /// Its capacity in files.
    pub inodes: u64,
}

/// The session's directory, shared by its sandboxes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workspace {
    /// Where.
    pub path: String,
    /// Its capacity in bytes.
    pub size_bytes: u64,
    /// Its capacity in files.
    pub inodes: u64,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Whether it is saved before a result is sent.
    pub durable: bool,
}

/// How long a workspace lives; the earlier value is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lifetime {
    /// One call.
    Call,
    /// One session.
    Session,
}

/// What `/proc` is; the earlier value is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Proc {
    /// Absent.
    None,
    /// That of the sandbox's own processes.
    Own,
}

/// The system calls of a sandbox. A call in neither list fails with `EPERM`; the call convention of another
/// architecture (x32, `int 0x80`) kills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Syscalls {
    /// Allowed calls, sorted by name.
    pub allowed: Vec<AllowedSyscall>,
    /// Calls that fail with their own error, sorted by name; no name is in both lists.
    pub refused: Vec<RefusedSyscall>,
}

/// A system call that is allowed, for some or all of its arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedSyscall {
    /// Its name, as in the kernel's tables.
    pub name: String,
    /// Its number on each architecture.
    pub numbers: SyscallNumbers,
    /// Any of these must hold, within one all of its tests; empty: any arguments. No alternative tests one
    /// argument twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Vec<ArgumentTest>>,
}

/// A system call that fails with its own error, so that libraries fall back to another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedSyscall {
    /// Its name.
    pub name: String,
    /// Its number on each architecture.
    pub numbers: SyscallNumbers,
    /// The errno.
    pub errno: u16,
}

/// The number of a system call on each architecture; `None`: it does not exist there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the architectures'")]
pub struct SyscallNumbers {
    #[serde(rename = "x86_64", default, skip_serializing_if = "Option::is_none")]
    pub x86_64: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aarch64: Option<u32>,
}

/// `(argument[index] as u32 & mask) == value`: 32 bits, since a 64-bit comparison of an `int` misses set high
/// bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArgumentTest {
    /// 0 to 5.
    pub index: u8,
    /// The bits that are tested.
    pub mask: u32,
    /// Their required value.
    pub value: u32,
}

impl ArgumentTest {
    /// Whether any argument passes: the bits that must be set are within the mask.
    #[must_use]
    pub const fn can_hold(&self) -> bool {
        self.value & !self.mask == 0
    }
}

/// Limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Elapsed time.
    pub wall_clock_ms: u64,
    /// CPU time of all its processes.
    pub cpu_time_ms: u64,
    /// CPUs at once, in thousandths.
    pub cpus_milli: u64,
    /// Memory, including files in memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Size of one file.
    pub file_size_bytes: u64,
    /// Output that is kept, both streams together.
    pub output_bytes: u64,
}

/// What is acceptable where a limit cannot be enforced exactly; [`Enforcement::Exact`]: nothing less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the limits")]
pub struct AtLeast {
    pub memory: Enforcement,
    pub processes: Enforcement,
    pub cpus: Enforcement,
    pub cpu_time: Enforcement,
    pub proc: Enforcement,
}

/// How a limit is enforced; the earlier value is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Enforcement {
    /// For the whole sandbox, by the kernel.
    Exact,
    /// Per process.
    Rlimit,
    /// Where possible.
    BestEffort,
    /// Not at all.
    None,
}
