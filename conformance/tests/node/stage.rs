//! One node for all tests, with what a pool needs: the executor's image, the profile, the bundle, the
//! namespace.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::cluster::Cluster;
use bailiwick_conformance::images::{self, Image};
use bailiwick_conformance::patience::until_ok;
use bailiwick_conformance::programs;
use serde_json::{Value, json};

/// Where the tests' pods run.
pub(crate) const NAMESPACE: &str = "agents-pool";

/// The node ends when dropped.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) image: Image,
    pub(crate) policy: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let image = images::build("executor", folder.path()).expect("an image");
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/cluster/pack.yaml");
        let output = bailiwick(folder.path(), &["compile", pack.to_str().expect("UTF-8"), "--out", "dist"]);
        assert!(output.status.success(), "{}", said(&output));
        let cell = only(&folder.path().join("dist"));
        let bundle = std::fs::read(cell.join("bundle.json")).expect("a bundle");
        let profile = std::fs::read(cell.join(format!("seccomp/pool-warm.{}.json", std::env::consts::ARCH)))
            .expect("a profile");
        let listed: Value =
            serde_json::from_slice(&std::fs::read(cell.join("artifacts.json")).expect("artifacts"))
                .expect("JSON");
        let cluster = Cluster::with_node().expect("a node");
        cluster.import(&image.archive).expect("imported");
        cluster.seccomp("bailiwick/executor.json", &profile).expect("a profile on the node");
        let labels = json!({ "pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.36" });
        let objects = [
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": labels } }),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "metadata": { "name": "bundle", "namespace": NAMESPACE },
                "data": { "bundle.json": String::from_utf8(bundle).expect("UTF-8") } }),
        ];
        for object in objects {
            cluster.kubectl(["apply", "-f", "-"], &object.to_string()).expect("applied");
        }
        let policy = digest(&listed);
        Self { cluster, folder, image, policy }
    }

    /// The pod of the documentation, under another name.
    pub(crate) fn pod(&self, name: &str) -> Value {
        let text = include_str!("../../../docs/executor-tiers.md");
        let (_, rest) = text.split_once("```yaml\n").expect("a pod in the documentation");
        let (yaml, _) = rest.split_once("```").expect("its end");
        let yaml = yaml
            .replace("localhost/bailiwick-executor@sha256:DIGEST", &self.image.reference)
            .replace("POLICY", &self.policy);
        let mut pod: Value = serde_saphyr::from_str(&yaml).expect("YAML");
        pod["metadata"]["name"] = json!(name);
        pod
    }

    pub(crate) fn apply(&self, pod: &Value) {
        self.cluster.kubectl(["apply", "-f", "-"], &pod.to_string()).expect("applied");
    }

    /// Waits until the check holds for the pod; returns the pod.
    pub(crate) fn wait(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let look = || {
            let get = ["get", "pod", "-n", NAMESPACE, name, "-o", "json"];
            let pod = self.cluster.kubectl(get, "").expect("the pod");
            let pod: Value = serde_json::from_str(&pod).expect("JSON");
            if holds(&pod) { Ok(pod) } else { Err(pod["status"].to_string()) }
        };
        until_ok(&format!("the pod `{name}` is {what}"), look).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Runs the executor's program in the serving pod.
    pub(crate) fn executor(&self, pod: &str, args: &[&str]) -> Output {
        let fixed = ["exec", "-n", NAMESPACE, pod, "-c", "executor", "--", "/bailiwick/bailiwick-executor"];
        self.cluster.kubectl_raw(fixed.iter().chain(args), "").expect("kubectl")
    }

    /// Copies the audit log out of the pod.
    pub(crate) fn copy_state(&self, pod: &str) -> PathBuf {
        let tar = [
            "exec",
            "-n",
            NAMESPACE,
            pod,
            "-c",
            "executor",
            "--",
            "tar",
            "-C",
            "/var/lib/bailiwick",
            "-cf",
            "-",
            ".",
        ];
        let output = self.cluster.kubectl_raw(tar, "").expect("kubectl");
        assert!(output.status.success(), "{}", said(&output));
        let (archive, state) = (self.folder.path().join("state.tar"), self.folder.path().join("state"));
        std::fs::write(&archive, output.stdout).expect("an archive");
        std::fs::create_dir(&state).expect("a folder");
        let unpacked =
            Command::new("tar").arg("-C").arg(&state).arg("-xf").arg(&archive).status().expect("tar");
        assert!(unpacked.success());
        state
    }

    /// Verifies a log here.
    pub(crate) fn verify(&self, state: &Path) -> Output {
        bailiwick(self.folder.path(), &["audit", "verify", state.to_str().expect("UTF-8")])
    }
}

/// The first container's findings, from the pod's status.
pub(crate) fn probed(pod: &Value) -> Option<Value> {
    let state = &pod["status"]["initContainerStatuses"][0];
    let message =
        ["state", "lastState"].iter().find_map(|at| state[*at]["terminated"]["message"].as_str())?;
    serde_json::from_str(message).ok()
}

pub(crate) fn ready(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["ready"] == json!(true)
}

fn digest(listed: &Value) -> String {
    listed["policyDigest"].as_str().expect("a digest").trim_start_matches("sha256:").to_owned()
}

fn only(folder: &Path) -> PathBuf {
    std::fs::read_dir(folder).expect("a folder").next().expect("a cell").expect("an entry").path()
}

fn bailiwick(folder: &Path, args: &[&str]) -> Output {
    Command::new(programs::find("bailiwick").expect("built"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

/// Both streams of a program.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The text of base64.
pub(crate) fn decoded(value: &Value) -> String {
    use base64::Engine as _;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(value.as_str().expect("base64")).expect("base64");
    String::from_utf8(bytes).expect("UTF-8")
}
