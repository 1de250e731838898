//! The sandbox may reach an egress rule, but its system calls lack `socket` or `connect`: the connection can never be
//! made. One of the two is not what you want.
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
//!   syscalls: {profile: Shell, remove: [connect]}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   network: {egress: [web]}
//! ```
//!
//! ```text
//! error[BW0401] at spec.sandboxes[0].syscalls.remove[0]: sandbox `shell` may reach egress rules, but not call `connect`
//!   help: keep the call, or write `egress: []`
//!   spec.sandboxes[0].network.egress: the egress rules are named here
//! ```
//!
//! ```yaml passes
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
//! Remedy: keep the call, or write `egress: []`

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Egress that the system calls deny.
pub const CODE: Code = Code::new("BW0401", "egress that the system calls deny", Severity::Error, include_str!("bw0401_egress_without_sockets.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let reaches = sandbox.network.as_ref().is_some_and(|network| !network.egress.is_empty());
        for (index, call) in sandbox.syscalls.remove.iter().enumerate() {
            if reaches && ["socket", "connect"].contains(&call.as_str()) {
                let at_call = at.member("syscalls").member("remove").index(index);
                let message = format!("sandbox `{}` may reach egress rules, but not call `{call}`", sandbox.name);
                let diagnostic = Diagnostic::new(CODE, at_call, message).with_help("keep the call, or write `egress: []`");
                out.push(diagnostic.with_related(at.member("network").member("egress"), "the egress rules are named here"));
            }
        }
    }
}
