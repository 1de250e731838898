//! What a model writes into an argument could begin with `-` and be read as an option of the program. It must follow
//! `--`, or have a schema pattern that excludes a leading `-`.
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
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {arg: file}]}
//! ```
//!
//! ```text
//! error[BW0421] at spec.tools.definitions[0].run.argv[1]: argument `file` of tool `files.read` may be read as an option
//!   help: put `{value: "--"}` before it
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
//! Remedy: put `{value: "--"}` before it

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Argument that may be an option.
pub const CODE: Code = Code::new("BW0421", "argument that may be an option", Severity::Error, include_str!("bw0421_argument_as_option.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, tool) in view.tools() {
        let mut ended = false;
        for (index, argument) in tool.run.argv.iter().enumerate() {
            ended = ended || argument.value.as_deref() == Some("--");
            let Some(name) = argument.arg.as_ref().filter(|_| !ended && index > 0) else { continue };
            let pattern = tool.input.pointer("/properties").and_then(|all| all.get(name)?.get("pattern")?.as_str());
            if !pattern.is_some_and(excludes_options) {
                let message = format!("argument `{name}` of tool `{}` may be read as an option", tool.name);
                let at = at.member("run").member("argv").index(index);
                out.push(Diagnostic::new(CODE, at, message).with_help("put `{value: \"--\"}` before it"));
            }
        }
    }
}

/// Whether an anchored pattern plainly begins with something else than `-`: a character, or a class without it.
fn excludes_options(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix('^') else { return false };
    match rest.split_once(']') {
        _ if rest.contains('|') => false,
        Some((class, after)) if class.starts_with("[^") => class.contains('-') && !after.starts_with(['*', '?']),
        Some((class, after)) if class.starts_with('[') => {
            let listed = class.ends_with('-') || class.starts_with("[-") || class.contains('\\');
            !listed && !after.starts_with(['*', '?', '{'])
        }
        _ => {
            let mut chars = rest.chars();
            chars.next().is_some_and(|first| first.is_alphanumeric() || first == '/')
                && !rest.get(1..).is_some_and(|after| after.starts_with(['*', '?', '{']))
        }
    }
}
