//! Within `wallClock` a call can use at most `wallClock` times `cpus` of CPU time. A larger `cpuTime` never takes
//! effect.
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
//!   limits: {wallClock: 10s, cpuTime: 30s, cpus: "2", memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0411] at spec.sandboxes[0].limits.cpuTime: `cpuTime: 30s` cannot be used within 10s on 2 CPUs
//!   help: lower `cpuTime`, or raise `wallClock` or `cpus`
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
//!   limits: {wallClock: 10s, cpuTime: 20s, cpus: "2", memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! Remedy: lower `cpuTime`, or raise `wallClock` or `cpus`

use bailiwick_crds::scalar::Quantity;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// CPU time that cannot be used.
pub const CODE: Code = Code::new("BW0411", "CPU time that cannot be used", Severity::Error, include_str!("bw0411_cpu_time_unreachable.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let limits = &sandbox.limits;
        let Some(cpu_time) = &limits.cpu_time else { continue };
        let one = Quantity("1".to_owned());
        let cpus = limits.cpus.as_ref().unwrap_or(&one);
        let (Some(wall), Some(cpu)) = (super::nanos(&limits.wall_clock), super::nanos(cpu_time)) else { continue };
        // Compared as quantities, because `cpus` may be a fraction: cpuTime / wallClock > cpus, in thousandths.
        let used = cpu.saturating_mul(1_000).checked_div(wall).map(|milli| Quantity(format!("{milli}m")));
        if used.is_some_and(|used| super::exceeds(&used, cpus)) {
            let message = format!("`cpuTime: {cpu_time}` cannot be used within {} on {cpus} CPUs", limits.wall_clock);
            let help = "lower `cpuTime`, or raise `wallClock` or `cpus`";
            out.push(Diagnostic::new(CODE, at.member("limits").member("cpuTime"), message).with_help(help));
        }
    }
}
