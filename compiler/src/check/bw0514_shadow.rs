//! Rules that are recorded without effect. It is read and checked, but not enforced yet, and what is accepted is
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
//!   - {name: example, tools: [files.read], mode: Shadow, deny: {}}
//! ```
//!
//! ```text
//! error[BW0514] at spec.tools.rules[0].mode: `mode: Shadow` is not enforced yet
//!   help: take `mode` out, or the whole rule until it is to hold
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
//!   - {name: example, tools: [files.read], deny: {}}
//! ```
//!
//! Remedy: take `mode` out, or the whole rule until it is to hold

use bailiwick_crds::tools::Mode;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::lower::Findings;
use super::View;

/// Shadow rules are not enforced yet.
pub const CODE: Code = Code::new("BW0514", "shadow rules are not enforced yet", Severity::Error, include_str!("bw0514_shadow.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.tool_rules() {
        if rule.mode == Mode::Shadow {
            out.push(Diagnostic::new(CODE, at.member("mode"), "`mode: Shadow` is not enforced yet"));
        }
    }
}
