//! When the webhook's configurations are registered, and when not: with two real webhooks.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::packs::{binding, pack};
use crate::stage::{Operator, SYSTEM, Stage, until};

const HOOKS: &str = "mutatingwebhookconfigurations,validatingwebhookconfigurations";

fn state(stage: &Stage) -> Option<String> {
    let record = stage.get("configmap", "bailiwick-arming", Some(SYSTEM))?;
    Some(record["data"]["state"].as_str()?.to_owned())
}

/// Two ports that nobody listens on now.
fn ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// Writes the leaf of the Secret where a webhook reads it.
fn take_certificate(stage: &Stage, folder: &Path) {
    let leaf = until("the leaf", || stage.get("secret", "bailiwick-webhook-tls", Some(SYSTEM)));
    for member in ["tls.crt", "tls.key"] {
        let bytes = STANDARD.decode(leaf["data"][member].as_str().expect("a member")).expect("base64");
        std::fs::write(folder.join(member), bytes).expect("written");
    }
}

struct Webhook(std::process::Child);

impl Webhook {
    /// Over the cluster's own packs and bindings.
    fn start(stage: &Stage, port: u16) -> Self {
        let folder = stage.folder.path();
        let program =
            bailiwick_conformance::programs::find("bailiwick-webhook").expect("the program is built");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("webhook.log"))
            .expect("a log");
        let child = std::process::Command::new(program)
            .args(["serve", "--cluster", "--policy-namespace", SYSTEM])
            .env("KUBECONFIG", stage.kubeconfig())
            .args(["--tls-cert", "tls.crt", "--tls-key", "tls.key", "--listen", &format!("127.0.0.1:{port}")])
            .current_dir(folder)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the webhook runs");
        Self(child)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn operator(stage: &Stage, ports: [u16; 2]) -> Operator {
    let url = format!("https://127.0.0.1:{}", ports[0]);
    let [a, b] = ports.map(|port| format!("127.0.0.1:{port}"));
    stage.operator(&[
        "--webhook-url",
        &url,
        "--webhook-replica",
        &a,
        "--webhook-replica",
        &b,
        "--webhook-name",
        "127.0.0.1",
    ])
}

fn hooks(stage: &Stage) -> Vec<Value> {
    let list: Value = serde_json::from_str(&stage.kubectl(&["get", HOOKS, "-o", "json"])).expect("JSON");
    list["items"].as_array().expect("items").clone()
}

#[test]
fn it_is_armed_by_two_replicas_and_disarmed_by_whoever_deletes_it() {
    let stage = Stage::new();
    let folder = stage.folder.path();
    let ports = ports();
    let first = operator(&stage, ports).leads();
    take_certificate(&stage, folder);
    stage.namespace("armed-a", "armed");
    stage.apply(&pack("armed", "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding("armed", "armed", "1.0.0", ""));
    stage.condition("policybinding", "armed", None, "Enforced", "True");
    let nudge = |round: u64| {
        stage.kubectl(&["annotate", "namespace", "default", &format!("nudge=h{round}"), "--overwrite"]);
    };
    // One replica is not enough.
    let _a = Webhook::start(&stage, ports[0]);
    until("one replica counts", || (first.metric("webhook_replicas", "") == 1).then_some(()));
    first.passes(2, nudge);
    assert_eq!(hooks(&stage).len(), 0);
    let b = Webhook::start(&stage, ports[1]);
    until("it is armed", || (state(&stage)? == "armed").then_some(()));
    stage.condition("policybinding", "armed", None, "Ready", "True");
    let there = hooks(&stage);
    assert_eq!(there.len(), 2);
    for hook in there.iter().flat_map(|one| one["webhooks"].as_array().expect("webhooks")) {
        assert_eq!(hook["failurePolicy"], "Fail");
        assert!(hook["clientConfig"]["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty()));
    }

    // A replica that is away changes nothing, and an edit is drift.
    drop(b);
    let name = there[0]["metadata"]["name"].as_str().expect("a name");
    let kind = there[0]["kind"].as_str().expect("a kind");
    let ignore = r#"[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]"#;
    stage.kubectl(&["patch", kind, name, "--type=json", "-p", ignore]);
    until("it fails closed again", || {
        let hook = stage.get(kind, name, None)?;
        (hook["webhooks"][0]["failurePolicy"] == "Fail").then_some(())
    });
    // Nor does a successor that cannot see two replicas take them away.
    first.stop();
    let second = operator(&stage, ports).leads();
    second.passes(2, nudge);
    assert_eq!(hooks(&stage).len(), 2);

    // Deleted by hand: the way out. It stays away, under this operator and the next.
    let _b = Webhook::start(&stage, ports[1]);
    stage.kubectl(&["delete", kind, name]);
    until("it is disarmed", || (state(&stage)? == "disarmed" && hooks(&stage).is_empty()).then_some(()));
    second.passes(2, nudge);
    second.stop();
    let third = operator(&stage, ports).leads();
    third.passes(2, nudge);
    assert_eq!(hooks(&stage).len(), 0);
    let arm = r#"{"data": {"request": "arm"}}"#;
    stage.kubectl(&["patch", "configmap", "bailiwick-arming", "-n", SYSTEM, "-p", arm]);
    until("it is armed again", || (state(&stage)? == "armed" && hooks(&stage).len() == 2).then_some(()));
    let disarm = r#"{"data": {"request": "disarm"}}"#;
    stage.kubectl(&["patch", "configmap", "bailiwick-arming", "-n", SYSTEM, "-p", disarm]);
    until("it is disarmed", || (state(&stage)? == "disarmed" && hooks(&stage).is_empty()).then_some(()));
    third.stop();
}
