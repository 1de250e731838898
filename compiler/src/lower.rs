//! From the wire spec of one pack, with parameters substituted, to its part of the compiled policy.
//!
//! No other pack is known here: each is lowered alone, and then they are met ([`crate::meet`]). What cannot
//! be lowered is reported and left out, so that one run finds every error; a pack with an error has no
//! policy.
//!
//! ```text
//! PolicyPackSpec ► subject, isolation, network, images, admission, pools, sandboxes, tools, audit ► policy::Policy (of one pack)
//! ```

pub(crate) mod admission;
mod base;
mod costs;
mod expressions;
mod images;
mod isolation;
mod network;
pub(crate) mod pattern;
mod sandboxes;
mod selector;
pub(crate) mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_crds::pack::{PolicyPackSpec, Unmatched as WireUnmatched};
use bailiwick_crds::selector::LabelSelector;
use bailiwick_policy::policy::{self, Origin, PackSource, Policy, Subject, Unmatched};

use crate::cel::Parameter;
use crate::check::bw0222_selector;
use crate::custom_kinds::CustomKinds;
use crate::diagnostic::{Diagnostic, FieldPath};
pub(crate) use crate::findings::Findings;
use crate::reach::labels;

pub(crate) use images::signers::known_key as image_key;
pub use network::RESERVED;

/// One pack, ready to be lowered.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The spec with parameters substituted.
    pub spec: PolicyPackSpec,
    /// Its provenance.
    pub source: PackSource,
    /// Bound parameters with their declared types.
    pub parameters: Arc<BTreeMap<String, Parameter>>,
    /// Name for diagnostics; `None` for the pack under compilation.
    pub extended: Option<String>,
    /// Custom resources whose schemas are known.
    pub kinds: Arc<CustomKinds>,
}

/// Lowers a selector that is not part of any pack.
pub(crate) fn plain_selector(wire: &LabelSelector) -> (policy::LabelSelector, Vec<Diagnostic>) {
    let mut out = Findings::default();
    let selector = selector::lower(wire, &FieldPath::root(), &mut out);
    (selector, out.into_diagnostics())
}

/// The origin of a field of the pack that is lowered alone.
fn origin(at: &FieldPath) -> Origin {
    Origin { pack: 0, at: at.to_string() }
}

/// Lowers one pack. Its cell is left open, since only the meet determines it.
#[must_use]
pub fn lower(pack: &Pack) -> (Policy, Vec<Diagnostic>) {
    let mut out = Findings::of(pack.extended.as_deref());
    let spec = &pack.spec;
    let policy = Policy {
        subject: subject(spec, &mut out),
        isolation: isolation::lower(spec, &mut out),
        network: network::lower(spec, &mut out),
        images: images::lower(spec, &mut out),
        admission: admission::lower(pack, &mut out),
        pools: sandboxes::pools(pack, &mut out),
        sandboxes: sandboxes::sandboxes(pack, &mut out),
        tools: tools::lower(pack, &mut out).into_iter().collect(),
        audit: tools::audit(pack, &mut out),
        ..Policy::top(vec![pack.source.clone()])
    };
    (policy, out.into_diagnostics())
}

fn subject(spec: &PolicyPackSpec, out: &mut Findings<'_>) -> Option<Subject> {
    let subjects = spec.subjects.as_ref()?;
    let at = FieldPath::spec().member("subjects");
    let namespaces =
        selector::lower(&subjects.namespaces.selector, &at.member("namespaces").member("selector"), out);
    let pods = subjects.pods.as_ref().map(|pods| selector::lower(pods, &at.member("pods"), out));
    if let Some(message) = pods.as_ref().and_then(labels::of_nodes) {
        out.push(Diagnostic::new(bw0222_selector::CODE, at.member("pods"), message));
    }
    Some(Subject {
        namespaces: vec![namespaces],
        pods: pods.into_iter().collect(),
        exclusive: subjects.namespaces.exclusive,
        unmatched: match subjects.unmatched {
            WireUnmatched::Allow => Unmatched::Allow,
            WireUnmatched::Deny => Unmatched::Deny,
        },
        from: vec![origin(&at)],
    })
}
