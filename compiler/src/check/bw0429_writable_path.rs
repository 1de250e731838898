//! Rules name commands by bare words, as `ls`, and mean the program of the image. When a variable from which programs and libraries are
//! loaded holds a writable, relative or empty entry, a call can put code there that other programs then load.
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
//!   environment: [{name: PYTHONPATH, value: "/usr/lib:lib"}]
//! ```
//!
//! ```text
//! error[BW0429] at spec.sandboxes[0].environment[0].value: `PYTHONPATH` of sandbox `shell` leads to `lib`, which is not read-only
//!   help: name absolute paths below `readOnly`
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
//!   environment: [{name: PYTHONPATH, value: "/usr/lib:/usr/share"}]
//! ```
//!
//! Remedy: name absolute paths below `readOnly`

use super::View;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;

/// Code is loaded from where a call can write.
pub const CODE: Code =
    Code::new("BW0429", "code is loaded from where a call can write", Severity::Error, include_str!("bw0429_writable_path.rs"));

/// Variables with lists of places from which programs run code.
const LISTS: &[&str] = &["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT", "PYTHONPATH"];
/// Variables with one such place.
const PLACES: &[&str] = &["BASH_ENV", "ENV", "PYTHONHOME", "PYTHONSTARTUP"];

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, sandbox) in view.sandboxes() {
        for (index, variable) in sandbox.environment.iter().enumerate() {
            let name = variable.name.as_str();
            let separators: &[char] = match name {
                // The loader takes both, and glibc knows no quoting. ld.so(8)
                "LD_PRELOAD" | "LD_AUDIT" => &[':', ' '],
                "LD_LIBRARY_PATH" => &[':', ';'],
                _ if PLACES.contains(&name) => &[],
                _ => &[':'],
            };
            if !LISTS.contains(&name) && !PLACES.contains(&name) {
                continue;
            }
            let entries: Vec<&str> =
                if separators.is_empty() { vec![&variable.value] } else { variable.value.split(separators).collect() };
            for entry in entries {
                if sandbox.filesystem.read_only.iter().any(|root| super::below(entry, root)) {
                    continue;
                }
                let message = format!("`{name}` of sandbox `{}` leads to `{entry}`, which is not read-only", sandbox.name);
                let at = at.member("environment").index(index).member("value");
                let help = "name absolute paths below `readOnly`";
                out.push(Diagnostic::new(CODE, at, message).with_help(help));
            }
        }
    }
}
