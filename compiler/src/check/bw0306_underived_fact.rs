//! Facts are taken from the arguments that a tool's `derive` names. For a tool that derives nothing of the kind the fact is opaque, and a
//! condition that reads it is an error: a grant that never grants, a restriction that denies every call. A rule over many tools may
//! ask `isOpaque(facts.url)` first.
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
//!   - {name: public, tools: [files.read], when: "!facts.url.isPrivate", allow: {}}
//! ```
//!
//! ```text
//! error[BW0306] at spec.tools.rules[0].when (1..10): tool `files.read` derives no `facts.url`, so the condition is an error for it
//!   help: add `derive: [{url: ARGUMENT}]` to the tool, or name other tools
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
//!     derive: [{path: file}]
//!   rules:
//!   - {name: readable, tools: [files.read], when: "!isOpaque(facts.path)", allow: {}}
//! ```
//!
//! Remedy: add the `derive` entry to the tool, or name other tools

use crate::diagnostic::{Code, Severity};

/// Fact that the tool does not derive.
pub const CODE: Code =
    Code::new("BW0306", "fact that the tool does not derive", Severity::Error, include_str!("bw0306_underived_fact.rs"));
