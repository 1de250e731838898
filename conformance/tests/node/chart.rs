//! The chart's own programs on a node: profiles are installed on it and removed again, and the uninstall
//! removes what an operator wrote.
//!
//! Another test runs the operator itself: here, what it writes is written in its name, which its role must
//! allow.

use std::process::{Command, Output, Stdio};

use bailiwick_conformance::cluster::{Cluster, SYSTEM as NAMESPACE};
use bailiwick_conformance::{helm, images, patience};
use serde_json::json;

use crate::stage::said;

const OPERATOR: &str = "--as=system:serviceaccount:bailiwick-system:bailiwick-operator";

struct Stage {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(helm::program().expect("Helm"), folder.path().join("helm"))
            .expect("a link");
        let image = images::build("executor", folder.path()).expect("an image");
        let cluster = Cluster::with_node().expect("a node");
        cluster.import(&image.archive).expect("imported");
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": labels } });
        cluster.kubectl(["apply", "-f", "-"], &namespace.to_string()).expect("a namespace");
        let stage = Self { cluster, folder };
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/bailiwick");
        let nobody = format!("localhost/nobody@sha256:{}", "0".repeat(64));
        let sets = [
            format!("images.operator={nobody}"),
            format!("images.webhook={nobody}"),
            format!("images.executor={}", image.reference),
            "poolNamespaces={agents-pool}".to_owned(),
        ];
        let fixed = ["install", "bailiwick", chart];
        let sets = sets.iter().flat_map(|set| ["--set", set.as_str()]);
        let installed = stage.helm(&fixed.into_iter().chain(sets).collect::<Vec<_>>());
        assert!(installed.status.success(), "{}", said(&installed));
        stage
    }

    fn helm(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.folder.path().join("helm"));
        command.args(args).args(["-n", NAMESPACE]).env("KUBECONFIG", self.cluster.kubeconfig());
        command.env("HOME", self.folder.path()).stdin(Stdio::null()).output().expect("Helm runs")
    }

    /// kubectl's standard output, without its messages.
    fn listed(&self, args: &[&str]) -> String {
        String::from_utf8_lossy(&self.kubectl(args).stdout).into_owned()
    }

    fn kubectl(&self, args: &[&str]) -> Output {
        self.cluster.kubectl_raw(args, "").expect("kubectl runs")
    }

    /// The profile files on the node, as the installer's pod sees them.
    fn profiles(&self) -> String {
        said(&self.kubectl(&[
            "exec",
            "-n",
            "bailiwick-node",
            "ds/seccomp-installer",
            "--",
            "ls",
            "/seccomp/bailiwick",
        ]))
    }
}

#[test]
#[ignore = "needs a node: make test-cluster"]
fn profiles_come_onto_nodes_and_the_uninstall_leaves_nothing() {
    let stage = Stage::new();
    stage.cluster.kubectl(["create", "namespace", "agents"], "").expect("a namespace");
    let write = ["apply", "--server-side", "--field-manager=bailiwick-operator", OPERATOR, "-f", "-"];
    stage
        .cluster
        .kubectl(write, include_str!("written.yaml"))
        .expect("the operator may write what it writes");
    outside_of_its_role(&stage);
    until("the profile comes", || stage.profiles().contains("warm-0123.json"));

    let labels = ["label", "namespace", "agents", "bailiwick.dev/zone=agents"];
    assert!(stage.kubectl(&labels).status.success());
    let run = ["run", "ordinary", "-n", "agents", "--image=localhost/pause:test", "--restart=Never"];
    assert!(!stage.kubectl(&run).status.success(), "what the operator wrote is in force");

    let gone = stage.helm(&["uninstall", "bailiwick", "--wait"]);
    assert!(gone.status.success(), "{}", said(&gone));
    let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,\
        validatingadmissionpolicybindings,networkpolicies,deployments,daemonsets,jobs,runtimeclasses,secrets,customresourcedefinitions,\
        poddisruptionbudgets";
    until("nothing is left", || stage.listed(&["get", kinds, "-A", "-o", "name"]).is_empty());
    let others = "clusterroles,clusterrolebindings,roles,rolebindings,configmaps,serviceaccounts,leases";
    let others = stage.listed(&["get", others, "-A", "-o", "name"]);
    assert!(others.contains("cluster-admin") && !others.contains("bailiwick"), "{others}");
    // The operator's label is gone, the other owner's label is not; and a pod that was denied starts.
    let namespace = stage.listed(&["get", "namespace", "agents", "--show-labels"]);
    assert!(
        !namespace.contains("pod-security") && namespace.contains("bailiwick.dev/zone=agents"),
        "{namespace}"
    );
    assert!(stage.kubectl(&run).status.success());
    let wait = ["wait", "--for=condition=Ready", "pod/ordinary", "-n", "agents", "--timeout=120s"];
    let waited = stage.kubectl(&wait);
    assert!(waited.status.success(), "{}", said(&waited));
}

/// Nothing in namespaces that have no pools, no secret of others, no pod, no role.
fn outside_of_its_role(stage: &Stage) {
    for args in [
        ["create", "configmap", "mine", "-n", "agents", OPERATOR].as_slice(),
        &["create", "deployment", "mine", "-n", "agents", "--image=x", OPERATOR],
        &["get", "secrets", "-n", "kube-system", OPERATOR],
        &["run", "mine", "-n", "agents-pool", "--image=x", OPERATOR],
        &["create", "clusterrole", "mine", "--verb=get", "--resource=pods", OPERATOR],
    ] {
        let output = stage.kubectl(args);
        assert!(!output.status.success() && said(&output).contains("cannot"), "{args:?}: {}", said(&output));
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    patience::until(what, || holds().then_some(())).unwrap_or_else(|error| panic!("{error:#}"));
}
