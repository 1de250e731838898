//! Of some members exactly one must be there, or one that says something, or one needs another.
//!
//! ```yaml
//! to: {hosts: [example.org], cidr: 192.0.2.0/24}    # one peer, two descriptions
//! ```
//!
//! Keep those that the message names; write two rules where you mean both. Of labels, an empty list is as good as none:
//! `label: {add: []}` changes nothing.
//!
//! Remedy: keep exactly the members that the message asks for; where you mean both, write two entries

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Members that do not go together.
pub const CODE: Code = Code::new("BW0113", "members that do not go together", Severity::Error, include_str!("bw0113_members.rs"));

/// Lists of labels that are there, as the schema asks for, and of which nothing becomes because both are empty.
pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.tool_rules() {
        if rule.label.as_ref().is_some_and(|label| label.add.is_empty() && label.remove.is_empty()) {
            let message = "at least one of `add`, `remove` must be there and not empty";
            let found = Diagnostic::new(CODE, at.member("label"), message);
            out.push(found.with_help("name a label, or take the rule out"));
        }
    }
}
