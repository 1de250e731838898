//! `transform.args` gives a call that the same rule grants other arguments: it stands beside `allow` or `ask`. A rule that
//! restricts has no arguments to give. Nor has `transform.result` an effect beside `deny`, which withholds all of the result.
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
//!   - {name: plain, tools: [files.read], confirm: {approvers: oncall}, transform: {args: "{'file': 'notes.txt'}"}}
//!   approvers: [{name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}]}]
//! ```
//!
//! ```text
//! error[BW0434] at spec.tools.rules[0].transform: rule `plain` grants no call, so there is none whose arguments it could change
//!   help: write `allow` or `ask` beside `transform`, or take it out
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
//!   - {name: plain, tools: [files.read], allow: {}, transform: {args: "{'file': 'notes.txt'}"}}
//!   approvers: [{name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}]}]
//! ```
//!
//! Remedy: write `allow` or `ask` beside `transform`, or take it out

use bailiwick_crds::tools::Phase;

use super::View;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;

/// A transform without a grant.
pub const CODE: Code = Code::new(
    "BW0434",
    "transform without a grant",
    Severity::Error,
    include_str!("bw0434_transform_without_grant.rs"),
);

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.tool_rules() {
        let gives = rule.transform.as_ref().is_some_and(|transform| transform.args.is_some());
        if gives && rule.allow.is_none() && rule.ask.is_none() {
            let message = format!("rule `{}` grants no call, so there is none whose arguments it could change", rule.name);
            out.push(Diagnostic::new(CODE, at.member("transform"), message).about_key());
        }
        let redacts = rule.transform.as_ref().is_some_and(|transform| transform.result.is_some());
        if redacts && rule.phase == Phase::Result && rule.deny.is_some() {
            let message = format!("rule `{}` withholds the result, so nothing of it is left to change", rule.name);
            let found = Diagnostic::new(CODE, at.member("transform"), message).about_key();
            out.push(found.with_help("take it out, or write it into a rule of its own"));
        }
    }
}
