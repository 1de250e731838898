//! All sandboxes of a session share its workspace. It has one size and one number of files; two sandboxes that say different ones cannot both
//! be held to theirs.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own, workspace: {path: /work, size: 64Mi, lifetime: Session}}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! - name: other
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own, workspace: {path: /work, size: 32Mi, lifetime: Session}}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0428] at spec.sandboxes[0].filesystem.workspace: the workspace of sandbox `shell` has another size or other inodes than that of `other`, and a session has only one
//!   help: write the same `size` and `inodes`
//!   spec.sandboxes[1].filesystem.workspace: the other workspace
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own, workspace: {path: /work, size: 64Mi, lifetime: Session}}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! - name: other
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own, workspace: {path: /work, size: 64Mi, lifetime: Session}}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! Remedy: write the same `size` and `inodes` in both

use crate::diagnostic::{Code, Severity};

/// Workspaces that cannot be one.
pub const CODE: Code =
    Code::new("BW0428", "workspaces that cannot be one", Severity::Error, include_str!("bw0428_clashing_workspaces.rs"));
