//! A pack that governs nobody and is extended by nobody, a rule that only writes audit annotations: this one has
//! sections but constrains nothing.
//!
//! ```yaml fails
//! description: nothing
//! ```
//!
//! ```text
//! warning[BW0607] at spec: this pack constrains nothing
//!   help: add a section: isolation, network, images, admission, sandboxes or tools
//! ```
//!
//! ```yaml passes
//! isolation:
//!   serviceAccountToken: Forbidden
//! ```
//!
//! Remedy: add a section: isolation, network, images, admission, sandboxes or tools

use super::View;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;

/// Rule without effect.
pub const CODE: Code =
    Code::new("BW0607", "rule without effect", Severity::Warning, include_str!("bw0607_no_effect.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let spec = view.spec;
    let rules = spec.admission.as_ref().is_some_and(|admission| !admission.rules.is_empty());
    let sections = spec.isolation.is_some() || spec.network.is_some() || spec.images.is_some() || rules;
    let calls =
        spec.pools.is_some() || spec.sandboxes.is_some() || spec.tools.is_some() || spec.audit.is_some();
    if !sections && !calls && spec.extends.is_empty() {
        let diagnostic = Diagnostic::new(CODE, FieldPath::spec(), "this pack constrains nothing");
        out.push(
            diagnostic.with_help("add a section: isolation, network, images, admission, sandboxes or tools"),
        );
    }
}
