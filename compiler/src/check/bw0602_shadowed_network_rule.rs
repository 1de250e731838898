//! Every connection that this rule allows is allowed by another one already.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: all, to: {cidr: 192.0.2.0/24}, ports: [{port: 1, endPort: 65535}]}
//!   - {name: db, to: {cidr: 192.0.2.0/25}, ports: [{port: 5432}]}
//! ```
//!
//! ```text
//! warning[BW0602] at spec.network.egress[1]: all that this rule allows is allowed by rule `all`
//!   help: remove one of the two
//!   spec.network.egress[0]: the wider rule
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: 443}]}
//!   - {name: db, to: {cidr: 192.0.2.0/25}, ports: [{port: 5432}]}
//! ```
//!
//! Remedy: remove one of the two

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use crate::reach::rules::Rule;
use super::View;

/// Network rule without effect.
pub const CODE: Code = Code::new("BW0602", "network rule without effect", Severity::Warning, include_str!("bw0602_shadowed_network_rule.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let Some(network) = &view.policy.network else { return };
    for (direction, rules) in [("egress", &network.egress), ("ingress", &network.ingress)] {
        let sets: Vec<Rule> = rules.iter().map(Rule::of).collect();
        for (index, set) in sets.iter().enumerate() {
            let other = sets.iter().enumerate().find(|(at, other)| {
                *at != index && other.includes(set) && (*at < index || !set.includes(other))
            });
            let Some((at, other)) = other.filter(|_| !set.is_empty()) else { continue };
            let path = FieldPath::spec().member("network").member(direction);
            let message = format!("all that this rule allows is allowed by rule `{}`", other.name());
            let diagnostic = Diagnostic::new(CODE, path.index(index), message).with_help("remove one of the two");
            out.push(diagnostic.with_related(path.index(at), "the wider rule"));
        }
    }
}
