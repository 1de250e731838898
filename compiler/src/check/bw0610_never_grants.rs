//! A grant changes nothing where every call that it matches is denied in any case, where its condition is never true, or where another rule
//! grants all of them already. A restriction whose condition is never true restricts nothing.
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
//!   - {name: readable, tools: [files.read], allow: {}}
//!   - {name: asked, tools: [files.read], ask: {approvers: oncall}}
//!   approvers:
//!   - {name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}]}
//! ```
//!
//! ```text
//! warning[BW0610] at spec.tools.rules[1]: rule `asked` decides nothing: `readable` grants every call that it matches
//!   help: remove the rule, or change its condition
//!   spec.tools.rules[0]: the other rule
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
//!   - {name: readable, tools: [files.read], allow: {}}
//! ```
//!
//! Remedy: remove the rule, or change its condition

use bailiwick_policy::ir::{Const, Expr};
use bailiwick_policy::policy::tools::{RuleEffect, ToolRule};

use super::View;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;

/// Rule that can never decide.
pub const CODE: Code =
    Code::new("BW0610", "rule that can never decide", Severity::Warning, include_str!("bw0610_never_grants.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for layer in &view.policy.tools {
        for rule in &layer.rules {
            let at: FieldPath = rule.at.parse().unwrap_or_default();
            if constant(rule) == Some(false) {
                let at = at.member("when");
                out.push(Diagnostic::new(CODE, at, format!("the condition of rule `{}` is never true", rule.name)));
                continue;
            }
            if !rule.grants() {
                continue;
            }
            let stronger = layer.rules.iter().find(|other| {
                let always = other.is_enforced() && other.phase == rule.phase && other.name != rule.name && constant(other) == Some(true) && covers(other, rule);
                match other.effect {
                    RuleEffect::Deny(_) => always,
                    // Of two grants that are both unconditional the first one stands.
                    // One that gives other arguments decides what the call is.
                    RuleEffect::Allow => {
                        always && rule.transform.is_none() && (constant(rule) != Some(true) || rule.effect != RuleEffect::Allow)
                    }
                    _ => false,
                }
            });
            let Some(other) = stronger else { continue };
            let what = if other.effect == RuleEffect::Allow { "grants" } else { "denies" };
            let message = format!("rule `{}` decides nothing: `{}` {what} every call that it matches", rule.name, other.name);
            let diagnostic = Diagnostic::new(CODE, at, message);
            out.push(diagnostic.with_related(other.at.parse().unwrap_or_default(), "the other rule"));
        }
    }
}

/// The value of a condition that is the same for every call.
pub(crate) fn constant(rule: &ToolRule) -> Option<bool> {
    match &rule.when {
        None => Some(true),
        Some(when) => match when.expr {
            Expr::Const(Const::Bool(value)) => Some(value),
            _ => None,
        },
    }
}

/// Whether every tool that the second rule matches, the first one does.
fn covers(wide: &ToolRule, narrow: &ToolRule) -> bool {
    narrow.tools.iter().all(|inner| wide.tools.iter().any(|outer| outer.covers(inner)))
}
