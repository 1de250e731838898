//! Sandboxes are what tools run in. It is read and checked, but not enforced yet, and what is accepted is enforced: so
//! it is refused until then.
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
//! ```
//!
//! ```text
//! error[BW0502] at spec.sandboxes: `sandboxes` is not enforced yet
//! ```
//!
//! ```yaml passes
//! isolation:
//!   serviceAccountToken: Forbidden
//! ```

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// Sandboxes are not enforced yet.
pub const CODE: Code = Code::new("BW0502", "sandboxes are not enforced yet", Severity::Error, include_str!("bw0502_sandboxes.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    if view.spec.sandboxes.is_some() {
        let at = FieldPath::spec().member("sandboxes");
        out.push(Diagnostic::new(CODE, at, "`sandboxes` is not enforced yet").about_key());
    }
}
