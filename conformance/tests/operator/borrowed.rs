//! What these tests may do to a cluster that they did not start: nothing that its owner did not allow, and
//! nothing to what they did not make.

use bailiwick_conformance::cluster::MADE;

use crate::packs::{binding, pack};
use crate::stage::{SYSTEM, Stage};

#[test]
fn clearing_removes_what_the_tests_made_and_nothing_else() {
    let stage = Stage::new();
    // The owner's: the same kinds, with the labels that the tests' own objects have, but for one.
    let theirs = [
        "{apiVersion: v1, kind: Namespace, metadata: {name: owned-a, labels: {bailiwick.dev/zone: owned}}}"
            .to_owned(),
        pack("owned", "1.0.0", "192.0.2.0/28"),
        binding("owned", "owned", "1.0.0", ""),
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: owned, namespace: {SYSTEM}, labels: {{bailiwick.dev/operator: other}}}}}}"
        ),
    ];
    for object in &theirs {
        stage.api().apply(object).expect("the owner's object");
    }
    stage.namespace("made-a", "made");
    stage.apply(&pack("made", "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding("made", "made", "1.0.0", ""));
    stage.clear();
    let there = |kind: &str, name: &str, namespace: Option<&str>| {
        stage
            .get(kind, name, namespace)
            .is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null())
    };
    for (kind, name) in [("namespace", "owned-a"), ("policypack", "owned-1.0.0"), ("policybinding", "owned")]
    {
        assert!(there(kind, name, None), "{kind} {name} of the owner is gone");
    }
    assert!(there("configmap", "owned", Some(SYSTEM)));
    for (kind, name) in [("namespace", "made-a"), ("policypack", "made-1.0.0"), ("policybinding", "made")] {
        assert!(!there(kind, name, None), "{kind} {name} of a test is left");
    }
    stage.kubectl(&["delete", "policybinding/owned", "policypack/owned-1.0.0", "namespace/owned-a"]);
    stage.kubectl(&["delete", "configmap", "owned", "--namespace", SYSTEM]);
}

#[test]
fn a_cluster_in_which_somebody_installed_bailiwick_is_not_taken() {
    let stage = Stage::new();
    stage.cluster().is_free().expect("only tests were here");
    for (kind, name) in [("namespace", SYSTEM), ("crd", "policypacks.bailiwick.dev")] {
        stage.kubectl(&["label", kind, name, &format!("{MADE}-")]);
        let refused = stage.cluster().is_free().expect_err(kind).to_string();
        stage.kubectl(&["label", kind, name, &format!("{MADE}=again")]);
        assert!(refused.contains(name) && refused.contains("KUBECONFIG"), "{refused}");
    }
    stage.cluster().is_free().expect("only tests were here");
}
