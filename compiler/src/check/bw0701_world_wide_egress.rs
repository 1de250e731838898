//! The rule reaches every public address of a family. Anything that runs here can send anything anywhere. Metadata
//! services and private ranges are left out by themselves; the rest is not.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: world, to: {cidr: 0.0.0.0/0}, ports: [{port: 443}]}
//! ```
//!
//! ```text
//! warning[BW0701] at spec.network.egress[0].to.cidr: egress rule `world` reaches the whole world
//!   help: name the networks that are needed; metadata and private ranges are excluded here in any case
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: 443}]}
//! ```
//!
//! Remedy: name the networks that are needed

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::reach::cidr::Cidr;
use super::View;

/// Egress to the whole world.
pub const CODE: Code = Code::new("BW0701", "egress to the whole world", Severity::Warning, include_str!("bw0701_world_wide_egress.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.egress() {
        let wide = rule.to.cidr.as_ref().and_then(|text| Cidr::parse(text.as_str()).ok()).is_some_and(|network| network.length() < 4);
        if wide {
            let message = format!("egress rule `{}` reaches the whole world", rule.name);
            let help = "name the networks that are needed; metadata and private ranges are excluded here in any case";
            out.push(Diagnostic::new(CODE, at.member("to").member("cidr"), message).with_help(help));
        }
    }
}
