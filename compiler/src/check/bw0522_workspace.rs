//! A workspace is kept in memory for its session. One that is saved before each result (`durable: true`), or made anew for each call
//! (`lifetime: Call`, which is the default), is read and checked, but not enforced yet, and what is accepted is enforced: so it is refused until then.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own, workspace: {path: /work, size: 64Mi, lifetime: Session, durable: true}}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0522] at spec.sandboxes[0].filesystem.workspace.durable: `durable` is not enforced yet
//!   help: write `lifetime: Session`, and leave `durable` out
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
//! ```
//!
//! Remedy: write `lifetime: Session`, and leave `durable` out

use bailiwick_crds::sandbox::Lifetime;

use super::View;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;

/// Workspaces that are saved, or live for one call, are not enforced yet.
pub const CODE: Code =
    Code::new("BW0522", "workspaces that are saved, or live for one call, are not enforced yet", Severity::Error, include_str!("bw0522_workspace.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let Some(workspace) = &sandbox.filesystem.workspace else { continue };
        let at = at.member("filesystem").member("workspace");
        if workspace.durable {
            let diagnostic = Diagnostic::new(CODE, at.member("durable"), "`durable` is not enforced yet");
            out.push(diagnostic.about_key());
        }
        if workspace.lifetime == Lifetime::Call {
            let diagnostic = Diagnostic::new(CODE, at, "a workspace for one call is not enforced yet");
            out.push(diagnostic.with_help("write `lifetime: Session`, or give the sandbox a `writable` directory"));
        }
    }
}
