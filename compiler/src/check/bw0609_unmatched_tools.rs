//! A pattern that matches no tool: of this pack, of those that it extends, of the executor's own. The rule says nothing of any call.
//! A pack without any tool, which others extend, is not meant.
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
//!   - {name: readable, tools: [files.read], allow: {}}
//!   - {name: quiet, tools: [file.read], deny: {}}
//! ```
//!
//! ```text
//! warning[BW0609] at spec.tools.rules[1].tools[0]: `file.read` matches no tool
//!   help: did you mean `files.read`?
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
//! Remedy: write the name of a tool that is there, or take the pattern out

use super::View;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::lower::tools::BUILT_IN;

/// Rule over tools that are not there.
pub const CODE: Code =
    Code::new("BW0609", "rule over tools that are not there", Severity::Warning, include_str!("bw0609_unmatched_tools.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let defined = view.names(|spec| {
        spec.tools.iter().flat_map(|tools| &tools.definitions).map(|tool| tool.name.as_str())
    });
    if defined.is_empty() {
        return;
    }
    let known: Vec<&str> = defined.iter().copied().chain(BUILT_IN.iter().copied()).collect();
    for (at, rule) in view.tool_rules() {
        for (index, pattern) in rule.tools.iter().enumerate() {
            let hit = match pattern.strip_suffix('*') {
                Some(prefix) => known.iter().any(|name| name.starts_with(prefix)),
                None => known.contains(&pattern.as_str()),
            };
            if !hit {
                let message = format!("`{pattern}` matches no tool");
                let diagnostic = Diagnostic::new(CODE, at.member("tools").index(index), message);
                out.push(super::suggest(diagnostic, pattern, &known));
            }
        }
    }
}
