//! `run.code` gives source text to the sandbox's warm runtime. A sandbox without `runtime` has none, and runs programs
//! by `argv`.
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
//!     run: {sandbox: shell, code: {arg: file}}
//! ```
//!
//! ```text
//! error[BW0422] at spec.tools.definitions[0].run.code: sandbox `shell` has no runtime that could run code
//!   help: give the sandbox `runtime`
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
//!   syscalls: {profile: Python}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//!   runtime: {language: Python}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, code: {arg: file}}
//! ```
//!
//! Remedy: give the sandbox `runtime`

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Code without a runtime.
pub const CODE: Code = Code::new("BW0422", "code without a runtime", Severity::Error, include_str!("bw0422_code_without_runtime.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, tool) in view.tools() {
        let Some(sandbox) = tool.run.sandbox.as_ref().and_then(|name| view.sandbox(name)) else { continue };
        if tool.run.code.is_some() && sandbox.runtime.is_none() {
            let message = format!("sandbox `{}` has no runtime that could run code", sandbox.name);
            out.push(Diagnostic::new(CODE, at.member("run").member("code"), message).with_help("give the sandbox `runtime`"));
        } else if tool.run.code.is_none() && tool.run.argv.is_empty() {
            let message = format!("tool `{}` runs nothing", tool.name);
            out.push(Diagnostic::new(CODE, at.member("run"), message).with_help("give `run` an `argv` or `code`"));
        }
    }
}
