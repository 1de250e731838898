//! Level Privileged allows everything: a pod may take over its node, and with it every other control of the pack.
//!
//! ```yaml fails
//! isolation:
//!   podSecurity: {level: Privileged, version: v1.36}
//! ```
//!
//! ```text
//! warning[BW0704] at spec.isolation.podSecurity.level: pods at level Privileged can take over their node
//!   help: use Restricted
//! ```
//!
//! ```yaml passes
//! isolation:
//!   podSecurity: {level: Restricted, version: v1.36}
//! ```
//!
//! Remedy: use Restricted

use bailiwick_crds::pod_security::PodSecurityLevel;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// No Pod Security.
pub const CODE: Code = Code::new("BW0704", "no Pod Security", Severity::Warning, include_str!("bw0704_privileged_level.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let security = view.spec.isolation.as_ref().and_then(|isolation| isolation.pod_security.as_ref());
    if security.is_some_and(|security| security.level == PodSecurityLevel::Privileged) {
        let at = FieldPath::spec().member("isolation").member("podSecurity").member("level");
        out.push(Diagnostic::new(CODE, at, "pods at level Privileged can take over their node").with_help("use Restricted"));
    }
}
