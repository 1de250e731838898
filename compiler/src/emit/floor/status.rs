//! What a write of a pod's status does to its metadata: the API server stores the labels, annotations and
//! finalizers that come with it, so a rule over updates of pods that reads them is asked about it too.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/pod/strategy.go>,
//! `podStatusStrategy`
//!
//! On the floor alone: every node reports every pod's status all the time, and must not wait for a webhook that
//! is down. A report that leaves the metadata alone is not judged, so that no violation of before, and no rule
//! that fails, keeps a node from reporting.

use bailiwick_policy::admission::{RuleReads, takes_in_pods};
use bailiwick_policy::policy::{AdmissionRule, LabelSelector};

/// The subresource.
const STATUS: &str = "status";

/// Members of `metadata` that a write of the status stores.
const WRITTEN: [&str; 3] = ["labels", "annotations", "finalizers"];

/// Whether a write of a pod's status could bring about what the rule judges at updates of pods, and the rule
/// says nothing about it. `pods`: the pods that the policy governs; a label may bring others into its reach.
pub(super) fn leads_around(rule: &AdmissionRule, reads: &RuleReads, pods: &LabelSelector) -> bool {
    const UPDATE: &str = "UPDATE";
    let (named, excluded) = (&rule.matches.resources, &rule.matches.exclude_resources);
    // Excluded pods are not judged through a subresource either.
    let is_decided = takes_in_pods(named, STATUS, UPDATE)
        || ["", STATUS].into_iter().any(|one| takes_in_pods(excluded, one, UPDATE));
    let mut selectors = rule.matches.object_selector.iter().chain([pods]);
    let by_labels = selectors.any(|one| *one != LabelSelector::default());
    let concerned = || WRITTEN.into_iter().any(|member| reads.concern(rule, &["metadata", member]));
    takes_in_pods(named, "", UPDATE) && !is_decided && (by_labels || concerned())
}

/// The match condition that a write of a pod's status changes more than the status.
pub(super) fn changes_metadata() -> (String, String) {
    let changed = WRITTEN.map(|member| format!("object.metadata.?{member} != oldObject.metadata.?{member}"));
    let expression = format!(
        "request.?subResource.orValue('') != '{STATUS}' || request.resource.resource != 'pods' || request.resource.group != '' || {}",
        changed.join(" || ")
    );
    ("metadata-of-status".to_owned(), expression)
}
