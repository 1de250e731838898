//! Tools of MCP servers and HTTP requests. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
//!
//! ```yaml fails
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {http: {method: GET, url: "https://api.example.org/"}}
//! ```
//!
//! ```text
//! error[BW0516] at spec.tools.definitions[0].run.http: `run.http` is not enforced yet
//!   help: write `run.argv` or `run.code`, with a program that speaks to the server
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
//! Remedy: write `run.argv` or `run.code`, with a program that speaks to the server

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Tools elsewhere are not enforced yet.
pub const CODE: Code = Code::new("BW0516", "tools elsewhere are not enforced yet", Severity::Error, include_str!("bw0516_remote_run.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, tool) in view.tools() {
        for (member, there) in [("mcp", tool.run.mcp.is_some()), ("http", tool.run.http.is_some())] {
            if there {
                let message = format!("`run.{member}` is not enforced yet");
                out.push(Diagnostic::new(CODE, at.member("run").member(member), message).about_key());
            }
        }
    }
}
