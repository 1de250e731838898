//! Tools and the rules over their calls. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
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
//! ```
//!
//! ```text
//! error[BW0503] at spec.tools: `tools` is not enforced yet
//! ```
//!
//! ```yaml passes
//! isolation:
//!   serviceAccountToken: Forbidden
//! ```

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// Tools are not enforced yet.
pub const CODE: Code = Code::new("BW0503", "tools are not enforced yet", Severity::Error, include_str!("bw0503_tools.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    if view.spec.tools.is_some() {
        let at = FieldPath::spec().member("tools");
        out.push(Diagnostic::new(CODE, at, "`tools` is not enforced yet").about_key());
    }
}
