//! Real webhooks next to the operator, and what registers them.

use std::path::Path;

use bailiwick_conformance::programs::{self, Running};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::stage::{Operator, SYSTEM, Stage, until};

const HOOKS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

pub(crate) fn state(stage: &Stage) -> Option<String> {
    let record = stage.get("configmap", "bailiwick-arming", Some(SYSTEM))?;
    Some(record["data"]["state"].as_str()?.to_owned())
}

/// Two ports that nothing listens on now.
pub(crate) fn ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// Writes the leaf of the Secret to where a webhook reads it.
pub(crate) fn take_certificate(stage: &Stage, folder: &Path) {
    let leaf = until("the leaf", || stage.get("secret", "bailiwick-webhook-tls", Some(SYSTEM)));
    for member in ["tls.crt", "tls.key"] {
        let bytes = STANDARD.decode(leaf["data"][member].as_str().expect("a member")).expect("base64");
        std::fs::write(folder.join("fresh"), bytes).expect("written");
        std::fs::rename(folder.join("fresh"), folder.join(member)).expect("in its place");
    }
}

pub(crate) struct Webhook(Running);

impl Webhook {
    /// Started on the cluster's own packs and bindings.
    pub(crate) fn start(stage: &Stage, port: u16) -> Self {
        let folder = stage.folder.path();
        let program = programs::find("bailiwick-webhook").expect("the program is built");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("webhook.log"))
            .expect("a log");
        let mut command = std::process::Command::new(program);
        command
            .args(["serve", "--cluster", "--policy-namespace", SYSTEM])
            .env("KUBECONFIG", stage.kubeconfig())
            .args(["--tls-cert", "tls.crt", "--tls-key", "tls.key", "--listen", &format!("127.0.0.1:{port}")])
            .current_dir(folder)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(log);
        Self(Running::start(&mut command).expect("the webhook runs"))
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        self.0.signal(name).expect("a signal");
    }
}

pub(crate) fn operator(stage: &Stage, ports: [u16; 2], more: &[&str]) -> Operator {
    let url = format!("https://127.0.0.1:{}", ports[0]);
    let [a, b] = ports.map(|port| format!("127.0.0.1:{port}"));
    let own = [
        "--webhook-url",
        &url,
        "--webhook-replica",
        &a,
        "--webhook-replica",
        &b,
        "--webhook-name",
        "127.0.0.1",
    ];
    stage.operator(&[&own[..], more].concat())
}

pub(crate) fn hooks(stage: &Stage) -> Vec<Value> {
    HOOKS.iter().flat_map(|kind| stage.list(kind, None)).collect()
}
