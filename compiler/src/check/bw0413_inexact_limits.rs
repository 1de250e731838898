//! Memory, processes and CPUs of one call are held exactly only by a cgroup of its own. A pool without a writable
//! cgroup has none; say with `atLeast` which weaker enforcement will do.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: ReadOnly, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0413] at spec.sandboxes[0].limits.cpuTime: pool `warm` has no cgroup that could hold `cpuTime` of sandbox `shell`
//!   help: set `cgroup: Writable` on the pool, or `atLeast.cpuTime` on the sandbox
//! error[BW0413] at spec.sandboxes[0].limits.cpus: pool `warm` has no cgroup that could hold `cpus` of sandbox `shell`
//!   help: set `cgroup: Writable` on the pool, or `atLeast.cpus` on the sandbox
//! error[BW0413] at spec.sandboxes[0].limits.memory: pool `warm` has no cgroup that could hold `memory` of sandbox `shell`
//!   help: set `cgroup: Writable` on the pool, or `atLeast.memory` on the sandbox
//! error[BW0413] at spec.sandboxes[0].limits.processes: pool `warm` has no cgroup that could hold `processes` of sandbox `shell`
//!   help: set `cgroup: Writable` on the pool, or `atLeast.processes` on the sandbox
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: ReadOnly, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   atLeast: {memory: Rlimit, processes: Rlimit, cpus: BestEffort, cpuTime: Rlimit}
//! ```
//!
//! Remedy: set `cgroup: Writable` on the pool, or `atLeast` on the sandbox

use bailiwick_crds::sandbox::{Backend, Cgroup};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Limits that the pool cannot hold exactly.
pub const CODE: Code = Code::new("BW0413", "limits that the pool cannot hold exactly", Severity::Error, include_str!("bw0413_inexact_limits.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let Some((_, pool)) = view.pool_of(sandbox) else { continue };
        if pool.backend != Backend::Native || pool.cgroup == Cgroup::Writable {
            continue;
        }
        let least = sandbox.at_least.clone().unwrap_or_default();
        let limits = [
            ("memory", least.memory.is_some()),
            ("processes", least.processes.is_some()),
            ("cpus", least.cpus.is_some()),
            ("cpuTime", least.cpu_time.is_some()),
        ];
        for (name, settled) in limits {
            if !settled {
                let message = format!("pool `{}` has no cgroup that could hold `{name}` of sandbox `{}`", pool.name, sandbox.name);
                let help = format!("set `cgroup: Writable` on the pool, or `atLeast.{name}` on the sandbox");
                out.push(Diagnostic::new(CODE, at.member("limits").member(name), message).with_help(help));
            }
        }
    }
}
