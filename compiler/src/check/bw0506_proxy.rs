//! The proxy carries rules by host. It is read and checked, but not enforced yet, and what is accepted is enforced: so
//! it is refused until then.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: web, to: {namespaces: {matchLabels: {team: web}}}, ports: [{port: 443}]}
//!   proxy: Gateway
//! ```
//!
//! ```text
//! error[BW0506] at spec.network.proxy: `proxy` is not enforced yet
//!   help: take `proxy` out, and write egress by networks (`cidr`) or pods
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: web, to: {namespaces: {matchLabels: {team: web}}}, ports: [{port: 443}]}
//! ```
//!
//! Remedy: take `proxy` out, and write egress by networks (`cidr`) or pods

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// The proxy is not enforced yet.
pub const CODE: Code = Code::new("BW0506", "the proxy is not enforced yet", Severity::Error, include_str!("bw0506_proxy.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    if view.spec.network.as_ref().is_some_and(|network| network.proxy.is_some()) {
        let at = FieldPath::spec().member("network").member("proxy");
        out.push(Diagnostic::new(CODE, at, "`proxy` is not enforced yet").about_key());
    }
}
