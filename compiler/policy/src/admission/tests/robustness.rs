//! Hostile and malformed requests: bounded time, a clear answer, no panic.

use super::*;
use crate::admission::{fuzz, response};

#[test]
fn the_fuzzed_policy_loads() {
    // Without it the fuzz entry would do nothing and look green.
    let _ = reviewer(vec![policy()]);
}

#[test]
fn pods_without_the_form_of_pods_are_refused() {
    for (member, value) in [
        ("containers", "{}"),
        ("initContainers", r#""x""#),
        ("ephemeralContainers", "[1]"),
        ("volumes", "true"),
        ("securityContext", "[]"),
    ] {
        let bad = replaced(pod("{}", "{}"), &["spec", member], json(value));
        let decision = reviewer(vec![policy()]).admit(&create(bad.clone())).decision().clone();
        assert!(!decision.allowed, "{member}");
        assert_eq!(decision.findings.first().unwrap().rule, "object", "{member}");
        let template = reviewer(vec![policy()]).admit(&create(deployment(&bad))).decision().clone();
        assert!(!template.allowed, "{member}");
        assert!(template.findings.first().unwrap().field.starts_with("spec.template.spec."), "{member}");
    }
}

#[test]
fn templates_without_the_form_of_templates_are_refused() {
    let good = deployment(&pod("{}", "{}"));
    for (path, value, field) in [
        (&["spec"][..], "[]", "spec"),
        (&["spec", "template"], r#""x""#, "spec.template"),
        (&["spec", "template", "metadata"], "[1]", "spec.template.metadata"),
        (&["spec", "template", "spec"], "true", "spec.template.spec"),
    ] {
        let decision = reviewer(vec![policy()]).admit(&create(replaced(good.clone(), path, json(value))));
        let decision = decision.decision().clone();
        assert!(!decision.allowed, "{field} = {value} was admitted");
        let first = decision.findings.first().unwrap();
        assert_eq!((first.rule.as_str(), first.field.as_str()), ("object", field));
    }
}

#[test]
fn a_new_pod_that_claims_to_be_deleted_is_mutated_all_the_same() {
    let claiming = with(pod("{}", "{}"), r#"{"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}"#);
    let admitted = reviewer(vec![policy()]).admit(&create(claiming));
    let stamped =
        admitted.object.as_ref().and_then(|pod| pod.at(&["metadata", "labels", super::super::CELL_LABEL]));
    assert!(stamped.is_some(), "no cell is written: {admitted:?}");
}

#[test]
fn cut_and_changed_reviews_never_panic() {
    let whole = create(deployment(&pod(r#"{"hostNetwork": true}"#, "{}"))).to_review().unwrap();
    for end in 0..whole.len() {
        fuzz(&whole[..end]);
    }
    // A deterministic walk over single-byte changes.
    let mut state: u32 = 7;
    for _ in 0..2_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut changed = whole.clone();
        let at = state as usize % changed.len();
        changed[at] = b"\"{}[],:0xn\\\xff"[(state >> 16) as usize % 12];
        fuzz(&changed);
    }
    fuzz(&whole);
}

#[test]
fn ten_thousand_containers_are_judged() {
    let one =
        serde_json::to_string(pod("{}", "{}").at(&["spec", "containers"]).unwrap().items().first().unwrap())
            .unwrap();
    let many = vec![one; 10_000].join(",");
    let request = create(pod(&format!(r#"{{"containers": [{many}], "hostNetwork": true}}"#), "{}"));
    let decision = reviewer(vec![policy()]).admit(&request);
    assert!(!decision.decision().allowed);
    assert!(response::write("u", decision.decision()).len() < 256 * 1024);
}

#[test]
fn equal_requests_get_equal_bytes() {
    let request = create(pod(r#"{"hostNetwork": true}"#, r#"{"image": "nginx"}"#));
    let bytes = |request: &AdmissionRequest<'_>| {
        response::write(&request.uid, &reviewer(vec![policy()]).review(request, Phase::Validate))
    };
    let review = request.to_review().unwrap();
    assert_eq!(bytes(&request), bytes(&AdmissionRequest::parse(&review).unwrap()));
}

#[test]
fn admit_is_mutate_and_then_validate() {
    for (spec, container) in
        [("{}", "{}"), (r#"{"hostNetwork": true}"#, "{}"), ("{}", r#"{"image": "nginx"}"#)]
    {
        let reviewer = reviewer(vec![policy()]);
        let request = create(pod(spec, container));
        let admitted = reviewer.admit(&request);
        assert_eq!(admitted.mutated, reviewer.review(&request, Phase::Mutate));
        let second = create(admitted.object.clone().unwrap());
        assert_eq!(admitted.validated.unwrap(), reviewer.review(&second, Phase::Validate));
    }
}
