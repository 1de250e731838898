//! Methods and paths can be seen only where TLS ends. A rule with `http` needs hosts and `tls: Terminate`, else its
//! conditions are never looked at.
//!
//! ```yaml fails
//! network:
//!   egress:
//!   - {name: index, to: {hosts: [packages.example.org]}, ports: [{port: 443}], http: [{methods: [GET]}]}
//!   proxy: Gateway
//! ```
//!
//! ```text
//! error[BW0404] at spec.network.egress[0].http: egress rule `index` has conditions on HTTP requests that nothing can see
//!   help: give the rule `to.hosts` and `tls: Terminate`
//! ```
//!
//! ```yaml passes
//! network:
//!   egress:
//!   - {name: index, to: {hosts: [packages.example.org]}, ports: [{port: 443}], tls: Terminate, http: [{methods: [GET]}]}
//!   proxy: Gateway
//! ```
//!
//! Remedy: give the rule `to.hosts` and `tls: Terminate`

use bailiwick_crds::network::Tls;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use super::View;

/// HTTP rules behind TLS.
pub const CODE: Code = Code::new("BW0404", "HTTP rules behind TLS", Severity::Error, include_str!("bw0404_http_without_termination.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (at, rule) in view.egress() {
        let by_host = rule.to.hosts.is_some();
        if !rule.http.is_empty() && (rule.tls != Some(Tls::Terminate) || !by_host) {
            let message = format!("egress rule `{}` has conditions on HTTP requests that nothing can see", rule.name);
            let help = "give the rule `to.hosts` and `tls: Terminate`";
            out.push(Diagnostic::new(CODE, at.member("http"), message).with_help(help));
        } else if rule.tls.is_some() && !by_host {
            let message = format!("egress rule `{}` says what the proxy does with TLS, but no proxy carries it", rule.name);
            out.push(Diagnostic::new(CODE, at.member("tls"), message).with_help("only rules by host go through the proxy"));
        }
    }
}
