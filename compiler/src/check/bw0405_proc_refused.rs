//! A sandbox with its own `/proc` needs a pod with an unmasked one. Pod Security allows that from version v1.35 at
//! level Baseline, in a user namespace; Restricted never does.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Restricted, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0405] at spec.sandboxes[0].filesystem.proc: pool `warm` at Restricted v1.36 cannot give sandbox `shell` its own /proc
//!   help: use `proc: None`, or a pool at Baseline v1.35 or later with `userNamespace: Required`
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
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```

use bailiwick_crds::pack::PodSecurityLevel;
use bailiwick_crds::sandbox::{Backend, Proc, UserNamespace};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::lower::Findings;
use crate::lower::minor;
use super::View;

/// Own /proc where Pod Security refuses it.
pub const CODE: Code = Code::new("BW0405", "own /proc where Pod Security refuses it", Severity::Error, include_str!("bw0405_proc_refused.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let Some((_, pool)) = view.pool(&sandbox.pool) else { continue };
        let own_namespace = pool.user_namespace == UserNamespace::Required;
        let unmasked = match pool.pod_security.level {
            PodSecurityLevel::Privileged => true,
            PodSecurityLevel::Baseline => {
                own_namespace && minor(&pool.pod_security.version).is_some_and(|minor| minor >= 35)
            }
            PodSecurityLevel::Restricted => false,
        };
        let weaker = sandbox.at_least.as_ref().is_some_and(|least| least.proc.is_some());
        if sandbox.filesystem.proc == Proc::Own && pool.backend == Backend::Native && !unmasked && !weaker {
            let (level, version) = (pool.pod_security.level.as_str(), &pool.pod_security.version);
            let message = format!("pool `{}` at {level} {version} cannot give sandbox `{}` its own /proc", pool.name, sandbox.name);
            let help = "use `proc: None`, or a pool at Baseline v1.35 or later with `userNamespace: Required`";
            out.push(Diagnostic::new(CODE, at.member("filesystem").member("proc"), message).with_help(help));
        }
    }
}
