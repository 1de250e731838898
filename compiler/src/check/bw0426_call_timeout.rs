//! The executor's API ends a call, and with it whatever the session waits for, after one hour. A longer `wallClock` is never
//! reached: the call ends sooner than the pack says, and as a timeout of the API instead of the sandbox's.
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
//!   limits: {wallClock: 2h, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0426] at spec.sandboxes[0].limits.wallClock: sandbox `shell` may run for 2h, but the API ends a call after 3600s
//!   help: lower `wallClock`, and do longer work in several calls
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
//!   limits: {wallClock: 1h, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! Remedy: lower `wallClock`, and do longer work in several calls

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// `wallClock` above the API's timeout.
pub const CODE: Code = Code::new("BW0426", "`wallClock` above the API's timeout", Severity::Error, include_str!("bw0426_call_timeout.rs"));

/// How long the executor's API, and so a session, waits for one call. One caller must not hold a sandbox of a shared pool for longer;
/// work that takes hours is a Task, which is called again.
pub const CALL_TIMEOUT_S: i64 = 3_600;

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let wall = &sandbox.limits.wall_clock;
        if super::nanos(wall).is_some_and(|nanos| nanos > CALL_TIMEOUT_S.saturating_mul(1_000_000_000)) {
            let message = format!("sandbox `{}` may run for {wall}, but the API ends a call after {CALL_TIMEOUT_S}s", sandbox.name);
            let help = "lower `wallClock`, and do longer work in several calls";
            out.push(Diagnostic::new(CODE, at.member("limits").member("wallClock"), message).with_help(help));
        }
    }
}
