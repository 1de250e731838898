//! A rule has an effect that its phase does not have. A rule of phase `List` can only `deny`, which hides the tool; one of phase `Result` can
//! `deny`, which withholds what a call gave, redact it by `transform.result` and add labels. Whether a call is granted, counted or changed is for rules of phase `Call`.
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
//!   - {name: example, tools: [files.read], phase: List, allow: {}}
//! ```
//!
//! ```text
//! error[BW0238] at spec.tools.rules[0].allow: a rule of phase `List` has no `allow`
//!   help: take `phase` out, or write the effect into a rule of its own
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
//!   - {name: example, tools: [files.read], phase: List, when: "subject.agent == 'guest'", deny: {}}
//! ```
//!
//! Remedy: take `phase` out, or write the effect into a rule of its own

use bailiwick_crds::tools::{Phase, ToolRule};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Effect of another phase.
pub const CODE: Code = Code::new("BW0238", "effect of another phase", Severity::Error, include_str!("bw0238_effect_of_phase.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.tool_rules() {
        for effect in effects(rule).into_iter().filter(|effect| !has(rule.phase, effect)) {
            let message = format!("a rule of phase `{}` has no `{effect}`", rule.phase.as_str());
            let place = effect.split('.').fold(at.clone(), |at, member| at.member(member));
            out.push(Diagnostic::new(CODE, place, message).about_key());
        }
    }
}

/// The effects that a rule has.
fn effects(rule: &ToolRule) -> Vec<&'static str> {
    let transform = rule.transform.as_ref();
    let label = rule.label.as_ref();
    let all = [
        ("allow", rule.allow.is_some()),
        ("ask", rule.ask.is_some()),
        ("deny", rule.deny.is_some()),
        ("throttle", rule.throttle.is_some()),
        ("narrow", rule.narrow.is_some()),
        ("confirm", rule.confirm.is_some()),
        ("transform.args", transform.is_some_and(|transform| transform.args.is_some())),
        ("transform.result", transform.is_some_and(|transform| transform.result.is_some())),
        ("label.add", label.is_some_and(|label| !label.add.is_empty())),
        ("label.remove", label.is_some_and(|label| !label.remove.is_empty())),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

/// Whether rules of a phase can have an effect.
fn has(phase: Phase, effect: &str) -> bool {
    match phase {
        Phase::Call => effect != "transform.result",
        Phase::Result => matches!(effect, "deny" | "transform.result" | "label.add"),
        Phase::List => effect == "deny",
    }
}
