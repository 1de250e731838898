//! The sandbox can write where its programs lie: on `PATH` (`/usr/bin:/bin`), or over a path that it may only read. A
//! call could replace what a later call runs.
//!
//! That a file of the workspace is executed is no contradiction: no field of a pack promises that no new code runs. The callers of a sandbox bring
//! its code themselves, as a command line or as source text, and an interpreter needs no executable file to run more of it. What bounds new code is
//! the sandbox around it.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr], writable: [{path: /usr/bin, size: 1Mi}]}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0420] at spec.sandboxes[0].filesystem.writable[0].path: sandbox `shell` can write `/usr/bin`, where its programs are
//!   help: choose a path apart from `readOnly`, /bin and /usr/bin
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr], writable: [{path: /tmp, size: 1Mi}]}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! Remedy: choose a path apart from `readOnly`, /bin and /usr/bin

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Programs that can be overwritten.
pub const CODE: Code = Code::new("BW0420", "programs that can be overwritten", Severity::Error, include_str!("bw0420_writable_programs.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let files = &sandbox.filesystem;
        let at = at.member("filesystem");
        let writable = files.writable.iter().enumerate().map(|(index, one)| (at.member("writable").index(index), &one.path));
        let workspace = files.workspace.iter().map(|one| (at.member("workspace"), &one.path));
        for (at, path) in writable.chain(workspace) {
            let programs = ["/usr/bin", "/bin"].iter().any(|dir| super::below(dir, path) || super::below(path, dir));
            let reads = files.read_only.iter().any(|root| super::below(path, root) || super::below(root, path));
            if programs || reads {
                let message = format!("sandbox `{}` can write `{path}`, where its programs are", sandbox.name);
                let help = "choose a path apart from `readOnly`, /bin and /usr/bin";
                out.push(Diagnostic::new(CODE, at.member("path"), message).with_help(help));
            }
        }
    }
}
