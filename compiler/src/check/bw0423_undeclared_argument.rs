//! A tool passes on or parses an argument that its input schema does not name. Unknown properties are refused, so a
//! call could never give it.
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
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: path}]}
//! ```
//!
//! ```text
//! error[BW0423] at spec.tools.definitions[0].run.argv[2]: the input of tool `files.read` has no argument `path`
//!   help: there is `file`
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
//! Remedy: declare the argument in the tool's `input`, or name one that is there

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Argument that the schema does not have.
pub const CODE: Code = Code::new("BW0423", "argument that the schema does not have", Severity::Error, include_str!("bw0423_undeclared_argument.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, tool) in view.tools() {
        let known: Vec<&str> = tool
            .input
            .get("properties")
            .and_then(serde_json::Value::as_object)
            .map(|all| all.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let run = at.member("run");
        let argv = tool.run.argv.iter().enumerate().map(|(index, one)| (run.member("argv").index(index), one.arg.as_ref()));
        let code = tool.run.code.iter().map(|one| (run.member("code"), one.arg.as_ref()));
        let derived = tool.derive.iter().enumerate().map(|(index, fact)| {
            let name = fact.shell.as_ref().or(fact.path.as_ref()).or(fact.url.as_ref()).or(fact.git.as_ref());
            (at.member("derive").index(index), name)
        });
        for (at, name) in argv.chain(code).chain(derived) {
            let Some(name) = name.filter(|name| !known.contains(&name.as_str())) else { continue };
            let message = format!("the input of tool `{}` has no argument `{name}`", tool.name);
            out.push(super::suggest(Diagnostic::new(CODE, at, message), name, &known));
        }
    }
}
