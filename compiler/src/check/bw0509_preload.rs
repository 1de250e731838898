//! Modules that a runtime loads before the first call. It is read and checked, but not enforced yet, and what is
//! accepted is enforced: so it is refused until then.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Python}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   runtime: {language: Python, preload: [json]}
//! ```
//!
//! ```text
//! error[BW0509] at spec.sandboxes[0].runtime.preload: `preload` is not enforced yet
//!   help: take `preload` out; the call loads its modules itself
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
//!   syscalls: {profile: Python}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   runtime: {language: Python}
//! ```
//!
//! Remedy: take `preload` out; the call loads its modules itself

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Preloaded modules are not enforced yet.
pub const CODE: Code = Code::new("BW0509", "preloaded modules are not enforced yet", Severity::Error, include_str!("bw0509_preload.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        if sandbox.runtime.as_ref().is_some_and(|runtime| !runtime.preload.is_empty()) {
            let at = at.member("runtime").member("preload");
            out.push(Diagnostic::new(CODE, at, "`preload` is not enforced yet").about_key());
        }
    }
}
