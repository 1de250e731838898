//! UPDATE: new violations are denied, old ones warn, and what must not change does not.

use expect_test::expect;

use super::mutation::{field, mutated, with_mutations};
use super::*;
use crate::policy::{MutateWhen, Unmatched};

fn old_fault() -> Json<'static> {
    with(stored("{}", "{}"), r#"{"spec": {"hostNetwork": true}}"#)
}

#[test]
fn a_violation_that_was_there_before_warns() {
    let new = with(old_fault(), r#"{"metadata": {"annotations": {"touched": "1"}}}"#);
    validates(
        &update(old_fault(), new),
        &expect![[r#"
        allowed
        warn probe@1.0.0/podSecurity: host namespaces (hostNetwork=true) (was there before this update) (spec.hostNetwork); remove hostNetwork, hostPID and hostIPC, or set them to false
        warn probe@1.0.0/network: NetworkPolicies do not hold for a pod on the host's network (was there before this update) (spec.hostNetwork); remove hostNetwork"#]],
    );
}

#[test]
fn a_new_violation_is_denied_beside_an_old_one() {
    let new = with(old_fault(), r#"{"spec": {"hostPID": true}}"#);
    validates(
        &update(old_fault(), new),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: host namespaces (hostNetwork=true, hostPID=true) (spec.hostPID); remove hostNetwork, hostPID and hostIPC, or set them to false
        warn probe@1.0.0/podSecurity: host namespaces (hostNetwork=true, hostPID=true) (was there before this update) (spec.hostNetwork); remove hostNetwork, hostPID and hostIPC, or set them to false
        warn probe@1.0.0/network: NetworkPolicies do not hold for a pod on the host's network (was there before this update) (spec.hostNetwork); remove hostNetwork"#]],
    );
}

#[test]
fn a_violation_at_a_path_that_changes_is_denied() {
    let bad = |image: &str| stored_with_image(image);
    validates(
        &update(bad("nginx:1"), bad("nginx:1")),
        &expect![[r#"
        allowed
        warn probe@1.0.0/images: image `docker.io/library/nginx` matches no entry of the allowed images (was there before this update) (spec.containers[0].image); use an image that the pack's `images` section allows"#]],
    );
    validates(
        &update(bad("nginx:1"), bad("nginx:2")),
        &expect![[r#"
        denied
        deny probe@1.0.0/images: image `docker.io/library/nginx` matches no entry of the allowed images (spec.containers[0].image); use an image that the pack's `images` section allows"#]],
    );
}

fn stored_with_image(image: &str) -> Json<'static> {
    replaced(stored("{}", "{}"), &["spec", "containers", "0", "image"], Json::Str(image.to_owned().into()))
}

#[test]
fn a_pod_may_not_leave_its_policy_or_its_cell() {
    let old = stored("{}", "{}");
    validates(
        &update(old.clone(), with(old.clone(), r#"{"metadata": {"labels": {"component": "web"}}}"#)),
        &expect![[r#"
            denied
            deny probe@1.0.0/subjects: an update may not take a pod out of the policy's reach (metadata.labels); keep the labels that the pack's subject selects, or delete the pod
            deny probe@1.0.0/subjects: no policy selects this pod, and the namespace holds governed pods only (metadata.labels); give the pod the labels that the pack's subject selects, or use another namespace"#]],
    );
    validates(
        &update(old.clone(), with(old.clone(), r#"{"metadata": {"labels": {"bailiwick.dev/cell": "x"}}}"#)),
        &expect![[r#"
            denied
            deny probe@1.0.0/subjects: label `bailiwick.dev/cell` is not `0123456789abcdef` (metadata.labels[bailiwick.dev/cell]); leave the label alone; admission writes it"#]],
    );
    let stripped = json(
        &serde_json::to_string(&old).unwrap().replace(r#","bailiwick.dev/cell":"0123456789abcdef""#, ""),
    );
    assert_ne!(stripped, old);
    validates(
        &update(old, stripped),
        &expect![[r#"
        denied
        deny probe@1.0.0/subjects: label `bailiwick.dev/cell` is not `0123456789abcdef` (metadata.labels[bailiwick.dev/cell]); leave the label alone; admission writes it"#]],
    );
}

#[test]
fn a_pod_that_is_being_deleted_may_lose_its_finalizers_but_not_its_bounds() {
    let deleting = |finalizers: &str| {
        with(
            old_fault(),
            &format!(
                r#"{{"metadata": {{"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": {finalizers}}}}}"#
            ),
        )
    };
    validates(&update(deleting(r#"["x"]"#), deleting("[]")), &expect!["allowed"]);
    let widened = with(deleting("[]"), r#"{"spec": {"hostPID": true}}"#);
    assert!(
        !reviewer(vec![policy()]).review(&update(deleting(r#"["x"]"#), widened), Phase::Validate).allowed
    );
    let escaping = with(deleting("[]"), r#"{"metadata": {"labels": {"component": "web"}}}"#);
    assert!(!reviewer(vec![policy()]).review(&update(deleting("[]"), escaping), Phase::Validate).allowed);
}

/// The API server takes an update of an object that is being deleted like any other: its neighbours read it
/// until it is gone.
#[test]
fn what_is_being_deleted_is_written_into_unless_only_its_finalizers_go() {
    let deleting = |more: &str| {
        let text = r#"{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "safe"}, "metadata": {"name": "m", "namespace": "agents",
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}}"#;
        with(json(text), more)
    };
    let policies = || {
        let mut policy = with_mutations("a", vec![field(&["data", "a"], MutateWhen::Always, "safe".into())]);
        let rule = policy.admission.rules.first_mut().unwrap();
        rule.matches.resources.first_mut().unwrap().resources = vec!["configmaps".to_owned()];
        vec![policy]
    };
    let written = |old: &str, new: &str| mutated(policies(), &update(deleting(old), deleting(new)));
    assert_eq!(
        written("{}", r#"{"data": {"a": "evil"}}"#),
        "allowed\n{\"op\":\"replace\",\"path\":\"/data/a\",\"value\":\"safe\"}"
    );
    let before = r#"{"data": {"a": "evil"}}"#;
    assert_eq!(written(before, r#"{"data": {"a": "evil"}, "metadata": {"finalizers": []}}"#), "allowed");
}

#[test]
fn what_is_being_deleted_may_lose_its_finalizers_and_change_nothing_else() {
    let deleting = json(
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "metadata": {"name": "m", "namespace": "agents",
            "resourceVersion": "1", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}}"#,
    );
    // Denies every update of a ConfigMap.
    let mut fixed = policy();
    fixed.admission.rules.truncate(1);
    let rule = fixed.admission.rules.first_mut().unwrap();
    rule.matches.resources.first_mut().unwrap().resources = vec!["configmaps".to_owned()];
    rule.matches.conditions.clear();
    rule.validations.iter_mut().for_each(|one| {
        one.expression.expr = crate::ir::Expr::Const(crate::ir::Const::Bool(false));
    });
    let reviewer = reviewer(vec![fixed]);
    let allowed = |changed: &str| {
        reviewer.review(&update(deleting.clone(), with(deleting.clone(), changed)), Phase::Validate).allowed
    };
    assert!(allowed(r#"{"metadata": {"finalizers": [], "resourceVersion": "2"}}"#), "its finalizers");
    for changed in [
        r#"{"metadata": {"annotations": {"a": "b"}}}"#,
        r#"{"metadata": {"labels": {"a": "b"}, "finalizers": []}}"#,
        r#"{"metadata": {"ownerReferences": [{"name": "x"}]}}"#,
        r#"{"data": {"a": "c"}}"#,
        r#"{"immutable": true}"#,
    ] {
        assert!(!allowed(changed), "{changed}");
    }
}

/// The policy, and one more for pods with another label as well. Neither denies a pod that none selects.
fn overlapping() -> Reviewer {
    let mut one = policy();
    one.subject.as_mut().unwrap().unmatched = Unmatched::Allow;
    let mut other = one.clone();
    other.cell = "other".to_owned();
    other.variants = vec!["other".to_owned()];
    other.subject.as_mut().unwrap().pods =
        vec![serde_json::from_str(r#"{"matchLabels": {"component": "agent", "also": "yes"}}"#).unwrap()];
    reviewer(vec![one, other])
}

#[test]
fn a_pod_that_nothing_governs_brings_no_cell_along() {
    let reviewer = overlapping();
    let free = with(stored("{}", "{}"), r#"{"metadata": {"labels": {"component": "web"}}}"#);
    let said = |request: &AdmissionRequest<'_>| shown(&reviewer.review(request, Phase::Validate));
    // It is created with the label of the laxer cell,
    expect![[r#"
        denied
        deny probe@1.0.0/subjects: no policy selects this pod, and it has the label `bailiwick.dev/cell` (metadata.labels[bailiwick.dev/cell]); leave the label alone; admission writes it"#]]
    .assert_eq(&said(&create(free.clone())));
    // or was created while nobody looked, and then comes to be governed by both policies.
    let governed = with(free.clone(), r#"{"metadata": {"labels": {"component": "agent", "also": "yes"}}}"#);
    let own = super::super::decide::cell(&reviewer.policies.iter().collect::<Vec<_>>());
    let denied = said(&update(free.clone(), governed.clone()));
    assert!(denied.contains(&format!("label `bailiwick.dev/cell` is not `{own}`")), "{denied}");
    // Its own cell is right, and so is none; as long as it is not governed, the label may stay or go.
    let cell = |pod: &Json<'static>, value: Json<'static>| {
        replaced(pod.clone(), &["metadata", "labels", "bailiwick.dev/cell"], value)
    };
    let none = |pod: &Json<'static>| {
        let text = serde_json::to_string(pod).unwrap();
        json(&text.replace(r#","bailiwick.dev/cell":"0123456789abcdef""#, ""))
    };
    for (old, new) in [
        (&free, cell(&governed, Json::Str(own.clone().into()))),
        (&free, none(&governed)),
        (&free, with(free.clone(), r#"{"metadata": {"annotations": {"a": "b"}}}"#)),
        (&free, none(&free)),
    ] {
        assert!(said(&update(old.clone(), new)).starts_with("allowed"));
    }
    let said = said(&update(free.clone(), cell(&free, json(r#""other""#))));
    assert!(said.starts_with("denied"), "{said}");
}

#[test]
fn a_stray_pod_of_before_may_be_annotated_but_not_relabelled() {
    let stray = with(pod("{}", "{}"), r#"{"metadata": {"labels": {"component": "web"}}}"#);
    validates(
        &update(stray.clone(), with(stray.clone(), r#"{"metadata": {"annotations": {"a": "b"}}}"#)),
        &expect![[r#"
            allowed
            warn probe@1.0.0/subjects: no policy selects this pod, and the namespace holds governed pods only (was there before this update) (metadata.labels); give the pod the labels that the pack's subject selects, or use another namespace"#]],
    );
    validates(
        &update(stray.clone(), with(stray, r#"{"metadata": {"labels": {"x": "y"}}}"#)),
        &expect![[r#"
        denied
        deny probe@1.0.0/subjects: no policy selects this pod, and the namespace holds governed pods only (metadata.labels); give the pod the labels that the pack's subject selects, or use another namespace"#]],
    );
}

#[test]
fn nothing_new_runs_in_a_stray_pod_of_before() {
    let stray = with(pod("{}", "{}"), r#"{"metadata": {"labels": {"component": "web"}}}"#);
    let debugged =
        with(stray.clone(), r#"{"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox"}]}}"#);
    let image = replaced(stray.clone(), &["spec", "containers", "0", "image"], json(r#""busybox""#));
    for (sub_resource, new) in [("ephemeralcontainers", debugged), ("", image)] {
        let request = sub_update(sub_resource, stray.clone(), new);
        let decision = reviewer(vec![policy()]).review(&request, Phase::Validate);
        assert!(!decision.allowed, "{sub_resource}: {}", shown(&decision));
    }
}

#[test]
fn a_pod_that_becomes_governed_is_judged_as_new() {
    let stray = with(old_fault(), r#"{"metadata": {"labels": {"component": "web"}}}"#);
    let decision = reviewer(vec![policy()]).review(&update(stray, old_fault()), Phase::Validate);
    assert!(
        decision.findings.iter().any(|finding| finding.rule == "network" && finding.effect == Effect::Deny)
    );
}

#[test]
fn templates_ratchet_too() {
    let bad = deployment(&pod(r#"{"hostNetwork": true}"#, "{}"));
    validates(
        &update(bad.clone(), with(bad.clone(), r#"{"spec": {"replicas": 3}}"#)),
        &expect![[r#"
        allowed
        warn probe@1.0.0/podSecurity: host namespaces (hostNetwork=true) (was there before this update) (spec.template.spec.hostNetwork); remove hostNetwork, hostPID and hostIPC, or set them to false
        warn probe@1.0.0/network: NetworkPolicies do not hold for a pod on the host's network (was there before this update) (spec.template.spec.hostNetwork); remove hostNetwork"#]],
    );
    let good = deployment(&pod("{}", "{}"));
    validates(
        &update(good, bad),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: host namespaces (hostNetwork=true) (spec.template.spec.hostNetwork); remove hostNetwork, hostPID and hostIPC, or set them to false
        deny probe@1.0.0/network: NetworkPolicies do not hold for a pod on the host's network (spec.template.spec.hostNetwork); remove hostNetwork"#]],
    );
}

#[test]
fn authored_rules_over_templates_ratchet_too() {
    let unlimited = replaced(pod("{}", "{}"), &["spec", "containers", "0", "resources"], json("{}"));
    let bad = deployment(&unlimited);
    let scaled = with(bad.clone(), r#"{"spec": {"replicas": 0}}"#);
    let decided = |old: &Json<'static>, new: &Json<'static>| {
        let decision = reviewer(vec![policy()]).review(&update(old.clone(), new.clone()), Phase::Validate);
        let found = decision.findings.iter().find(|finding| finding.rule == "memory-limits").unwrap();
        (decision.allowed, found.effect)
    };
    // Otherwise a workload that ran before the rule could not be scaled down.
    assert_eq!(decided(&bad, &scaled), (true, Effect::Warn));
    assert_eq!(decided(&deployment(&pod("{}", "{}")), &bad), (false, Effect::Deny));
}

#[test]
fn status_and_deletion_are_not_judged_by_sections() {
    validates(
        &sub_update("status", old_fault(), with(old_fault(), r#"{"status": {"phase": "Running"}}"#)),
        &expect!["allowed"],
    );
    let context = ManifestContext { operation: Operation::Delete, ..ManifestContext::default() };
    validates(&AdmissionRequest::from_manifest(old_fault(), context).unwrap(), &expect!["allowed"]);
}

#[test]
fn an_authored_rule_ratchets_by_what_it_reads() {
    let unlimited = |image: &str| {
        replaced(stored_with_image(image), &["spec", "containers", "0", "resources"], json("{}"))
    };
    // Another image, the same missing limit.
    validates(
        &update(unlimited(IMAGE), unlimited(&IMAGE.replace("/x@", "/y@"))),
        &expect![[r#"
        allowed
        warn probe@1.0.0/memory-limits: cannot be evaluated: no such key: limits (was there before this update) (); set resources.limits.memory"#]],
    );
    // The same through a subresource of pods: the pod was judged when it was created.
    let debugged = with(
        unlimited(IMAGE),
        &format!(
            r#"{{"spec": {{"ephemeralContainers": [{}]}}}}"#,
            r#"{"name": "d", "image": "IMAGE",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}"#
                .replace("IMAGE", IMAGE)
        ),
    );
    let mut way = policy();
    let rule = way.admission.rules.iter_mut().find(|rule| rule.name == "memory-limits").unwrap();
    let mut ways = rule.matches.resources[0].clone();
    ways.resources = vec!["pods/ephemeralcontainers".to_owned()];
    ways.operations = vec!["UPDATE".to_owned()];
    rule.matches.resources.push(ways);
    let request = sub_update("ephemeralcontainers", unlimited(IMAGE), debugged);
    let decision = reviewer(vec![way]).review(&request, Phase::Validate);
    let found = decision.findings.iter().find(|finding| finding.rule == "memory-limits").unwrap();
    assert_eq!((decision.allowed, found.effect), (true, Effect::Warn), "{}", shown(&decision));
    // A limit that was removed.
    let decision =
        reviewer(vec![policy()]).review(&update(stored_with_image(IMAGE), unlimited(IMAGE)), Phase::Validate);
    assert!(
        decision
            .findings
            .iter()
            .any(|finding| finding.rule == "memory-limits" && finding.effect == Effect::Deny)
    );
}
