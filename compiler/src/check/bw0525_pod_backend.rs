//! A pool in which the pod itself is the sandbox. It is read and checked, but nothing runs calls in such pods yet, and what is accepted is
//! enforced: so it is refused until then.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Pod, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! ```text
//! error[BW0525] at spec.pools[0].backend: `backend: Pod` is not enforced yet
//!   help: write `backend: Native`
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! Remedy: write `backend: Native`

use bailiwick_crds::sandbox::Backend;

use super::View;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;

/// Pools of pods are not enforced yet.
pub const CODE: Code =
    Code::new("BW0525", "pools of pods are not enforced yet", Severity::Error, include_str!("bw0525_pod_backend.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (index, pool) in view.spec.pools.iter().flatten().enumerate() {
        if pool.backend == Backend::Pod {
            let at = FieldPath::spec().member("pools").index(index).member("backend");
            let diagnostic = Diagnostic::new(CODE, at, "`backend: Pod` is not enforced yet");
            out.push(diagnostic.with_help("write `backend: Native`"));
        }
    }
}
