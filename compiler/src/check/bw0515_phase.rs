//! Rules over results. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
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
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//!   rules:
//!   - {name: example, tools: [files.read], phase: Result, deny: {}}
//! ```
//!
//! ```text
//! error[BW0515] at spec.tools.rules[0].phase: `phase: Result` is not enforced yet
//!   help: take the rule out, or write it over calls: without `phase`
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
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//!   rules:
//!   - {name: example, tools: [files.read], phase: Call, deny: {}}
//! ```
//!
//! Remedy: take the rule out, or write it over calls: without `phase`

use bailiwick_crds::tools::Phase;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::lower::Findings;
use super::View;

/// Phase Result is not enforced yet.
pub const CODE: Code = Code::new("BW0515", "phase Result is not enforced yet", Severity::Error, include_str!("bw0515_phase.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.tool_rules() {
        if rule.phase == Phase::Result {
            let message = format!("`phase: {}` is not enforced yet", rule.phase.as_str());
            out.push(Diagnostic::new(CODE, at.member("phase"), message));
        }
    }
}
