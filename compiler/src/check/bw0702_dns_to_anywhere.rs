//! A port-53 rule to a wide network is a way out for data: any name server will carry it. Name the cluster's
//! resolvers.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: dns, to: {cidr: 192.0.0.0/8}, ports: [{port: 53, protocol: UDP}]}
//! ```
//!
//! ```text
//! warning[BW0702] at spec.network.egress[0].ports: egress rule `dns` lets DNS out to a wide network
//!   help: name the resolvers' addresses or pods
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: dns, to: {cidr: 192.0.2.10/32}, ports: [{port: 53, protocol: UDP}]}
//! ```
//!
//! Remedy: name the resolvers' addresses or pods

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::reach::cidr::{Cidr, Family};
use super::View;

/// DNS to anywhere.
pub const CODE: Code = Code::new("BW0702", "DNS to anywhere", Severity::Warning, include_str!("bw0702_dns_to_anywhere.rs"));

/// A network of more addresses than this many bits of host part is no list of resolvers.
const HOST_BITS: u8 = 8;

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.egress() {
        let wide = rule.to.cidr.as_ref().and_then(|text| Cidr::parse(text.as_str()).ok()).is_some_and(|network| {
            let width = if network.family() == Family::V4 { 32 } else { 128 };
            width - network.length() > HOST_BITS
        });
        let dns = rule.ports.iter().any(|port| port.port <= 53 && 53 <= port.end_port.unwrap_or(port.port));
        if wide && dns {
            let message = format!("egress rule `{}` lets DNS out to a wide network", rule.name);
            out.push(Diagnostic::new(CODE, at.member("ports"), message).with_help("name the resolvers' addresses or pods"));
        }
    }
}
