//! The first element of `argv` is the program. It must be an absolute path below what the sandbox sees of files, else
//! no call can start.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /lib]}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//! ```
//!
//! ```text
//! error[BW0409] at spec.tools.definitions[0].run.argv[0]: `/bin/cat` is not among the files of sandbox `shell`
//!   help: name an absolute path below one of the sandbox's `readOnly` paths
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /lib, /bin]}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//! ```
//!
//! Remedy: name an absolute path below one of the sandbox's `readOnly` paths

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Program outside the sandbox.
pub const CODE: Code = Code::new("BW0409", "program outside the sandbox", Severity::Error, include_str!("bw0409_program_outside.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, tool) in view.tools() {
        let at = at.member("run").member("argv").index(0);
        let Some(first) = tool.run.argv.first() else { continue };
        let Some(sandbox) = tool.run.sandbox.as_ref().and_then(|name| view.sandbox(name)) else { continue };
        let Some(program) = &first.value else {
            let message = format!("tool `{}` lets its caller choose the program", tool.name);
            out.push(Diagnostic::new(CODE, at, message).with_help("begin `argv` with a fixed `{value: /path}`"));
            continue;
        };
        let seen = sandbox.filesystem.read_only.iter().any(|root| super::below(program, root));
        if !seen {
            let message = format!("`{program}` is not among the files of sandbox `{}`", sandbox.name);
            let help = "name an absolute path below one of the sandbox's `readOnly` paths";
            out.push(Diagnostic::new(CODE, at, message).with_help(help));
        }
    }
}
