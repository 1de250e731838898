//! A language runtime needs its working set of system calls: with another profile, or without calls that it always
//! makes, it does not start.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Python, remove: [mmap]}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   runtime: {language: Python}
//! ```
//!
//! ```text
//! error[BW0419] at spec.sandboxes[0].syscalls.remove[0]: Python does not start without `mmap`
//!   help: take the call out of `remove`, or choose the profile of the language
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
//!   syscalls: {profile: Python, remove: [socket]}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   runtime: {language: Python}
//! ```
//!
//! Remedy: take the call out of `remove`, or choose the profile of the language

use bailiwick_crds::sandbox::SyscallProfile;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::syscalls::START;
use super::View;

/// Runtime without its system calls.
pub const CODE: Code = Code::new("BW0419", "runtime without its system calls", Severity::Error, include_str!("bw0419_runtime_not_covered.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        if sandbox.runtime.is_none() {
            continue;
        }
        let at = at.member("syscalls");
        if sandbox.syscalls.profile != SyscallProfile::Python {
            let message = format!("profile `{}` does not cover what Python needs", sandbox.syscalls.profile.as_str());
            out.push(Diagnostic::new(CODE, at.member("profile"), message).with_help("use `profile: Python`"));
        }
        for (index, call) in sandbox.syscalls.remove.iter().enumerate() {
            if START.contains(&call.as_str()) {
                let message = format!("Python does not start without `{call}`");
                out.push(Diagnostic::new(CODE, at.member("remove").index(index), message));
            }
        }
    }
}
