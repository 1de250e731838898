//! The names in `network.egress` of a sandbox are those of `spec.network.egress`: a sandbox has no way out that its
//! pack does not have.
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
//!   network: {egress: [wed]}
//! ```
//!
//! ```text
//! error[BW0408] at spec.sandboxes[0].network.egress[0]: egress rule `wed` is not defined
//!   help: did you mean `web`?
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
//! Remedy: define the rule under `network.egress`, or name one that is there

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Sandbox reaches an undefined egress rule.
pub const CODE: Code = Code::new("BW0408", "sandbox reaches an undefined egress rule", Severity::Error, include_str!("bw0408_undefined_egress.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let known = view.names(|spec| spec.network.iter().flat_map(|network| &network.egress).map(|rule| rule.name.as_str()));
    for (at, sandbox) in view.sandboxes() {
        for (index, name) in sandbox.network.iter().flat_map(|network| &network.egress).enumerate() {
            if !known.contains(&name.as_str()) {
                let at = at.member("network").member("egress").index(index);
                let diagnostic = Diagnostic::new(CODE, at, format!("egress rule `{name}` is not defined"));
                out.push(super::suggest(diagnostic, name, &known));
            }
        }
    }
}
