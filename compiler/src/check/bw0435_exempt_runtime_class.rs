//! The cluster's Pod Security admission exempts the RuntimeClass of a pool, as the pack says itself: the level on the labels of the pool's
//! namespaces then holds none of its pods. Of governed pods webhook and admission policy check the level one by one, exempted or not; of a pool's
//! pods only the labels do.
//!
//! ```yaml fails
//! isolation:
//!   runtimeClass: {classes: [{name: runc, handler: runc, kind: Runc, podSecurityExempt: true}]}
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! ```text
//! error[BW0435] at spec.pools[0].podSecurity: Pod Security exempts RuntimeClass `runc`, so it holds no pod of pool `warm` to level Baseline
//!   help: take a class that is not exempted, or remove the exemption from the cluster's configuration
//! ```
//!
//! ```yaml passes
//! isolation:
//!   runtimeClass: {classes: [{name: runc, handler: runc, kind: Runc}]}
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! Remedy: take a class that is not exempted, or remove the exemption from the cluster's configuration

use bailiwick_crds::pod_security::PodSecurityLevel;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// RuntimeClass exempted from Pod Security.
pub const CODE: Code = Code::new("BW0435", "RuntimeClass exempted from Pod Security", Severity::Error, include_str!("bw0435_exempt_runtime_class.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let at = FieldPath::spec().member("pools");
    for (index, pool) in view.spec.pools.iter().flatten().enumerate() {
        let (class, level) = (&pool.runtime_class, pool.pod_security.level);
        let exempt = view.runtime_classes(class).any(|class| class.pod_security_exempt);
        if exempt && level != PodSecurityLevel::Privileged {
            let message = format!("Pod Security exempts RuntimeClass `{class}`, so it holds no pod of pool `{}` to level {level:?}", pool.name);
            let help = "take a class that is not exempted, or remove the exemption from the cluster's configuration";
            out.push(Diagnostic::new(CODE, at.index(index).member("podSecurity"), message).with_help(help));
        }
    }
}
