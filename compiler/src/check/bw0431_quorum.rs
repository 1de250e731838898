//! A quorum counts persons, not keys: two keys of one person are one approval. The group has fewer persons than are asked for, so the
//! question can never be answered.
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
//!     otherwise: {ask: {approvers: oncall, quorum: 2}}
//!   approvers:
//!   - name: oncall
//!     keys:
//!     - {id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}
//!     - {id: alice-spare, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
//! ```
//!
//! ```text
//! error[BW0431] at spec.tools.definitions[0].otherwise.ask.quorum: 2 persons are to approve, and `oncall` has 1
//!   help: add keys of other persons
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
//!     otherwise: {ask: {approvers: oncall, quorum: 2}}
//!   approvers:
//!   - name: oncall
//!     keys:
//!     - {id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}
//!     - {id: bob, principal: bob@example.org, ed25519: "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
//! ```
//!
//! Remedy: add keys of other persons, or lower the quorum

use std::collections::BTreeSet;

use super::View;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;

/// Quorum that nobody can reach.
pub const CODE: Code =
    Code::new("BW0431", "quorum that nobody can reach", Severity::Error, include_str!("bw0431_quorum.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let Some(tools) = &view.spec.tools else { return };
    let rules = view.tool_rules().flat_map(|(at, rule)| {
        let ask = rule.ask.as_ref().map(|ask| (at.member("ask"), ask));
        ask.into_iter().chain(rule.confirm.as_ref().map(|ask| (at.member("confirm"), ask)))
    });
    let otherwise = view.tools().filter_map(|(at, tool)| {
        Some((at.member("otherwise").member("ask"), tool.otherwise.as_ref()?.ask.as_ref()?))
    });
    for (at, ask) in rules.chain(otherwise) {
        let Some(group) = tools.approvers.iter().find(|group| group.name == ask.approvers) else { continue };
        let persons: BTreeSet<&str> = group.keys.iter().map(|key| key.principal.as_str()).collect();
        let wanted = ask.quorum.unwrap_or(1);
        if usize::try_from(wanted).is_ok_and(|wanted| wanted > persons.len()) {
            let message = format!("{wanted} persons are to approve, and `{}` has {}", group.name, persons.len());
            out.push(Diagnostic::new(CODE, at.member("quorum"), message).with_help("add keys of other persons"));
        }
    }
}
