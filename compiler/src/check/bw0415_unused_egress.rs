//! Sandboxes of the pack connect to something, but none of them names this egress rule. The way out stands open to the pods all the same.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: web, to: {namespaces: {matchLabels: {team: web}}}, ports: [{port: 443}]}
//!   - {name: db, to: {cidr: 192.0.2.0/24}, ports: [{port: 5432}]}
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
//! warning[BW0415] at spec.network.egress[1].name: no sandbox uses egress rule `db`
//!   help: remove the rule, or name it in a sandbox
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
//! Remedy: remove the rule, or name it in a sandbox

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Egress that nothing uses.
pub const CODE: Code = Code::new("BW0415", "egress that nothing uses", Severity::Warning, include_str!("bw0415_unused_egress.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let used: Vec<&String> =
        view.sandboxes().filter_map(|(_, sandbox)| sandbox.network.as_ref()).flat_map(|network| &network.egress).collect();
    // Where no sandbox connects to anything, the rules are for the pods themselves.
    for (at, rule) in view.egress().filter(|_| !used.is_empty()) {
        if !used.contains(&&rule.name) {
            let message = format!("no sandbox uses egress rule `{}`", rule.name);
            out.push(Diagnostic::new(CODE, at.member("name"), message).with_help("remove the rule, or name it in a sandbox"));
        }
    }
}
