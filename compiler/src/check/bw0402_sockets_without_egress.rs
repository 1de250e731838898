//! The sandbox adds system calls of the network, but names no egress rule: it has no network, so the calls only widen
//! what an attacker may try.
//!
//! Calls that the profile itself has are not reported: they serve Unix sockets. In a sandbox without egress rules, `socket` makes no others, and fails
//! with EPERM for other families; with egress rules it makes those of TCP and UDP too, and no raw ones. Whoever needs no Unix sockets either
//! writes `remove: [socket]`, as `code-interpreter` does for Python.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell, add: [socket]}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! warning[BW0402] at spec.sandboxes[0].syscalls.add[0]: sandbox `shell` adds `socket` but has no network
//!   help: remove the call, or name an egress rule
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
//! Remedy: remove the call, or name an egress rule

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// System calls for a network that is not there.
pub const CODE: Code = Code::new("BW0402", "system calls for a network that is not there", Severity::Warning, include_str!("bw0402_sockets_without_egress.rs"));

/// Calls that serve nothing but connections.
const NETWORK_CALLS: &[&str] = &["socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmmsg"];

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        let alone = sandbox.network.as_ref().is_none_or(|network| network.egress.is_empty());
        for (index, call) in sandbox.syscalls.add.iter().enumerate() {
            if alone && NETWORK_CALLS.contains(&call.as_str()) {
                let at = at.member("syscalls").member("add").index(index);
                let message = format!("sandbox `{}` adds `{call}` but has no network", sandbox.name);
                out.push(Diagnostic::new(CODE, at, message).with_help("remove the call, or name an egress rule"));
            }
        }
    }
}
