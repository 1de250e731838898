//! A sandbox that may connect to something. It is read and checked, but no connection can be made from a sandbox yet, and what is accepted is
//! enforced: so it is refused until then. `egress: []`, or no `network` at all, is enforced: such a sandbox has no network.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: web, to: {namespaces: {matchLabels: {team: web}}}, ports: [{port: 443}]}
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   network: {egress: [web]}
//! ```
//!
//! ```text
//! error[BW0521] at spec.sandboxes[0].network.egress: egress of a sandbox is not enforced yet
//!   help: until then write `egress: []`: the sandbox has no network
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
//!   network: {egress: []}
//! ```
//!
//! Remedy: until it is enforced, write `egress: []`: the sandbox has no network

use super::View;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;

/// Egress of sandboxes is not enforced yet.
pub const CODE: Code =
    Code::new("BW0521", "egress of sandboxes is not enforced yet", Severity::Error, include_str!("bw0521_sandbox_egress.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        if sandbox.network.as_ref().is_some_and(|network| !network.egress.is_empty()) {
            let at = at.member("network").member("egress");
            let diagnostic = Diagnostic::new(CODE, at, "egress of a sandbox is not enforced yet").about_key();
            out.push(diagnostic.with_help("until then write `egress: []`: the sandbox has no network"));
        }
    }
}
