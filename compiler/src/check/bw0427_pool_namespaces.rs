//! The namespaces of a pool hold the executor's pods, at the pool's own Pod Security level. A subject that selects them too
//! puts them under the level and the rules that are meant for agents, and refuses the pool. A pool's namespaces have the label
//! `bailiwick.dev/pool` with the pool's name, `kubernetes.io/metadata.name`, and the labels of Pod Security, and need have no
//! other: a selector that does not ask for another label selects them.
//!
//! ```yaml fails
//! subjects:
//!   namespaces: {selector: {matchExpressions: [{key: zone, operator: NotIn, values: [system]}]}}
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! ```text
//! error[BW0427] at spec.subjects.namespaces.selector: this selects the namespaces of pool `warm` too
//!   help: add `{key: bailiwick.dev/pool, operator: DoesNotExist}` to its matchExpressions, or ask for a label of the governed namespaces
//! ```
//!
//! ```yaml passes
//! subjects:
//!   namespaces:
//!     selector:
//!       matchExpressions:
//!       - {key: zone, operator: NotIn, values: [system]}
//!       - {key: bailiwick.dev/pool, operator: DoesNotExist}
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! ```
//!
//! Remedy: add `{key: bailiwick.dev/pool, operator: DoesNotExist}` to its matchExpressions, or ask for a label of the governed namespaces

use std::collections::BTreeMap;

use bailiwick_policy::policy::LabelSelector;

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use crate::reach::labels::Labels;
use super::View;

/// Subject that selects a pool's namespaces.
pub const CODE: Code = Code::new("BW0427", "subject that selects a pool's namespaces", Severity::Error, include_str!("bw0427_pool_namespaces.rs"));

/// The label of a pool's namespaces; its value is the pool's name.
pub const POOL_LABEL: &str = "bailiwick.dev/pool";

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let Some(subject) = &view.policy.subject else { return };
    let pools = view.family().flat_map(|spec| spec.pools.iter().flatten());
    for pool in pools {
        // One that is named as its pool, for want of a better name: of the name only `Exists` and `NotIn` can be told here.
        let own = [POOL_LABEL, "kubernetes.io/metadata.name"].map(|key| (key.to_owned(), pool.name.clone()));
        let mut labels = BTreeMap::from(own);
        for mode in ["enforce", "warn", "audit"] {
            let key = format!("pod-security.kubernetes.io/{mode}");
            labels.insert(format!("{key}-version"), pool.pod_security.version.to_string());
            labels.insert(key, pool.pod_security.level.as_str().to_lowercase());
        }
        if subject.namespaces.iter().all(|selector| selects(selector, &labels)) {
            let at = FieldPath::spec().member("subjects").member("namespaces").member("selector");
            let message = format!("this selects the namespaces of pool `{}` too", pool.name);
            let help = format!("add `{{key: {POOL_LABEL}, operator: DoesNotExist}}` to its matchExpressions, or ask for a label of the governed namespaces");
            out.push(Diagnostic::new(CODE, at, message).with_help(help));
        }
    }
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    Labels::all_of([selector]).is_some_and(|set| set.matches(labels))
}
