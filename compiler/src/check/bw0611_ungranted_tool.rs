//! A tool that is defined, that no rule of the pack allows or asks about, and that does not ask `otherwise`: every call of it is denied.
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
//!   - {name: list, tools: [workspace.list], allow: {}}
//! ```
//!
//! ```text
//! warning[BW0611] at spec.tools.definitions[0].name: nothing grants tool `files.read`: every call is denied
//!   help: write a rule with `allow` or `ask`, or `otherwise`
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
//!   - {name: readable, tools: [files.read], allow: {}}
//! ```
//!
//! Remedy: write a rule with `allow` or `ask`, or `otherwise`

use bailiwick_policy::policy::tools::Otherwise;

use super::View;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;

/// Tool that nothing grants.
pub const CODE: Code =
    Code::new("BW0611", "tool that nothing grants", Severity::Warning, include_str!("bw0611_ungranted_tool.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for layer in &view.policy.tools {
        for tool in &layer.definitions {
            let granted = layer.rules.iter().any(|rule| {
                rule.grants()
                    && rule.tools.iter().any(|pattern| pattern.matches(&tool.name))
            });
            if !granted && matches!(tool.otherwise, Otherwise::Deny(_)) {
                let at = tool.at.parse::<FieldPath>().unwrap_or_default().member("name");
                let message = format!("nothing grants tool `{}`: every call is denied", tool.name);
                out.push(Diagnostic::new(CODE, at, message).with_help("write a rule with `allow` or `ask`, or `otherwise`"));
            }
        }
    }
}
