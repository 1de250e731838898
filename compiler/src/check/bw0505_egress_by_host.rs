//! Egress by host name needs the proxy. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: index, to: {hosts: [packages.example.org]}, ports: [{port: 443}]}
//!   proxy: Gateway
//! ```
//!
//! ```text
//! error[BW0505] at spec.network.egress[0].to.hosts: egress rule `index` is by host, which is not enforced yet
//!   help: until then name networks (`cidr`) or pods
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: web, to: {namespaces: {matchLabels: {team: web}}}, ports: [{port: 443}]}
//! ```
//!
//! Remedy: until it is enforced, name networks (`cidr`) or pods

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Egress by host is not enforced yet.
pub const CODE: Code = Code::new("BW0505", "egress by host is not enforced yet", Severity::Error, include_str!("bw0505_egress_by_host.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.egress() {
        if rule.to.hosts.is_some() {
            let message = format!("egress rule `{}` is by host, which is not enforced yet", rule.name);
            let diagnostic = Diagnostic::new(CODE, at.member("to").member("hosts"), message);
            out.push(diagnostic.with_help("until then name networks (`cidr`) or pods"));
        }
    }
}
