//! Rules are about tools by name, `prefix.*`, or `*`. Other patterns match nothing. `workspace.*` are the executor's own tools: rules may be
//! about them, definitions may not.
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
//!   - {name: reads, tools: ["files.re*"], allow: {}}
//! ```
//!
//! ```text
//! error[BW0232] at spec.tools.rules[0].tools[0]: `files.re*` is neither a tool's name nor `prefix.*`
//!   help: write `shell.exec`, `shell.*`, or `*` for every tool
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
//!   - {name: reads, tools: ["files.*"], allow: {}}
//! ```
//!
//! Remedy: write a tool's name, `prefix.*`, or `*`

use crate::diagnostic::{Code, Severity};

/// Name of a tool that cannot be used.
pub const CODE: Code =
    Code::new("BW0232", "name of a tool that cannot be used", Severity::Error, include_str!("bw0232_tool_name.rs"));
