//! A named expression of a rule that no other expression of the rule reads. It is never evaluated.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     variables: [{name: spec, expression: object.spec}]
//!     validations: [{expression: "has(object.spec)"}]
//! ```
//!
//! ```text
//! warning[BW0604] at spec.admission.rules[0].variables[0].name: nothing reads variable `spec`
//!   help: use the variable in an expression of the rule, or take it out
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     variables: [{name: spec, expression: object.spec}]
//!     validations: [{expression: "has(variables.spec.containers)"}]
//! ```
//!
//! Remedy: use the variable in an expression of the rule, or take it out

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Variable that nothing uses.
pub const CODE: Code = Code::new("BW0604", "variable that nothing uses", Severity::Warning, include_str!("bw0604_unused_variable.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.admission_rules() {
        for (index, variable) in rule.variables.iter().enumerate() {
            let name = format!("variables.{}", variable.name);
            let read = super::expressions(rule).any(|text| reads(text, &name));
            if !read {
                let at = at.member("variables").index(index).member("name");
                out.push(Diagnostic::new(CODE, at, format!("nothing reads variable `{}`", variable.name)));
            }
        }
    }
}

/// Whether the text has this name, not as the beginning of a longer one.
fn reads(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let after = text.get(at.saturating_add(name.len())..).and_then(|rest| rest.chars().next());
        !after.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}
