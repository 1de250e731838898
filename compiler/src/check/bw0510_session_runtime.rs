//! A runtime that lives as long as its session. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
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
//!   runtime: {language: Python, lifetime: Session}
//! ```
//!
//! ```text
//! error[BW0510] at spec.sandboxes[0].runtime.lifetime: `lifetime: Session` of a runtime is not enforced yet
//!   help: write `lifetime: Call`, or leave `lifetime` out
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
//!   runtime: {language: Python, lifetime: Call}
//! ```
//!
//! Remedy: write `lifetime: Call`, or leave `lifetime` out

use bailiwick_crds::sandbox::Lifetime;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Runtimes for a session are not enforced yet.
pub const CODE: Code = Code::new("BW0510", "runtimes for a session are not enforced yet", Severity::Error, include_str!("bw0510_session_runtime.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        if sandbox.runtime.as_ref().is_some_and(|runtime| runtime.lifetime == Lifetime::Session) {
            let at = at.member("runtime").member("lifetime");
            out.push(Diagnostic::new(CODE, at, "`lifetime: Session` of a runtime is not enforced yet"));
        }
    }
}
