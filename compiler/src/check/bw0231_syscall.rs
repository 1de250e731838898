//! `add` and `remove` change the set of system calls that a profile begins with, by the names of the kernel's tables. A name that is in no
//! table, or that the profile cannot take, would change nothing, or open what no sandbox may have.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell, remove: [conect]}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0231] at spec.sandboxes[0].syscalls.remove[0]: there is no system call `conect`
//!   help: did you mean `connect`?
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell, remove: [connect]}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! Remedy: write a name of the kernel's table that a sandbox may be given

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::syscalls::Error;

/// System call that a sandbox cannot have, or not lose.
pub const CODE: Code = Code::new(
    "BW0231",
    "system call that a sandbox cannot have, or not lose",
    Severity::Error,
    include_str!("bw0231_syscall.rs"),
);

/// Says what is wrong with a name, where it stands below `syscalls`.
pub(crate) fn diagnostic(error: &Error, at: &FieldPath) -> Diagnostic {
    let (at, help) = match error {
        Error::Unknown { list, index, nearest, .. } => {
            let help = nearest.map(|near| format!("did you mean `{near}`?"));
            (at.member(list.as_str()).index(*index), help)
        }
        Error::Never { index, .. } => (at.member("add").index(*index), None),
        Error::Both { index, .. } => (at.member("remove").index(*index), None),
        Error::TooMany { list } => (at.member(list.as_str()), None),
    };
    Diagnostic::new(CODE, at, error.to_string()).with_any_help(help)
}
