//! What is governed: namespaces, labels, unknown namespaces, and pods that no policy selects.

use expect_test::expect;

use super::*;
use crate::policy::Unmatched;

fn in_namespace(namespace: &str) -> AdmissionRequest<'static> {
    create(with(pod("{}", "{}"), &format!(r#"{{"metadata": {{"namespace": "{namespace}"}}}}"#)))
}

#[test]
fn other_namespaces_are_nobodys_business() {
    validates(&in_namespace("other"), &expect!["allowed"]);
    mutates(&in_namespace("other"), &expect!["allowed"]);
}

#[test]
fn an_unknown_namespace_is_governed_and_denied() {
    validates(
        &in_namespace("new"),
        &expect![[r#"
        denied
        deny probe@1.0.0/subjects: namespace `new` is not known, so nobody can say which policy governs it (metadata.namespace); try again once the namespace is known here"#]],
    );
    mutates(
        &in_namespace("new"),
        &expect![[r#"
        denied
        deny probe@1.0.0/subjects: namespace `new` is not known, so nobody can say which policy governs it (metadata.namespace); try again once the namespace is known here"#]],
    );
    // Nothing in the policy covers config maps.
    let map =
        json(r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "new"}}"#);
    validates(&create(map), &expect!["allowed"]);
}

#[test]
fn a_pod_that_no_policy_selects_is_refused_where_the_pack_says_so() {
    let stray = with(pod("{}", "{}"), r#"{"metadata": {"labels": {"component": "web"}}}"#);
    admits(
        &create(stray.clone()),
        &expect![[r#"
        denied
        deny probe@1.0.0/subjects: no policy selects this pod, and the namespace holds governed pods only (metadata.labels); give the pod the labels that the pack's subject selects, or use another namespace"#]],
    );
    admits(
        &create(deployment(&stray)),
        &expect![[r#"
        denied
        deny probe@1.0.0/subjects: no policy selects this pod, and the namespace holds governed pods only (spec.template.metadata.labels); give the pod the labels that the pack's subject selects, or use another namespace"#]],
    );
    let mut lax = policy();
    lax.subject.as_mut().unwrap().unmatched = Unmatched::Allow;
    assert!(reviewer(vec![lax.clone()]).admit(&create(stray.clone())).decision().allowed);
    // If another policy selects it, the strict one no longer denies it.
    lax.subject.as_mut().unwrap().pods =
        vec![serde_json::from_str(r#"{"matchLabels": {"component": "web"}}"#).unwrap()];
    lax.cell = "lax".to_owned();
    assert!(reviewer(vec![policy(), lax]).admit(&create(stray)).decision().allowed);
}

#[test]
fn a_policy_without_subject_governs_nobody() {
    let mut ceiling = policy();
    ceiling.subject = None;
    let bad = create(pod(r#"{"hostNetwork": true}"#, "{}"));
    assert!(reviewer(vec![ceiling]).admit(&bad).decision().allowed);
}

#[test]
fn the_meet_of_two_policies_denies_what_either_denies() {
    let mut other = policy();
    other.cell = "b".to_owned();
    other.images = Vec::new();
    let request = create(pod("{}", r#"{"image": "nginx"}"#));
    let decision = reviewer(vec![other.clone(), policy()]).admit(&request);
    assert!(!decision.decision().allowed);
    assert_eq!(
        decision,
        reviewer(vec![policy(), other]).admit(&request),
        "whatever the order of the bundles"
    );
}

#[test]
fn annotations_say_which_policy_and_rule() {
    let decision =
        reviewer(vec![policy()]).review(&create(pod(r#"{"hostNetwork": true}"#, "{}")), Phase::Validate);
    let shown: Vec<String> =
        decision.audit_annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    expect![[r#"
        cell=0123456789abcdef
        digest=digest-0123456789abcdef
        rules=probe@1.0.0/podSecurity; probe@1.0.0/runtimeClass; probe@1.0.0/serviceAccountToken; probe@1.0.0/network"#]].assert_eq(&shown.join("\n"));
}
