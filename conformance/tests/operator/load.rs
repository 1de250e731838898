//! Requests while something is renewed, dies or comes back: two real webhooks receive reviews all the time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bailiwick_conformance::api::{Api, path};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::faults::restart_api_server;
use crate::packs::{binding, pack};
use crate::stage::{SYSTEM, Stage, until, until_ok};
use crate::webhooks::{Webhook, hooks, operator, ports, state, take_certificate};

/// A Deployment whose template the pack allows, or one that shares the host's processes. The admission
/// policies do not judge templates, so only the webhook denies it.
fn deployment(bad: bool) -> String {
    let confined = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" } });
    let labels = json!({ "app": "agent" });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "generateName": "d-" },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "hostPID": bad, "containers": [{ "name": "main", "image": "registry.example.org/x:1", "securityContext": confined }] },
        } },
    })
    .to_string()
}

/// Requests it in a namespace, as a dry run; the answer's status, or 0 without an answer.
fn asked(api: &Api, namespace: &str, bad: bool) -> (u16, String) {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All");
    match api.ask("POST", &path, "application/json", &deployment(bad)) {
        Ok((status, answer)) => (status, answer["message"].as_str().unwrap_or_default().to_owned()),
        Err(_) => (0, String::new()),
    }
}

/// The results of a load.
struct Load {
    name: &'static str,
    stop: AtomicBool,
    good: AtomicUsize,
    refused: AtomicUsize,
    away: AtomicUsize,
}

impl Load {
    /// For the namespace and the pack of this name.
    fn on(name: &'static str) -> Self {
        let [good, refused, away] = [const { AtomicUsize::new(0) }; 3];
        Self { name, stop: AtomicBool::new(false), good, refused, away }
    }

    /// Requests in turn what is allowed and what is not, until it is stopped. What is not allowed is never
    /// admitted.
    fn run(&self, api: &Api) -> Vec<String> {
        let mut failed = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            for bad in [false, true] {
                match (asked(api, self.name, bad), bad) {
                    ((201, _), true) => panic!("what the pack refuses was admitted"),
                    ((201, _), false) => _ = self.good.fetch_add(1, Ordering::Relaxed),
                    ((403 | 422, said), true) if said.contains(&format!("{}@1.0.0", self.name)) => {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    ((status, said), _) => {
                        self.away.fetch_add(1, Ordering::Relaxed);
                        failed.push(format!("{status} {said}"));
                    }
                }
            }
        }
        failed
    }

    /// Waits until this many more of both were answered.
    fn more(&self, count: usize) {
        let (good, refused) = (self.good.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        until("requests are answered", || {
            let there = |now: &AtomicUsize, before: usize| now.load(Ordering::Relaxed) >= before + count;
            (there(&self.good, good) && there(&self.refused, refused)).then_some(())
        });
    }
}

/// A governed namespace, and two webhooks that an operator armed and that judge.
fn armed(stage: &Stage, name: &str, ports: [u16; 2]) -> [Webhook; 2] {
    stage.namespace(name, name);
    stage.apply(&pack(name, "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding(name, name, "1.0.0", ""));
    stage.condition("policybinding", name, None, "Enforced", "True");
    let webhooks = ports.map(|port| Webhook::start(stage, port));
    until("it is armed", || (state(stage)? == "armed").then_some(()));
    judges(stage, name);
    webhooks
}

/// Waits until the webhooks judge, as observed through the API server.
fn judges(stage: &Stage, name: &str) {
    until_ok("pods are judged as they should be", || {
        let [good, bad] = [false, true].map(|bad| asked(stage.api(), name, bad));
        let is_so = good.0 == 201 && bad.1.contains(&format!("{name}@1.0.0"));
        if is_so { Ok(()) } else { Err(format!("{good:?}, {bad:?}")) }
    });
}

/// PEM of a certificate with ten minutes left of five years, and of its key. `by`: who signs it; `None`: it
/// signs itself, as an authority.
fn old(by: Option<&Issuer<'_, KeyPair>>) -> (String, String) {
    let names = if by.is_some() {
        let service = "bailiwick-webhook.bailiwick-system.svc";
        vec![service.to_owned(), format!("{service}.cluster.local"), "127.0.0.1".to_owned()]
    } else {
        Vec::new()
    };
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = (SystemTime::now() - Duration::from_secs(5 * 365 * 86_400)).into();
    params.not_after = (SystemTime::now() + Duration::from_secs(600)).into();
    let key = KeyPair::generate().expect("a key");
    let certificate = match by {
        Some(issuer) => params.signed_by(&key, issuer),
        None => {
            params.distinguished_name.push(DnType::CommonName, "an old authority");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.self_signed(&key)
        }
    };
    (certificate.expect("a certificate").pem(), key.serialize_pem())
}

fn secret(name: &str, kind: &str, data: &[(&str, &str)]) -> String {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(member, text)| ((*member).to_owned(), json!(STANDARD.encode(text)))).collect();
    json!({ "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": { "name": name, "namespace": SYSTEM }, "data": data })
        .to_string()
}

/// The serial number of a webhook's serving certificate.
fn served(folder: &Path, port: u16) -> Option<String> {
    let connect = format!(
        "openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    serial(folder, &connect)
}

fn serial(folder: &Path, command: &str) -> Option<String> {
    let output =
        std::process::Command::new("bash").args(["-c", command]).current_dir(folder).output().expect("bash");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && text.starts_with("serial=")).then_some(text)
}

/// Replaces those in force by an authority and a certificate that soon expire: in the Secrets, the webhooks'
/// files and the configurations. Returns the serial number of the certificate.
fn grow_old(stage: &Stage) -> String {
    let folder = stage.folder.path();
    let (authority, authority_key) = old(None);
    let key = KeyPair::from_pem(&authority_key).expect("a key");
    let issuer = Issuer::from_ca_cert_pem(&authority, key).expect("an issuer");
    let (leaf, leaf_key) = old(Some(&issuer));
    stage.apply(&secret("bailiwick-ca", "Opaque", &[("ca.crt", &authority), ("ca.key", &authority_key)]));
    let members = [("tls.crt", leaf.as_str()), ("tls.key", leaf_key.as_str())];
    stage.apply(&secret("bailiwick-webhook-tls", "kubernetes.io/tls", &members));
    take_certificate(stage, folder);
    for mut hook in hooks(stage) {
        for one in hook["webhooks"].as_array_mut().expect("webhooks") {
            one["clientConfig"]["caBundle"] = json!(STANDARD.encode(&authority));
        }
        let text = |at: &str| hook.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let path = path(text("/kind"), None, text("/metadata/name")).expect("a kind");
        hook.as_object_mut().expect("an object").remove("kind");
        stage.api().send("PUT", &path, &hook).expect("another authority");
    }
    serial(folder, "openssl x509 -in tls.crt -noout -serial").expect("a serial number")
}

#[test]
fn authority_and_certificate_are_replaced_before_they_expire_and_no_request_fails() {
    let stage = Stage::new();
    let folder = stage.folder.path();
    let ports = ports();
    let first = operator(&stage, ports, &[]).leads();
    take_certificate(&stage, folder);
    let _webhooks = armed(&stage, "renewed", ports);
    first.stop();
    let old = grow_old(&stage);
    until("both webhooks serve the old certificate", || {
        ports.iter().all(|port| served(folder, *port).as_ref() == Some(&old)).then_some(())
    });
    judges(&stage, "renewed");
    let load = Load::on("renewed");
    let (operator, failed) = std::thread::scope(|scope| {
        let running = scope.spawn(|| load.run(stage.api()));
        let operator = operator(&stage, ports, &[]).leads();
        // The files follow the Secret, as with the kubelet.
        until("both webhooks serve a certificate of the new authority", || {
            take_certificate(&stage, folder);
            let serials = ports.map(|port| served(folder, port));
            let authority = stage.get("secret", "bailiwick-ca", Some(SYSTEM))?;
            let promoted = authority["data"]["previous.crt"].is_string();
            (promoted && serials.iter().all(|one| one.as_ref().is_some_and(|one| *one != old))).then_some(())
        });
        load.more(5);
        load.stop.store(true, Ordering::Relaxed);
        (operator, running.join().expect("the load"))
    });
    assert!(failed.is_empty(), "{failed:?}");
    let expires = operator.metric("certificate_expires_seconds", "");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    assert!(expires > now + 80 * 86_400, "{expires}");
    operator.stop();
}

#[test]
fn while_the_api_server_is_restarted_nothing_is_admitted_that_should_not_be() {
    let stage = Stage::new();
    let ports = ports();
    let operator = operator(&stage, ports, &["--lease-duration", "120"]).leads();
    take_certificate(&stage, stage.folder.path());
    let _webhooks = armed(&stage, "loaded", ports);
    let load = Load::on("loaded");
    let restarted = std::thread::scope(|scope| {
        let running = scope.spawn(|| load.run(stage.api()));
        load.more(3);
        let away = || {
            until("requests fail", || (load.away.load(Ordering::Relaxed) > 0).then_some(()));
        };
        let restarted = restart_api_server(&stage, away);
        if restarted.is_some() {
            // Both verdicts again, by the webhooks, without any intervention.
            load.more(5);
        }
        load.stop.store(true, Ordering::Relaxed);
        running.join().expect("the load");
        restarted
    });
    if restarted.is_none() {
        eprintln!("skipped: the cluster of KUBECONFIG is not restarted");
    }
    // The webhooks receive changes: no watch is dead.
    stage.kubectl(&["delete", "policybinding", "loaded"]);
    until("nothing is judged any more", || (asked(stage.api(), "loaded", true).0 == 201).then_some(()));
    operator.stop();
}
