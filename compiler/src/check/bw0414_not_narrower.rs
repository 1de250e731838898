//! `narrow` makes a call run in another sandbox, which must provably allow no more than the tool's own: files, areas that
//! can be written, network, system calls, limits and how they are held. Pool, runtime, environment and workspace are the same, and paths of `readOnly`
//! are some of those of the tool's own: one below them can be a link that leads out. It is looked at once all packs are met, since another one may have
//! tightened the tool's own sandbox. The executor's own tools run in no sandbox of a pack, so nothing is narrower.
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
//! - name: quiet
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin, /etc], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//!   rules:
//!   - {name: quieter, tools: [files.read], narrow: {sandbox: quiet}}
//! ```
//!
//! ```text
//! error[BW0414] at spec.tools.rules[0].narrow.sandbox: sandbox `quiet` is not narrower than `shell`: it reads other files
//!   help: make the named sandbox allow no more than the tool's own, or name another one
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
//! - name: quiet
//!   pool: warm
//!   filesystem: {readOnly: [/bin]}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//!   rules:
//!   - {name: quieter, tools: [files.read], narrow: {sandbox: quiet}}
//! ```
//!
//! Remedy: make the named sandbox allow no more than the tool's own, or name another one

use crate::diagnostic::{Code, Severity};

/// A sandbox that is not narrower.
pub const CODE: Code = Code::new("BW0414", "a sandbox that is not narrower", Severity::Error, include_str!("bw0414_not_narrower.rs"));
