//! The Pod Security Standards, every level at every version from v1.0 to v1.37, judged as the API server's
//! own admission plugin does.
//!
//! Rules and messages are those of Kubernetes' `k8s.io/pod-security-admission/policy` (v0.37.2); in addition,
//! each violation names the fields at fault and a remedy. A pod is judged as given: a caller that wants API
//! defaults applies them first. A value of a type that the API server would reject is a fault of the pod
//! ([`MALFORMED`]): what cannot be understood does not pass.
//!
//! One pass over the pod collects *hits* (a check and one field at fault); violations are hits grouped by
//! check, in the order in which Kubernetes reports them. A pod without faults costs no allocation.
//!
//! ```text
//! checks (which apply) ─┐
//! pod ► walk ► container, security_context ► hits ► message ► violations
//! ```

mod checks;
mod container;
mod message;
mod security_context;
pub mod tables;
mod walk;

use crate::json::Json;
use crate::policy::PodSecurity;
use checks::Checks;
use walk::Walk;

/// The check of a violation by a pod whose shape cannot be judged.
pub const MALFORMED: &str = "malformed";

/// A check that a pod does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Kubernetes' name of the check, such as `capabilities_restricted`, or [`MALFORMED`].
    pub check: &'static str,
    /// Kubernetes' reason and detail, such as `privileged (container "a" must not set
    /// securityContext.privileged=true)`.
    pub message: String,
    /// Every field at fault, set or missing, such as `spec.initContainers[1].securityContext.privileged`.
    pub fields: Vec<String>,
    /// What the pod's author can do.
    pub remedy: &'static str,
}

/// Judges a pod, or anything else with `metadata` and `spec` of a pod, such as a pod template.
///
/// A version beyond [`PodSecurity::NEWEST_MINOR`] is judged as that one, as an API server does with unknown
/// versions.
#[must_use]
pub fn evaluate(standard: PodSecurity, pod: &Json<'_>) -> Vec<Violation> {
    let checks = Checks::of(standard);
    if checks.is_empty() {
        return Vec::new();
    }
    let mut walk = Walk::new(standard.minor.min(PodSecurity::NEWEST_MINOR), checks);
    walk.pod(pod);
    message::violations(walk)
}

/// The names of the checks that a standard requires, in the order of their reports.
pub fn checks(standard: PodSecurity) -> impl Iterator<Item = &'static str> {
    let active = Checks::of(standard);
    checks::ALL.iter().filter(move |check| active.has(check.check)).map(|check| check.id)
}

#[cfg(test)]
mod tests;
