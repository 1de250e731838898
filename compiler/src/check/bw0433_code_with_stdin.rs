//! Source text is given to the runtime on standard input, because one argument of a command is limited to 128 KiB (execve(2)). So a
//! tool that runs `code` has no standard input left for its caller.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: python
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Python}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   runtime: {language: Python}
//! tools:
//!   definitions:
//!   - name: python.run
//!     input: {type: object, additionalProperties: false, properties: {code: {type: string}}}
//!     run: {sandbox: python, code: {arg: code}}
//!     stdin: Stream
//! ```
//!
//! ```text
//! error[BW0433] at spec.tools.definitions[0].stdin: tool `python.run` gets its source text on standard input, so that its caller cannot write there
//!   help: leave `stdin` out and take the data as an argument, or run a program by `argv` that reads both
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: python
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Python}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   runtime: {language: Python}
//! tools:
//!   definitions:
//!   - name: python.run
//!     input: {type: object, additionalProperties: false, properties: {code: {type: string}}}
//!     run: {sandbox: python, code: {arg: code}}
//! ```
//!
//! Remedy: leave `stdin` out and take the data as an argument, or run a program by `argv` that reads both

use bailiwick_crds::tools::Stdin;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Code whose input is streamed.
pub const CODE: Code = Code::new("BW0433", "code whose input is streamed", Severity::Error, include_str!("bw0433_code_with_stdin.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, tool) in view.tools() {
        if tool.run.code.is_some() && tool.stdin == Stdin::Stream {
            let message = format!("tool `{}` gets its source text on standard input, so that its caller cannot write there", tool.name);
            let help = "leave `stdin` out and take the data as an argument, or run a program by `argv` that reads both";
            out.push(Diagnostic::new(CODE, at.member("stdin"), message).with_help(help));
        }
    }
}
