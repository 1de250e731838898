//! No NetworkPolicy knows host names; a proxy carries connections by host. Without `network.proxy` nothing does, and
//! the rule allows nothing.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: index, to: {hosts: [packages.example.org]}, ports: [{port: 443}]}
//! ```
//!
//! ```text
//! error[BW0403] at spec.network.egress[0].to.hosts: egress rule `index` is by host, but there is no proxy that could carry it
//!   help: name networks (`cidr`) or pods, since egress by host is not supported (BW0505)
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: index, to: {hosts: [packages.example.org]}, ports: [{port: 443}]}
//!   proxy: Gateway
//! ```
//!
//! Remedy: name networks (`cidr`) or pods, since egress by host is not supported (BW0505)

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// Hosts without a proxy.
pub const CODE: Code = Code::new("BW0403", "hosts without a proxy", Severity::Error, include_str!("bw0403_hosts_without_proxy.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let proxied = view.family().any(|spec| spec.network.as_ref().is_some_and(|network| network.proxy.is_some()));
    for (at, rule) in view.egress() {
        if rule.to.hosts.is_some() && !proxied {
            let message = format!("egress rule `{}` is by host, but there is no proxy that could carry it", rule.name);
            let diagnostic = Diagnostic::new(CODE, at.member("to").member("hosts"), message);
            out.push(diagnostic.with_help("name networks (`cidr`) or pods, since egress by host is not supported (BW0505)"));
        }
    }
}
