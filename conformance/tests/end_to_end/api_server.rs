//! The emitted webhook configuration registered on a real API server: objects from real `kubectl apply`
//! commands are mutated and denied.

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_conformance::cluster::Cluster;
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;

use crate::stage::Stage;

fn manifests(stage: &Stage, name: &str) -> String {
    let cell = std::fs::read_dir(stage.path().join("dist"))
        .expect("dist")
        .next()
        .expect("a cell")
        .expect("a folder")
        .path();
    std::fs::read_to_string(cell.join("kubernetes").join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn pod(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policy-packs/code-interpreter/tests/pods").join(name)
}

/// Applies a shipped pod; returns kubectl's output and whether it succeeded.
fn apply(cluster: &Cluster, name: &str) -> (bool, String) {
    let text = std::fs::read_to_string(pod(name)).expect("the pod");
    let output = cluster.kubectl_raw(["apply", "-f", "-"], &text).expect("kubectl runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_real_api_server_is_told_what_to_refuse() {
    let cluster = Arc::new(Cluster::start().expect("an API server"));
    let guest = Guest::of(&cluster);
    let stage = Stage::new();
    let webhook = stage.webhook();
    let url = format!("https://{}", webhook.address());
    std::fs::remove_dir_all(stage.path().join("dist")).expect("dist");
    stage.compile(&["--webhook-url", &url, "--ca-bundle", "ca.pem"]);
    guest
        .bring(
            &["apply"],
            "{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {bailiwick.dev/zone: agents}}}",
        )
        .expect("a namespace");
    cluster.await_namespace("agents").expect("pods can be made");
    guest.bring(&["apply"], &manifests(&stage, "runtime-classes.yaml")).expect("the RuntimeClasses");

    // A class that exists in the cluster and is not in the pack: the API server itself rejects only classes
    // that do not exist.
    let kata = "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: kata}, handler: kata}";
    guest.bring(&["apply"], kata).expect("another RuntimeClass");

    // Without the webhook the attack succeeds.
    let (admitted, said) = apply(&cluster, "privileged.yaml");
    assert!(admitted, "a privileged pod was refused before anything was registered: {said}");
    cluster
        .kubectl(["delete", "pod", "privileged", "-n", "agents", "--grace-period=0", "--force"], "")
        .expect("deleted");

    for pod in ["privileged", "interpreter"] {
        guest.makes("v1", "Pod", "agents", pod);
    }
    guest.bring(&["apply"], &manifests(&stage, "webhooks.yaml")).expect("the configuration is accepted");
    let (admitted, said) = await_the_webhook(&cluster);
    assert!(!admitted && said.contains("podSecurity") && said.contains("privileged"), "{said}");
    for (name, rule) in [
        ("host-path.yaml", "podSecurity"),
        ("other-runtime.yaml", "runtimeClass"),
        ("token.yaml", "serviceAccountToken"),
        ("host-network.yaml", "network"),
        ("by-tag.yaml", "images"),
        ("unlimited.yaml", "memory-limits"),
        ("too-large.yaml", "memory-ceiling"),
        ("unlabelled.yaml", "subjects"),
        ("deployment.yaml", "podSecurity"),
    ] {
        let (admitted, said) = apply(&cluster, name);
        assert!(!admitted, "{name} was admitted");
        assert!(said.contains(rule), "{name}: the refusal does not name `{rule}`: {said}");
    }
    a_good_pod_is_admitted_and_completed(&cluster);
    a_debugging_container_is_refused(&cluster);
}

/// A configuration is in force a moment after it was stored.
fn await_the_webhook(cluster: &Cluster) -> (bool, String) {
    let refused = until("the API server asks the webhook", || {
        let answer = apply(cluster, "privileged.yaml");
        if !answer.0 {
            return Some(answer);
        }
        cluster
            .kubectl(["delete", "pod", "privileged", "-n", "agents", "--grace-period=0", "--force"], "")
            .expect("deleted");
        None
    });
    refused.expect("a refusal")
}

fn a_good_pod_is_admitted_and_completed(cluster: &Cluster) {
    let (admitted, said) = apply(cluster, "good.yaml");
    assert!(admitted, "the good pod was refused: {said}");
    let field = |path: &str| {
        let path = format!("jsonpath={{{path}}}");
        cluster
            .kubectl(["get", "pod", "interpreter", "-n", "agents", "-o", &path], "")
            .expect("the pod is there")
    };
    assert_eq!(field(".spec.runtimeClassName"), "gvisor");
    assert_eq!(field(".spec.securityContext.seccompProfile.type"), "RuntimeDefault");
    assert_eq!(field(".spec.automountServiceAccountToken"), "false");
    assert_eq!(field(".spec.enableServiceLinks"), "false");
    assert_eq!(field(".spec.volumes"), "", "the token's volume is still there");
    assert_eq!(field(".metadata.labels.bailiwick\\.dev/cell").len(), 16);
}

fn a_debugging_container_is_refused(cluster: &Cluster) {
    let patch = r#"{"spec":{"ephemeralContainers":[{"name":"debugger","image":"busybox","securityContext":{"privileged":true}}]}}"#;
    let args = [
        "patch",
        "pod",
        "interpreter",
        "-n",
        "agents",
        "--subresource=ephemeralcontainers",
        "--type=strategic",
        "-p",
        patch,
    ];
    let output = cluster.kubectl_raw(args, "").expect("kubectl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the debugging container was admitted");
    assert!(said.contains("ephemeralContainers[0]") || said.contains("no-debug-containers"), "{said}");
}
