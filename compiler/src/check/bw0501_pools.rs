//! Pools are where sandboxes run. It is read and checked, but not enforced yet, and what is accepted is enforced: so
//! it is refused until then.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! ```text
//! error[BW0501] at spec.pools: `pools` is not enforced yet
//! ```
//!
//! ```yaml passes
//! isolation:
//!   serviceAccountToken: Forbidden
//! ```

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// Pools are not enforced yet.
pub const CODE: Code = Code::new("BW0501", "pools are not enforced yet", Severity::Error, include_str!("bw0501_pools.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    if view.spec.pools.is_some() {
        let at = FieldPath::spec().member("pools");
        out.push(Diagnostic::new(CODE, at, "`pools` is not enforced yet").about_key());
    }
}
