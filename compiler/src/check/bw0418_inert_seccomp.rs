//! In a pool whose sandboxes are whole pods, the profile is the pod's. gVisor ignores it, and Kata does not apply it
//! in the guest by default: a sandbox that relies on it would run unfiltered.
//!
//! ```yaml fails
//! isolation:
//!   runtimeClass: {classes: [{name: runc, handler: runsc, kind: GVisor}]}
//! pools:
//! - {name: warm, backend: Pod, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr]}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0418] at spec.sandboxes[0].syscalls.profile: RuntimeClass `runc` does not apply the profile of sandbox `shell`
//!   help: use a pool with `backend: Native`, which filters inside the pod, or a class of kind Runc
//! ```
//!
//! ```yaml passes
//! isolation:
//!   runtimeClass: {classes: [{name: runc, handler: runc, kind: Runc}]}
//! pools:
//! - {name: warm, backend: Pod, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr]}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! Remedy: use a pool with `backend: Native`, which filters inside the pod, or a class of kind Runc

use bailiwick_crds::pack::RuntimeKind;
use bailiwick_crds::sandbox::Backend;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// System call profile without effect.
pub const CODE: Code = Code::new("BW0418", "system call profile without effect", Severity::Error, include_str!("bw0418_inert_seccomp.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let Some((_, pool)) = view.pool_of(sandbox) else { continue };
        let kind = view.runtime_kind(&pool.runtime_class);
        if pool.backend == Backend::Pod && kind.is_some_and(|kind| kind != RuntimeKind::Runc) {
            let message = format!("RuntimeClass `{}` does not apply the profile of sandbox `{}`", pool.runtime_class, sandbox.name);
            let help = "use a pool with `backend: Native`, which filters inside the pod, or a class of kind Runc";
            out.push(Diagnostic::new(CODE, at.member("syscalls").member("profile"), message).with_help(help));
        }
    }
}
