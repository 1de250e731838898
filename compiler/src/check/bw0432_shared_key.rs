//! A key in two entries of a group. Under two persons, one signature would count as two approvals; under one, it says nothing more.
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
//!     otherwise: {ask: {approvers: oncall, quorum: 1}}
//!   approvers:
//!   - name: oncall
//!     keys:
//!     - {id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}
//!     - {id: bob, principal: bob@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}
//! ```
//!
//! ```text
//! error[BW0432] at spec.tools.approvers[0].keys[1].ed25519: key `bob` is in group `oncall` twice
//!   help: each person signs with a key of their own
//!   spec.tools.approvers[0].keys[0]: the same key
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
//!     otherwise: {ask: {approvers: oncall, quorum: 1}}
//!   approvers:
//!   - name: oncall
//!     keys:
//!     - {id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}
//!     - {id: bob, principal: bob@example.org, ed25519: "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
//! ```
//!
//! Remedy: give each person a key of their own

use super::View;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;

/// One key twice.
pub const CODE: Code =
    Code::new("BW0432", "one key twice", Severity::Error, include_str!("bw0432_shared_key.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let at = FieldPath::spec().member("tools").member("approvers");
    for (group_index, group) in view.spec.tools.iter().flat_map(|tools| &tools.approvers).enumerate() {
        let at = at.index(group_index).member("keys");
        for (index, key) in group.keys.iter().enumerate() {
            let Some(first) = group.keys.iter().take(index).position(|one| one.ed25519 == key.ed25519) else { continue };
            let message = format!("key `{}` is in group `{}` twice", key.id, group.name);
            let diagnostic = Diagnostic::new(CODE, at.index(index).member("ed25519"), message)
                .with_help("each person signs with a key of their own");
            out.push(diagnostic.with_related(at.index(first), "the same key"));
        }
    }
}
