//! A tool, or a rule that narrows, names a sandbox that no pack here defines: nothing could run.
//!
//! ```yaml fails
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//! ```
//!
//! ```text
//! error[BW0406] at spec.tools.definitions[0].run.sandbox: sandbox `shell` is not defined
//!   help: define the sandbox under `sandboxes`, or name one that is there
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
//! Remedy: define the sandbox under `sandboxes`, or name one that is there

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Tool in an undefined sandbox.
pub const CODE: Code = Code::new("BW0406", "tool in an undefined sandbox", Severity::Error, include_str!("bw0406_undefined_sandbox.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let known = view.names(|spec| spec.sandboxes.iter().flatten().map(|sandbox| sandbox.name.as_str()));
    let tools = FieldPath::spec().member("tools");
    let by_tool = view.tools().filter_map(|(at, tool)| Some((at.member("run").member("sandbox"), tool.run.sandbox.as_ref()?)));
    let rules = view.spec.tools.iter().flat_map(|tools| &tools.rules).enumerate();
    let by_rule = rules.filter_map(|(index, rule)| {
        Some((tools.member("rules").index(index).member("narrow").member("sandbox"), &rule.narrow.as_ref()?.sandbox))
    });
    for (at, name) in by_tool.chain(by_rule) {
        if !known.contains(&name.as_str()) {
            let diagnostic = Diagnostic::new(CODE, at, format!("sandbox `{name}` is not defined"));
            out.push(super::suggest(diagnostic, name, &known));
        }
    }
}
