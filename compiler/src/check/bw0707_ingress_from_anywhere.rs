//! The rule lets every address, or every pod of the cluster, connect to the governed pods.
//!
//! ```yaml fails
//! network:
//!   ingress: [{name: open, from: {cidr: 0.0.0.0/0}, ports: [{port: 8080}]}]
//! ```
//!
//! ```text
//! warning[BW0707] at spec.network.ingress[0].from: ingress rule `open` lets anyone in
//!   help: name the peers that need it
//! ```
//!
//! ```yaml passes
//! network:
//!   ingress: [{name: lb, from: {cidr: 192.0.2.0/24}, ports: [{port: 8080}]}]
//! ```
//!
//! Remedy: name the peers that need it

use bailiwick_crds::selector::LabelSelector;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use crate::reach::cidr::Cidr;
use super::View;

/// Ingress from anywhere.
pub const CODE: Code = Code::new("BW0707", "ingress from anywhere", Severity::Warning, include_str!("bw0707_ingress_from_anywhere.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let at = FieldPath::spec().member("network").member("ingress");
    for (index, rule) in view.spec.network.iter().flat_map(|network| &network.ingress).enumerate() {
        let world = rule.from.cidr.as_ref().and_then(|text| Cidr::parse(text.as_str()).ok()).is_some_and(|network| network.length() < 4);
        let every = rule.from.namespaces.as_ref().is_some_and(|all| *all == LabelSelector::default())
            && rule.from.pods.as_ref().is_none_or(|all| *all == LabelSelector::default());
        if world || every {
            let message = format!("ingress rule `{}` lets anyone in", rule.name);
            out.push(Diagnostic::new(CODE, at.index(index).member("from"), message).with_help("name the peers that need it"));
        }
    }
}
