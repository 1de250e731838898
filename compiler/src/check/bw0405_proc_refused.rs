//! A sandbox with its own `/proc` needs a pod with an unmasked one. Pod Security allows that from version v1.35 at
//! level Baseline, in a user namespace; Restricted never does. The kubelet gives a pod a user namespace only where the
//! handler of its RuntimeClass says that it can, which those of gVisor and Kata do not
//! (<https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/>).
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
//!
//! Remedy: use `proc: None`, or a pool at Baseline v1.35 or later with `userNamespace: Required`

use bailiwick_crds::pack::RuntimeKind;
use bailiwick_crds::pod_security::PodSecurityLevel;
use bailiwick_crds::sandbox::{Backend, Pool, Proc, Sandbox, UserNamespace};
use bailiwick_policy::policy::PodSecurity;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Own /proc where Pod Security or the RuntimeClass refuses it.
pub const CODE: Code = Code::new("BW0405", "own /proc where Pod Security or the RuntimeClass refuses it", Severity::Error, include_str!("bw0405_proc_refused.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let Some((_, pool)) = view.pool_of(sandbox) else { continue };
        let weaker = sandbox.at_least.as_ref().is_some_and(|least| least.proc.is_some());
        if sandbox.filesystem.proc != Proc::Own || pool.backend != Backend::Native || weaker {
            continue;
        }
        if let Some((message, help)) = refusal(pool, view.runtime_kind(&pool.runtime_class), sandbox) {
            out.push(Diagnostic::new(CODE, at.member("filesystem").member("proc"), message).with_help(help));
        }
    }
}

/// Why the pods of a pool cannot have an unmasked `/proc`, and what helps.
fn refusal(pool: &Pool, kind: Option<RuntimeKind>, sandbox: &Sandbox) -> Option<(String, &'static str)> {
    let minor = PodSecurity::built_in_minor(&pool.pod_security.version);
    let own_namespace = pool.user_namespace == UserNamespace::Required;
    let allowed = match pool.pod_security.level {
        PodSecurityLevel::Privileged => return None,
        PodSecurityLevel::Baseline => own_namespace && minor.is_some_and(|minor| minor >= 35),
        PodSecurityLevel::Restricted => false,
    };
    let (name, level, version) = (&sandbox.name, pool.pod_security.level.as_str(), &pool.pod_security.version);
    if !allowed {
        let message = format!("pool `{}` at {level} {version} cannot give sandbox `{name}` its own /proc", pool.name);
        return Some((message, "use `proc: None`, or a pool at Baseline v1.35 or later with `userNamespace: Required`"));
    }
    let without = kind.filter(|kind| *kind != RuntimeKind::Runc)?;
    let (class, kind) = (&pool.runtime_class, without.as_str());
    let message = format!("RuntimeClass `{class}` of kind {kind} has no user namespaces, so sandbox `{name}` cannot have its own /proc");
    Some((message, "use `proc: None`, or a pool in a RuntimeClass of kind Runc"))
}
