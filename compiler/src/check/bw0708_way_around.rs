//! A rule over the creation of pods reads what a subresource writes later: a debugging container joins a pod that exists through
//! `pods/ephemeralcontainers`, and `pods/resize` changes what its containers may use. To the API server these are updates of other
//! resources than `pods`, and a rule that is asked about creations alone never sees them.
//!
//! A rule that names `pods` and the operation UPDATE is asked about both. What a rule leaves out on purpose it says under
//! `match.excludeResources`.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "pod.allContainers.all(c, c.?resources.?limits.hasValue())"}]
//! ```
//!
//! ```text
//! warning[BW0708] at spec.admission.rules[0].match: rule `example` reads `spec.ephemeralContainers` and is not asked when `pods/ephemeralcontainers` writes it
//!   help: add UPDATE to the operations of `pods`, which takes this in, or name it under `excludeResources`
//! warning[BW0708] at spec.admission.rules[0].match: rule `example` reads `spec.containers[*].resources` and is not asked when `pods/resize` writes it
//!   help: add UPDATE to the operations of `pods`, which takes this in, or name it under `excludeResources`
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE, UPDATE]}]}
//!     validations: [{expression: "pod.allContainers.all(c, c.?resources.?limits.hasValue())"}]
//!   - name: creation alone, on purpose
//!     match:
//!       resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
//!       excludeResources: [{apiGroups: [""], apiVersions: [v1], resources: [pods/resize], operations: [UPDATE]}]
//!     validations: [{expression: "pod.mainContainers.all(c, c.?resources.?requests.hasValue())"}]
//!   - name: of what no subresource writes
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations: [{expression: "pod.mainContainers.all(c, c.image != '')"}]
//! ```
//!
//! Remedy: add UPDATE to the operations of `pods`, or name the subresource under `excludeResources`

use bailiwick_policy::admission::{RuleReads, takes_in_pods};
use bailiwick_policy::policy::AdmissionRule;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// A rule that a subresource leads around.
pub const CODE: Code = Code::new("BW0708", "rule that a subresource leads around", Severity::Warning, include_str!("bw0708_way_around.rs"));

/// What a subresource of pods writes; the first that a rule reads is named.
const WRITES: &[(&str, &[&str], &str)] = &[
    ("ephemeralcontainers", &["spec", "ephemeralContainers"], "spec.ephemeralContainers"),
    ("resize", &["spec", "containers", "*", "resources"], "spec.containers[*].resources"),
    ("resize", &["spec", "initContainers", "*", "resources"], "spec.initContainers[*].resources"),
];

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let reads = RuleReads::new(&view.policy.admission);
    for rule in view.policy.admission.rules.iter().filter(|rule| takes_in_pods(&rule.matches.resources, "", "CREATE")) {
        let mut said = None;
        for (way, path, shown) in WRITES {
            if said == Some(way) || is_decided(rule, way) || !reads.touch(rule, path) {
                continue;
            }
            said = Some(way);
            let at: FieldPath = rule.origin.at.parse().unwrap_or_default();
            let message = format!("rule `{}` reads `{shown}` and is not asked when `pods/{way}` writes it", rule.name);
            let help = "add UPDATE to the operations of `pods`, which takes this in, or name it under `excludeResources`";
            out.push(Diagnostic::new(CODE, at.member("match"), message).with_help(help));
        }
    }
}

/// Whether the pack says that the rule is asked there, or that it is not.
fn is_decided(rule: &AdmissionRule, way: &str) -> bool {
    let named = [&rule.matches.resources, &rule.matches.exclude_resources];
    named.iter().any(|rules| takes_in_pods(rules, way, "UPDATE"))
}
