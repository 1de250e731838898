//! A rule or question names a group of approvers, a throttle a counter, a tool or rule a label, that the pack does not define. Packs are decided
//! separately: each asks its own approvers, counts for itself and has labels of its own, also when it extends another one.
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
//!     otherwise: {ask: {approvers: oncall}}
//! ```
//!
//! ```text
//! error[BW0228] at spec.tools.definitions[0].otherwise.ask.approvers: group of approvers `oncall` is not defined in this pack
//!   help: define it in this pack, under `tools.approvers` or `tools.state`
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
//!     otherwise: {deny: {remedy: ask the owner}}
//! ```
//!
//! Remedy: define it in this pack, under `tools.approvers` or `tools.state`

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Undefined name.
pub const CODE: Code = Code::new("BW0228", "undefined name", Severity::Error, include_str!("bw0228_reference.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let Some(tools) = &view.spec.tools else { return };
    let at = FieldPath::spec().member("tools");
    let groups: Vec<&str> = tools.approvers.iter().map(|group| group.name.as_str()).collect();
    let counters = tools.state.iter().flat_map(|state| &state.counters).map(|counter| counter.name.as_str());
    let counters: Vec<&str> = counters.collect();
    let labels = tools.state.iter().flat_map(|state| &state.labels).map(|label| label.name.as_str());
    let labels: Vec<&str> = labels.collect();
    let mut unknown = |what: &str, name: &str, known: &[&str], at: FieldPath| {
        if !known.contains(&name) {
            let diagnostic = Diagnostic::new(CODE, at, format!("{what} `{name}` is not defined in this pack"));
            out.push(super::suggest(diagnostic, name, known));
        }
    };
    for (index, tool) in tools.definitions.iter().enumerate() {
        if let Some(ask) = tool.otherwise.as_ref().and_then(|otherwise| otherwise.ask.as_ref()) {
            let at = at.member("definitions").index(index).member("otherwise").member("ask").member("approvers");
            unknown("group of approvers", &ask.approvers, &groups, at);
        }
        for (position, name) in tool.may_add.iter().enumerate() {
            let at = at.member("definitions").index(index).member("mayAdd").index(position);
            unknown("label", name, &labels, at);
        }
    }
    for (index, rule) in tools.rules.iter().enumerate() {
        let at = at.member("rules").index(index);
        for (member, ask) in [("ask", &rule.ask), ("confirm", &rule.confirm)] {
            if let Some(ask) = ask {
                unknown("group of approvers", &ask.approvers, &groups, at.member(member).member("approvers"));
            }
        }
        if let Some(throttle) = &rule.throttle {
            unknown("counter", &throttle.counter, &counters, at.member("throttle").member("counter"));
        }
        let changed = rule.label.iter().flat_map(|labels| [("add", &labels.add), ("remove", &labels.remove)]);
        for (member, names) in changed {
            for (position, name) in names.iter().enumerate() {
                unknown("label", name, &labels, at.member("label").member(member).index(position));
            }
        }
    }
}
