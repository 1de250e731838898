//! The kind of a pool's RuntimeClass decides which of its controls are inert. The class must be one of
//! `isolation.runtimeClass.classes`, which say the kind.
//!
//! ```yaml fails
//! isolation:
//!   runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}]}
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! ```text
//! error[BW0417] at spec.pools[0].runtimeClass: RuntimeClass `runc` of pool `warm` is not defined
//!   help: there is `gvisor`
//! ```
//!
//! ```yaml passes
//! isolation:
//!   runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}, {name: runc, handler: runc, kind: Runc}]}
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! Remedy: add the class to `isolation.runtimeClass.classes`, or name one of them

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Pool in an unknown RuntimeClass.
pub const CODE: Code = Code::new("BW0417", "pool in an unknown RuntimeClass", Severity::Error, include_str!("bw0417_pool_runtime_class.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let known = view.names(|spec| {
        let rules = spec.isolation.iter().filter_map(|isolation| isolation.runtime_class.as_ref());
        rules.flat_map(|rules| &rules.classes).map(|class| class.name.as_str())
    });
    let at = FieldPath::spec().member("pools");
    for (index, pool) in view.spec.pools.iter().flatten().enumerate() {
        if !known.is_empty() && !known.contains(&pool.runtime_class.as_str()) {
            let message = format!("RuntimeClass `{}` of pool `{}` is not defined", pool.runtime_class, pool.name);
            let diagnostic = Diagnostic::new(CODE, at.index(index).member("runtimeClass"), message);
            out.push(super::suggest(diagnostic, &pool.runtime_class, &known));
        }
    }
}
