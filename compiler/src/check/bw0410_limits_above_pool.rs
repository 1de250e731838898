//! A sandbox cannot have more than the pod that it runs in: a limit above it is never reached, and the pod is killed
//! instead of the call.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 2Gi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0410] at spec.sandboxes[0].limits.memory: limit `2Gi` is above the `1Gi` of pool `warm`
//!   help: lower the limit, or give the pool's pods more
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
//! Remedy: lower the limit, or give the pool's pods more

use bailiwick_crds::scalar::Quantity;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Limits above the pool.
pub const CODE: Code = Code::new("BW0410", "limits above the pool", Severity::Error, include_str!("bw0410_limits_above_pool.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let Some((_, pool)) = view.pool_of(sandbox) else { continue };
        let one = Quantity("1".to_owned());
        let pairs = [
            ("memory", Some(&sandbox.limits.memory), &pool.resources.memory),
            ("cpus", Some(sandbox.limits.cpus.as_ref().unwrap_or(&one)), &pool.resources.cpus),
        ];
        for (name, limit, most) in pairs {
            if let Some(limit) = limit.filter(|limit| super::exceeds(limit, most)) {
                let message = format!("limit `{limit}` is above the `{most}` of pool `{}`", pool.name);
                let help = "lower the limit, or give the pool's pods more";
                out.push(Diagnostic::new(CODE, at.member("limits").member(name), message).with_help(help));
            }
        }
    }
}
