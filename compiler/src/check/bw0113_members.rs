//! Of some members exactly one must be there, or one that says something, or one needs another.
//!
//! ```yaml
//! to: {hosts: [example.org], cidr: 192.0.2.0/24}    # one peer, two descriptions
//! ```
//!
//! Keep those that the message names; write two rules where you mean both. Where at least one must be there, an empty list is
//! as good as none: `label: {add: []}` changes nothing.
//!
//! Remedy: keep exactly the members that the message asks for; where you mean both, write two entries

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Members that do not go together.
pub const CODE: Code = Code::new("BW0113", "members that do not go together", Severity::Error, include_str!("bw0113_members.rs"));

/// Lists that are there, as the schema asks for, and of which nothing becomes because all of them are empty.
pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let labels = view.tool_rules().filter_map(|(at, rule)| {
        let empty = rule.label.as_ref().is_some_and(|label| label.add.is_empty() && label.remove.is_empty());
        empty.then(|| (at.member("label"), "`add`, `remove`"))
    });
    let rules = view.admission_rules().filter_map(|(at, rule)| {
        let says = !rule.validations.is_empty() || !rule.mutations.is_empty() || rule.rego.is_some();
        let empty = !says && rule.audit_annotations.is_empty();
        empty.then_some((at, "`validations`, `mutations`, `rego`"))
    });
    for (at, members) in labels.chain(rules) {
        let message = format!("at least one of {members} must be there and not empty");
        out.push(Diagnostic::new(CODE, at, message).with_help("write what the rule is for, or take the rule out"));
    }
}
