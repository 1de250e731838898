//! A sandbox runs in the pods of a pool; here is no pool of this name.
//!
//! ```yaml fails
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0407] at spec.sandboxes[0].pool: pool `warm` is not defined
//!   help: define the pool under `pools`, or name one that is there
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
//! Remedy: define the pool under `pools`, or name one that is there

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Sandbox in an undefined pool.
pub const CODE: Code = Code::new("BW0407", "sandbox in an undefined pool", Severity::Error, include_str!("bw0407_undefined_pool.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let known = view.names(|spec| spec.pools.iter().flatten().map(|pool| pool.name.as_str()));
    for (at, sandbox) in view.sandboxes() {
        let Some(pool) = sandbox.pool.as_deref().filter(|pool| !known.contains(pool)) else { continue };
        let diagnostic = Diagnostic::new(CODE, at.member("pool"), format!("pool `{pool}` is not defined"));
        out.push(super::suggest(diagnostic, pool, &known));
    }
}
