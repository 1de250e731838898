//! Changing results. It is read and checked, but not enforced yet, and what is accepted is enforced: so it is refused
//! until then. The arguments of a call can be changed by its grants: `transform.args`.
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
//!   - {name: example, tools: [files.read], allow: {}, transform: {result: "result"}}
//! ```
//!
//! ```text
//! error[BW0513] at spec.tools.rules[0].transform.result: `transform.result` is not enforced yet
//!   help: take `transform.result` out; keep results out of the log by `audit.results`
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
//!   - {name: example, tools: [files.read], allow: {}}
//! ```
//!
//! Remedy: take `transform.result` out; keep results out of the log by `audit.results`

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::lower::Findings;
use super::View;

/// Transforms of results are not enforced yet.
pub const CODE: Code = Code::new("BW0513", "transforms of results are not enforced yet", Severity::Error, include_str!("bw0513_transform.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.tool_rules() {
        if rule.transform.as_ref().is_some_and(|transform| transform.result.is_some()) {
            let at = at.member("transform").member("result");
            out.push(Diagnostic::new(CODE, at, "`transform.result` is not enforced yet"));
        }
    }
}
