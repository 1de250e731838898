//! Starting with files that cannot be served, and shutting down.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use crate::support::{Server, command, folder, head, review, until};

#[test]
fn what_cannot_be_enforced_does_not_start() {
    let not = |prepare: &dyn Fn(&std::path::Path), arguments: &[&str], says: &str| {
        let dir = folder();
        prepare(dir.path());
        let output = command(dir.path(), arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{says}");
        assert!(said.contains(says), "{says}: {said}");
        assert!(output.stdout.is_empty(), "no ready line: {says}");
    };
    let signed = ["--self-signed"];
    not(&|dir| fs::remove_file(dir.join("bundles/bundle.json")).unwrap(), &signed, "no bundle in");
    not(&|dir| fs::write(dir.join("bundles/bundle.json"), "{}").unwrap(), &signed, "bundle.json");
    not(&|dir| fs::write(dir.join("bundles/other.json"), "{}").unwrap(), &signed, "other.json");
    not(&|dir| fs::remove_file(dir.join("namespaces.yaml")).unwrap(), &signed, "namespaces.yaml");
    not(&|dir| fs::write(dir.join("namespaces.yaml"), "kind: Pod").unwrap(), &signed, "is not a Namespace");
    not(&|_| (), &["--tls-cert", "/proc/version", "--tls-key", "/proc/version"], "holds no certificate");
    not(&|_| (), &["--tls-cert", "/dev/null", "--tls-key", "/dev/null"], "`/dev/null` is not a regular file");
    not(&|_| (), &["--tls-cert", "/dev/null"], "--tls-key");
    not(&|_| (), &[], "--self-signed");
    not(&|_| (), &["--self-signed", "--listen", "192.0.2.1:1"], "cannot listen on 192.0.2.1:1");
    not(&|_| (), &["--self-signed", "--idle-timeout", "soon"], "is not a duration");
}

#[test]
fn help_shows_an_example() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bailiwick-webhook"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(help.contains("Example:\n") && help.contains("bailiwick-webhook serve --bundles"), "{help}");
}

#[test]
fn what_lies_beside_a_bundle_is_no_bundle() {
    let dir = folder();
    for name in ["artifacts.json", "report.json", ".hidden.json", "notes.txt"] {
        fs::write(dir.path().join("bundles").join(name), r#"{"files":[]}"#).unwrap();
    }
    fs::create_dir(dir.path().join("bundles/kubernetes")).unwrap();
    fs::write(dir.path().join("bundles/kubernetes/x.json"), "{}").unwrap();
    let mut command = command(dir.path(), &[]);
    command.arg("--self-signed").arg("--write-ca").arg(dir.path().join("ca.pem"));
    Server::spawn(dir, command).assert_guards();
}

#[test]
fn ending_finishes_what_is_in_progress() {
    // Long enough for a busy machine to observe it while it drains, and for the rest of the review to arrive
    // after that.
    let mut server =
        Server::start(&["--drain-delay", "4s", "--drain-timeout", "60s", "--body-timeout", "60s"]);
    let body = review("last", r#""hostPID":true"#);
    let mut client = server.client();
    client.0.write_all(head("/validate?timeout=30s", body.len()).as_bytes()).unwrap();
    client.0.write_all(&body[..100]).unwrap();
    client.0.flush().unwrap();
    until("it is in progress", || server.get("/metrics").text().contains("in_flight 1"));
    let mut idle = server.client();
    server.signal("TERM");
    until("it is not ready, but serves", || {
        let ready = server.get("/readyz");
        ready.status == 503 && ready.text().contains("draining")
    });
    server.assert_guards();
    until("it accepts nobody", || TcpStream::connect(server.address).is_err());
    assert!(
        client.send(&body[100..]).text().contains(r#""allowed":false"#),
        "the review in progress is answered"
    );
    assert!(idle.read().is_none(), "a resting connection is closed");
    assert!(server.child.wait().unwrap().success());
    assert!(server.log().contains("ended"));
}
