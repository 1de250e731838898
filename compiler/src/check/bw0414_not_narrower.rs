//! `narrow` makes a call run in another sandbox, which must provably allow no more than the tool's own: files,
//! network, system calls, limits.
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
//!   filesystem: {readOnly: [/usr/bin, /bin]}
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

use bailiwick_crds::sandbox::Sandbox;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// A sandbox that is not narrower.
pub const CODE: Code = Code::new("BW0414", "a sandbox that is not narrower", Severity::Error, include_str!("bw0414_not_narrower.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let at = FieldPath::spec().member("tools").member("rules");
    for (index, rule) in view.spec.tools.iter().flat_map(|tools| &tools.rules).enumerate() {
        let Some(inner) = rule.narrow.as_ref().and_then(|narrow| view.sandbox(&narrow.sandbox)) else { continue };
        let tools = view.tools().map(|(_, tool)| tool).filter(|tool| rule.tools.iter().any(|pattern| names(pattern, &tool.name)));
        let outer = tools.filter_map(|tool| view.sandbox(tool.run.sandbox.as_ref()?));
        for outer in outer {
            if let Some(what) = wider(inner, outer) {
                let message = format!("sandbox `{}` is not narrower than `{}`: {what}", inner.name, outer.name);
                let at = at.index(index).member("narrow").member("sandbox");
                out.push(Diagnostic::new(CODE, at, message));
            }
        }
    }
}

fn names(pattern: &str, tool: &str) -> bool {
    pattern == tool || pattern.strip_suffix('*').is_some_and(|prefix| tool.starts_with(prefix))
}

/// The first thing in which `inner` allows more than `outer`, or cannot be compared.
fn wider(inner: &Sandbox, outer: &Sandbox) -> Option<&'static str> {
    let (a, b) = (&inner.filesystem, &outer.filesystem);
    let covered = |path: &String, roots: &[String]| roots.iter().any(|root| super::below(path, root));
    if !a.read_only.iter().all(|path| covered(path, &b.read_only)) {
        return Some("it reads other files");
    }
    let writes = a.writable.iter().all(|one| b.writable.iter().any(|other| one.path == other.path && !super::exceeds(&one.size, &other.size)));
    let workspace = match (&a.workspace, &b.workspace) {
        (None, _) => true,
        (Some(one), Some(other)) => one.path == other.path && !super::exceeds(&one.size, &other.size),
        (Some(_), None) => false,
    };
    if !writes || !workspace || a.proc > b.proc || !a.devices.iter().all(|device| b.devices.contains(device)) {
        return Some("it writes other files or sees other devices");
    }
    let reach = |sandbox: &Sandbox| sandbox.network.iter().flat_map(|network| network.egress.clone()).collect::<Vec<_>>();
    if !reach(inner).iter().all(|rule| reach(outer).contains(rule)) {
        return Some("it reaches other hosts");
    }
    let (calls, more) = (&inner.syscalls, &outer.syscalls);
    let fewer = calls.profile == more.profile
        && calls.add.iter().all(|call| more.add.contains(call))
        && more.remove.iter().all(|call| calls.remove.contains(call));
    if !fewer {
        return Some("its system calls are others");
    }
    let (few, many) = (&inner.limits, &outer.limits);
    let longer = super::nanos(&few.wall_clock) > super::nanos(&many.wall_clock);
    let larger = super::exceeds(&few.memory, &many.memory) || super::exceeds(&few.output, &many.output);
    (longer || larger || few.processes > many.processes).then_some("its limits are higher")
}
