//! The webhook's certificates in the cluster.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::stage::{SYSTEM, Stage, until};

const AUTHORITY: &str = "bailiwick-ca";
const LEAF: &str = "bailiwick-webhook-tls";

fn secret(stage: &Stage, name: &str) -> Option<Value> {
    Some(stage.get("secret", name, Some(SYSTEM))?["data"].clone())
}

fn text(data: &Value, member: &str) -> String {
    let bytes = STANDARD.decode(data[member].as_str().expect("a member")).expect("base64");
    String::from_utf8(bytes).expect("UTF-8")
}

/// Whether openssl accepts the leaf for the webhook's name under these authorities.
fn verifies(stage: &Stage, leaf: &str, authorities: &str) -> bool {
    let path = |name: &str| stage.folder.path().join(name);
    std::fs::write(path("leaf.pem"), leaf).expect("written");
    std::fs::write(path("authorities.pem"), authorities).expect("written");
    let output = std::process::Command::new("openssl")
        .args(["verify", "-verify_hostname", "bailiwick-webhook.bailiwick-system.svc", "-CAfile"])
        .arg(path("authorities.pem"))
        .arg(path("leaf.pem"))
        .output()
        .expect("openssl runs");
    output.status.success()
}

#[test]
fn the_operator_makes_certificates_keeps_them_and_puts_them_back() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    let leaf = until("the leaf", || secret(&stage, LEAF));
    let authority = until("the authority", || secret(&stage, AUTHORITY));
    assert!(verifies(&stage, &text(&leaf, "tls.crt"), &text(&authority, "ca.crt")));
    assert!(text(&leaf, "tls.key").contains("PRIVATE KEY"));
    assert!(leaf.get("ca.key").is_none(), "the webhook mounts no key of an authority");
    // Deleted, or its content replaced: restored as before.
    stage.kubectl(&["delete", "secrets", AUTHORITY, LEAF, "-n", SYSTEM]);
    until("both are back", || {
        (secret(&stage, LEAF)? == leaf && secret(&stage, AUTHORITY)? == authority).then_some(())
    });
    let patch = json!({ "data": { "tls.key": STANDARD.encode("nothing") } }).to_string();
    stage.kubectl(&["patch", "secret", LEAF, "-n", SYSTEM, "-p", &patch]);
    until("the key is back", || (secret(&stage, LEAF)? == leaf).then_some(()));
    operator.stop();
    let successor = stage.operator(&[]).leads();
    successor.passes(2, |round| {
        stage.nudge(&format!("c{round}"));
    });
    assert_eq!((secret(&stage, LEAF), secret(&stage, AUTHORITY)), (Some(leaf), Some(authority)));
    successor.stop();
}

#[test]
fn a_certificate_about_to_expire_is_renewed_before_it_does() {
    let stage = Stage::new();
    let first = stage.operator(&[]).leads();
    let authority = until("the authority", || secret(&stage, AUTHORITY));
    let before = until("the leaf", || secret(&stage, LEAF));
    first.stop();
    // The same authority, the right names, and ten minutes left of ninety days.
    let names =
        ["bailiwick-webhook.bailiwick-system.svc", "bailiwick-webhook.bailiwick-system.svc.cluster.local"];
    let mut params = CertificateParams::new(names.map(str::to_owned).to_vec()).expect("names");
    params.not_before = (SystemTime::now() - Duration::from_secs(90 * 86_400)).into();
    params.not_after = (SystemTime::now() + Duration::from_secs(600)).into();
    let key = KeyPair::from_pem(&text(&authority, "ca.key")).expect("a key");
    let issuer = Issuer::from_ca_cert_pem(&text(&authority, "ca.crt"), key).expect("an issuer");
    let key = KeyPair::generate().expect("a key");
    let old = params.signed_by(&key, &issuer).expect("a certificate").pem();
    let data = json!({ "data": { "tls.crt": STANDARD.encode(&old), "tls.key": STANDARD.encode(key.serialize_pem()) } });
    stage.kubectl(&["patch", "secret", LEAF, "-n", SYSTEM, "-p", &data.to_string()]);
    assert!(verifies(&stage, &old, &text(&authority, "ca.crt")), "it still is good");

    let operator = stage.operator(&[]).leads();
    let renewed = until("a new leaf", || {
        let leaf = secret(&stage, LEAF)?;
        (text(&leaf, "tls.crt") != old).then_some(leaf)
    });
    assert_ne!(renewed, before);
    assert_eq!(secret(&stage, AUTHORITY), Some(authority.clone()));
    assert!(verifies(&stage, &text(&renewed, "tls.crt"), &text(&authority, "ca.crt")));
    let expires = operator.metric("certificate_expires_seconds", "");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    assert!(expires > now + 80 * 86_400, "{expires}");
    operator.stop();
}
