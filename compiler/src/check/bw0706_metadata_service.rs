//! The address is that of a cloud's metadata service, which hands out the node's credentials. No pod under policy may
//! reach it; who needs credentials uses workload identity.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: imds, to: {cidr: 169.254.169.254/32}, ports: [{port: 80}]}
//!   - {name: google, to: {cidr: "fd20:ce::254/128"}, ports: [{port: 80}]}
//! ```
//!
//! ```text
//! error[BW0706] at spec.network.egress[0].to.cidr: egress rule `imds` reaches a cloud's metadata service
//!   help: take the address out, and give pods credentials by workload identity
//! error[BW0706] at spec.network.egress[1].to.cidr: egress rule `google` reaches a cloud's metadata service
//!   help: take the address out, and give pods credentials by workload identity
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: dns, to: {cidr: 169.254.20.10/32}, ports: [{port: 53, protocol: UDP}]}
//! ```
//!
//! Remedy: take the address out, and give pods credentials by workload identity

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::reach::cidr::Cidr;
use super::View;

/// Egress to a metadata service.
pub const CODE: Code = Code::new("BW0706", "egress to a metadata service", Severity::Error, include_str!("bw0706_metadata_service.rs"));

/// Addresses of metadata services; they are left out of every wider network (`lower::RESERVED`).
const ADDRESSES: &[&str] = &[
    "100.100.100.200/32",
    "168.63.129.16/32",
    "169.254.169.254/32",
    "169.254.170.2/32",
    "169.254.170.23/32",
    "fd00:ec2::23/128",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
];

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.egress() {
        let here = rule.to.cidr.as_ref().and_then(|text| Cidr::parse(text.as_str()).ok());
        if here.is_some_and(|network| ADDRESSES.contains(&network.to_string().as_str())) {
            let message = format!("egress rule `{}` reaches a cloud's metadata service", rule.name);
            out.push(Diagnostic::new(CODE, at.member("to").member("cidr"), message));
        }
    }
}
