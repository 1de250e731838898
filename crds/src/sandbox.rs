//! Pools and sandboxes: where tools run, and with what.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pod_security::PodSecurity;
use crate::scalar::closed;
use crate::scalar::{Duration, Quantity};

/// Where sandboxes run: pods of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// Name of the pool.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// What a sandbox is in this pool.
    pub backend: Backend,
    /// RuntimeClass of the pool's pods.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub runtime_class: String,
    /// Pod Security Standard of the pool's own namespaces.
    pub pod_security: PodSecurity,
    /// Whether the pool's pods have their own user namespace.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub user_namespace: UserNamespace,
    /// Whether a pod of the pool may write its cgroup.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub cgroup: Cgroup,
    /// Resources of one pod of the pool.
    pub resources: PoolResources,
}

closed! {
    /// What a sandbox is.
    pub enum Backend {
        /// Namespaces, seccomp and cgroups within a pod of the pool.
        Native = "Native",
        /// The pod itself, one call at a time.
        Pod = "Pod",
    }
}

closed! {
    /// Whether pods have their own user namespace.
    pub enum UserNamespace {
        /// Where the cluster can.
        Optional = "Optional",
        /// A pod without one is refused.
        Required = "Required",
    }
    default Optional
}

closed! {
    /// Access of a pod to its cgroup.
    pub enum Cgroup {
        /// As usual.
        ReadOnly = "ReadOnly",
        /// It may make cgroups of its own.
        Writable = "Writable",
    }
    default ReadOnly
}

/// Resources of one pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolResources {
    /// CPUs.
    pub cpus: Quantity,
    /// Memory.
    pub memory: Quantity,
}

/// What a tool runs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sandbox {
    /// Name of the sandbox.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// The pool that it runs in; absent: only a ceiling for the sandbox of this name in packs that extend this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub pool: Option<String>,
    /// The language runtime; absent: plain programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// What it sees of files.
    pub filesystem: Filesystem,
    /// What it may connect to; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<SandboxNetwork>,
    /// System calls that it may use.
    pub syscalls: Syscalls,
    /// Limits of one call.
    pub limits: Limits,
    /// What will do where a pool cannot enforce a limit exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<AtLeast>,
    /// Environment variables. Beside them stand `PATH=/usr/bin:/bin` and `HOME`, which is the workspace, or `/nonexistent` without one; a
    /// pack names neither.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub environment: Vec<EnvironmentVariable>,
}

/// A language runtime that is kept warm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Runtime {
    /// The language.
    pub language: Language,
    /// Modules that are loaded before the first call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preload: Vec<String>,
    /// How long an instance lives.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub lifetime: Lifetime,
}

closed! {
    /// Languages with a warm runtime.
    pub enum Language {
        /// CPython.
        Python = "Python",
    }
}

closed! {
    /// How long something lives.
    pub enum Lifetime {
        /// One call.
        Call = "Call",
        /// One session.
        Session = "Session",
    }
    default Call
}

/// What a sandbox sees of files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filesystem {
    /// Paths of the image that can be read and executed; absolute, without `.`, `..`, `//` and a last `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_only: Vec<String>,
    /// Empty writable directories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub writable: Vec<Writable>,
    /// The session's directory, shared by its sandboxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    /// What `/proc` is.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub proc: Proc,
    /// Devices of `/dev`: any of `null`, `zero`, `full`, `random`, `urandom`; absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}

/// An empty writable directory in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Writable {
    /// Where.
    pub path: String,
    /// How much it holds.
    pub size: Quantity,
    /// How many files it holds; absent: one for each 4Ki of its size, at least 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::count")]
    pub inodes: Option<i64>,
}

/// The session's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workspace {
    /// Where.
    pub path: String,
    /// How much it holds.
    pub size: Quantity,
    /// How many files it holds; absent: one for each 4Ki of its size, at least 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::count")]
    pub inodes: Option<i64>,
    /// How long it lives.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub lifetime: Lifetime,
    /// Whether it is saved before a result is sent.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub durable: bool,
}

closed! {
    /// What `/proc` is in a sandbox.
    pub enum Proc {
        /// Not there.
        None = "None",
        /// That of the sandbox's own processes.
        Own = "Own",
    }
    default None
}

/// What a sandbox may connect to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SandboxNetwork {
    /// Names of `spec.network.egress`; none: no network at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<String>,
}

/// System calls of a sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Syscalls {
    /// The set to begin with.
    pub profile: SyscallProfile,
    /// Calls added to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Calls taken out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

closed! {
    /// Sets of system calls.
    pub enum SyscallProfile {
        /// What CPython and its standard library use.
        Python = "Python",
        /// What a shell and usual command line programs use.
        Shell = "Shell",
    }
}

/// Limits of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Time that passes.
    pub wall_clock: Duration,
    /// CPU time of all its processes; absent: `wallClock` times `cpus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Duration>,
    /// CPUs at once, at least `10m`; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Quantity>,
    /// Memory, files in memory included.
    pub memory: Quantity,
    /// Processes and threads.
    #[schemars(schema_with = "crate::scalar::count")]
    pub processes: i64,
    /// Open files of one process; absent: 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::count")]
    pub open_files: Option<i64>,
    /// Size of one file; absent: as `memory`, which counts files in memory too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<Quantity>,
    /// Output that is kept, both streams together.
    pub output: Quantity,
}

/// What will do where a pool cannot enforce a limit exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AtLeast {
    /// For `limits.memory`; absent: nothing less than the whole sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Enforcement>,
    /// For `limits.processes`; absent: nothing less than the whole sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Enforcement>,
    /// For `limits.cpus`; absent: nothing less than the whole sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Enforcement>,
    /// For `limits.cpuTime`; absent: nothing less than the whole sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Enforcement>,
    /// For `filesystem.proc`; absent: nothing less than its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proc: Option<Enforcement>,
}

closed! {
    /// Weaker ways of holding a limit.
    pub enum Enforcement {
        /// Per process.
        Rlimit = "Rlimit",
        /// Where possible.
        BestEffort = "BestEffort",
        /// Not at all.
        None = "None",
    }
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}
