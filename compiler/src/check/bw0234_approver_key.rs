//! Approvals are Ed25519 signatures. A key is written as SubjectPublicKeyInfo in base64, as most tools print it; other algorithms and keys for
//! which anybody can sign are refused.
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
//!   approvers:
//!   - {name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}
//! ```
//!
//! ```text
//! error[BW0234] at spec.tools.approvers[0].keys[0].ed25519: key `alice` is a key of small order, for which anybody can sign
//!   help: write what `openssl pkey -pubin -outform DER | base64` prints for an Ed25519 key
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
//!   approvers:
//!   - {name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}]}
//! ```
//!
//! Remedy: write what `openssl pkey -pubin -outform DER | base64` prints for an Ed25519 key, with the `id` and `principal` of its owner

use crate::diagnostic::{Code, Severity};

/// Key of an approver that cannot be used.
pub const CODE: Code =
    Code::new("BW0234", "key of an approver that cannot be used", Severity::Error, include_str!("bw0234_approver_key.rs"));
