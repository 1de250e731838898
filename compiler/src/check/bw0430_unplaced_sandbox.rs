//! A sandbox without `pool` is a ceiling: it bounds the sandbox of the same name in the packs that extend this one. A tool needs one that
//! some pack places in a pool.
//!
//! ```yaml parent
//! sandboxes:
//! - name: shell
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
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
//! error[BW0430] at spec.tools.definitions[0].run.sandbox: sandbox `shell` is only a ceiling: no pack here gives it a pool
//!   help: define the sandbox in this pack, with the pool that it runs in
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
//! Remedy: define the sandbox in this pack, with the pool that it runs in

use crate::diagnostic::{Code, Severity};

/// Tool in a sandbox without a pool.
pub const CODE: Code =
    Code::new("BW0430", "tool in a sandbox without a pool", Severity::Error, include_str!("bw0430_unplaced_sandbox.rs"));
