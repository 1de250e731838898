//! Labels that sessions carry. It is read and checked, but not enforced yet, and what is accepted is enforced: so it
//! is refused until then.
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
//!   state: {labels: [{name: tainted}]}
//! ```
//!
//! ```text
//! error[BW0511] at spec.tools.state.labels: labels of sessions are not enforced yet
//!   help: take the labels out; count with `state.counters`, or deny the calls outright
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
//! ```
//!
//! Remedy: take the labels out; count with `state.counters`, or deny the calls outright

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// State labels are not enforced yet.
pub const CODE: Code = Code::new("BW0511", "state labels are not enforced yet", Severity::Error, include_str!("bw0511_state_labels.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let message = "labels of sessions are not enforced yet";
    let tools = FieldPath::spec().member("tools");
    if view.spec.tools.iter().filter_map(|tools| tools.state.as_ref()).any(|state| !state.labels.is_empty()) {
        out.push(Diagnostic::new(CODE, tools.member("state").member("labels"), message).about_key());
    }
    for (at, tool) in view.tools() {
        if !tool.may_add.is_empty() {
            out.push(Diagnostic::new(CODE, at.member("mayAdd"), message).about_key());
        }
    }
    for (at, rule) in view.tool_rules() {
        if rule.label.is_some() {
            out.push(Diagnostic::new(CODE, at.member("label"), message).about_key());
        }
    }
}
