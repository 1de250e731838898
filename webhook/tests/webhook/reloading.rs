//! Files change while requests run: the new ones take effect, no request fails, and files that cannot take
//! effect are reported.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::support::{Client, NAMESPACES, Server, bundle, command, folder, review, trusting, until};
use rcgen::{CertificateParams, KeyPair};

fn denied(server: &Server, spec: &str) -> bool {
    server.ask("/validate", &review("u", spec)).text().contains(r#""allowed":false"#)
}

/// Replaces a file atomically.
fn replace(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

/// Lets the clients end, even if the test fails while they run.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_changed_bundle_is_in_force_and_no_request_fails() {
    let server = Server::start(&[]);
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ends_clients = OnDrop(&done);
        for number in 0..4 {
            let (server, done, asked) = (&server, &done, &asked);
            scope.spawn(move || {
                // Both fields: denied by either bundle; a moment without one in force would allow it.
                let body = review("u", r#""hostPID":true,"hostNetwork":true"#);
                let mut client = server.client();
                while !done.load(Relaxed) {
                    if number == 0 {
                        client = server.client();
                    }
                    let answer = client.post("/validate", &body);
                    assert_eq!(answer.status, 200);
                    assert!(answer.text().contains(r#""allowed":false"#), "{}", answer.text());
                    asked.fetch_add(1, Relaxed);
                }
            });
        }
        for field in ["hostNetwork", "hostPID", "hostNetwork"] {
            replace(&server.path("bundles/bundle.json"), &bundle(field));
            until("the new bundle is in force", || denied(&server, &format!("\"{field}\":true")));
            let other = if field == "hostPID" { r#""hostNetwork":true"# } else { r#""hostPID":true"# };
            assert!(!denied(&server, other), "the old bundle is still in force");
        }
        until("requests ran beside it", || asked.load(Relaxed) > 20);
    });
    until("three reloads are counted", || {
        server.get("/metrics").text().contains(r#"reloads_total{what="policies"} 3"#)
    });
}

#[test]
fn a_bad_bundle_is_refused_loudly_and_the_old_one_stays() {
    let server = Server::start(&[]);
    let path = server.path("bundles/bundle.json");
    let good = fs::read(&path).unwrap();
    let newer =
        String::from_utf8(good.clone()).unwrap().replace(r#""formatVersion":2"#, r#""formatVersion":3"#);
    assert_ne!(newer.as_bytes(), good);
    let failures = |n: u32| {
        move |server: &Server| {
            server.get("/metrics").text().contains(&format!("reload_failures_total{{what=\"policies\"}} {n}"))
        }
    };
    for (count, bad) in [(1, &good[..good.len() / 2]), (2, newer.as_bytes()), (3, b"{}".as_slice())] {
        replace(&path, bad);
        until("the refusal is counted", || failures(count)(&server));
        let ready = server.get("/readyz");
        assert_eq!(ready.status, 200);
        assert!(ready.text().contains("changed files refused, older ones in force"), "{}", ready.text());
        assert!(server.get("/metrics").text().contains("webhook_stale 1"));
        server.assert_guards();
    }
    fs::remove_file(&path).unwrap();
    until("an empty folder is refused", || failures(4)(&server));
    server.assert_guards();
    let log = server.log();
    assert_eq!(log.matches("changed files refused; what was in force stays").count(), 4, "{log}");
    assert!(log.contains("no bundle in"), "{log}");
    replace(&path, &good);
    until("all is well again", || !server.get("/readyz").text().contains("refused"));
    assert!(server.get("/metrics").text().contains("webhook_stale 0"));
}

#[test]
fn a_changed_byte_that_gives_another_policy_is_refused_at_start_and_on_reload() {
    let good = bundle("hostPID");
    let listed = |bytes: &[u8]| {
        let digest = bailiwick_policy::bundle::digest(bytes);
        format!(r#"{{"formatVersion":1,"files":[{{"path":"bundle.json","sha256":"{digest}"}}]}}"#)
    };
    let changed = String::from_utf8(good.clone()).unwrap().replace("hostPID", "hostPIT");
    assert!(bailiwick_policy::bundle::load(changed.as_bytes()).is_ok(), "the attack is none");
    let server = {
        let dir = folder();
        fs::write(dir.path().join("bundles/artifacts.json"), listed(&good)).unwrap();
        let mut command = command(dir.path(), &["--self-signed", "--write-ca"]);
        command.arg(dir.path().join("ca.pem"));
        Server::spawn(dir, command)
    };
    server.assert_guards();
    replace(&server.path("bundles/bundle.json"), changed.as_bytes());
    until("the refusal is counted", || {
        server.get("/metrics").text().contains(r#"reload_failures_total{what="policies"} 1"#)
    });
    assert!(server.get("/readyz").text().contains("its bytes were changed"));
    server.assert_guards();
    // A new server does not start with it either.
    let mut again = command(server.dir.path(), &["--self-signed"]);
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("its bytes were changed"), "{said}");
    // A list that arrives after its bundle is noticed without a signal.
    replace(&server.path("bundles/bundle.json"), &bundle("hostNetwork"));
    replace(&server.path("bundles/artifacts.json"), listed(&bundle("hostNetwork")).as_bytes());
    until("the new bundle is in force", || denied(&server, r#""hostNetwork":true"#));
}

#[test]
fn a_config_map_swaps_a_symbolic_link() {
    let dir = folder();
    // The layout of a mounted ConfigMap: bundle.json -> ..data/bundle.json, ..data -> ..2026_1
    let bundles = dir.path().join("bundles");
    fs::remove_file(bundles.join("bundle.json")).unwrap();
    for (version, field) in [("..2026_1", "hostPID"), ("..2026_2", "hostNetwork")] {
        fs::create_dir(bundles.join(version)).unwrap();
        fs::write(bundles.join(version).join("bundle.json"), bundle(field)).unwrap();
    }
    symlink("..2026_1", bundles.join("..data")).unwrap();
    symlink("..data/bundle.json", bundles.join("bundle.json")).unwrap();
    let mut command = command(dir.path(), &[]);
    command.arg("--self-signed").arg("--write-ca").arg(dir.path().join("ca.pem"));
    let server = Server::spawn(dir, command);
    assert!(denied(&server, r#""hostPID":true"#));
    symlink("..2026_2", server.path("bundles/..data_tmp")).unwrap();
    fs::rename(server.path("bundles/..data_tmp"), server.path("bundles/..data")).unwrap();
    until("the new version is in force", || denied(&server, r#""hostNetwork":true"#));
    assert!(!denied(&server, r#""hostPID":true"#));
}

#[test]
fn changed_namespaces_are_in_force() {
    let server = Server::start(&[]);
    assert!(denied(&server, r#""hostPID":true"#));
    let ungoverned = NAMESPACES.replace("labels: {zone: agents}", "labels: {zone: other}");
    replace(&server.path("namespaces.yaml"), ungoverned.as_bytes());
    until("the namespace is no longer governed", || !denied(&server, r#""hostPID":true"#));
    replace(&server.path("namespaces.yaml"), b"kind: Pod");
    until("a wrong file is refused", || server.get("/readyz").text().contains("is not a Namespace"));
    replace(&server.path("namespaces.yaml"), NAMESPACES.as_bytes());
    until("the namespace is governed again", || denied(&server, r#""hostPID":true"#));
}

#[test]
fn a_hangup_reloads_at_once() {
    let server = Server::start(&[]);
    server.signal("HUP");
    until("it is counted", || server.get("/metrics").text().contains(r#"reloads_total{what="policies"} 1"#));
    server.assert_guards();
}

#[test]
fn a_pipe_among_the_bundles_is_refused_and_waited_for_by_nobody() {
    let Rotating { server, cert, key, second } = rotating();
    let pipe = server.path("bundles/x.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    until("the pipe is refused", || server.get("/readyz").text().contains("x.json` is not a regular file"));
    server.assert_guards();
    // Requests go on during the reload.
    replace(&cert, second.0.as_bytes());
    replace(&key, second.1.as_bytes());
    let trusts_second = server.path("second.pem");
    until("the new certificate is served", || {
        Client::try_connect(server.address, trusting(&trusts_second)).is_ok()
    });
}

/// A server whose certificate and key are files, and the pair that replaces them; `second.pem` in its folder
/// is that pair's authority.
struct Rotating {
    server: Server,
    cert: PathBuf,
    key: PathBuf,
    second: (String, String),
}

fn rotating() -> Rotating {
    let dir = folder();
    let (first, second) = (certificate(), certificate());
    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    fs::write(dir.path().join("ca.pem"), &first.0).unwrap();
    fs::write(dir.path().join("second.pem"), &second.0).unwrap();
    fs::write(&cert, &first.0).unwrap();
    fs::write(&key, &first.1).unwrap();
    let mut command = command(dir.path(), &[]);
    command.arg("--tls-cert").arg(&cert).arg("--tls-key").arg(&key);
    let server = Server::spawn(dir, command);
    Rotating { server, cert, key, second }
}

/// A certificate for localhost that is its own authority, and its key.
fn certificate() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}

#[test]
fn a_changed_certificate_is_served_to_new_connections_and_old_ones_go_on() {
    let Rotating { server, cert, key, second } = rotating();
    let mut old = server.client();
    assert_eq!(old.post("/validate", &review("u", "")).status, 200);

    // Half of a rotation: certificate and key do not match, so the old pair stays.
    replace(&cert, second.0.as_bytes());
    until("the mismatch is refused", || {
        let mut client = server.client();
        client
            .send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            .text()
            .contains("certificate and key cannot be served")
    });
    server.assert_guards();

    replace(&key, second.1.as_bytes());
    let trusts_second = Arc::new(server.path("second.pem"));
    until("the new certificate is served", || {
        Client::try_connect(server.address, trusting(&trusts_second)).is_ok()
    });
    assert!(Client::try_connect(server.address, trusting(&server.path("ca.pem"))).is_err());
    assert_eq!(old.post("/validate", &review("u", "")).status, 200, "the old connection goes on");
    let mut new = Client::connect(server.address, &trusts_second);
    assert!(new.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").text().starts_with("ok\nbundle"));
}

#[test]
fn bundles_and_certificates_change_while_requests_run_and_none_fails() {
    let dir = folder();
    let pairs = [certificate(), certificate(), certificate()];
    // Clients trust all of them, as a caBundle does during a rotation.
    fs::write(dir.path().join("ca.pem"), pairs.iter().map(|(cert, _)| cert.as_str()).collect::<String>())
        .unwrap();
    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    fs::write(&cert, &pairs[0].0).unwrap();
    fs::write(&key, &pairs[0].1).unwrap();
    let mut command = command(dir.path(), &[]);
    command.arg("--tls-cert").arg(&cert).arg("--tls-key").arg(&key);
    let server = Server::spawn(dir, command);
    let served = |number: usize| {
        let only = server.path("only.pem");
        fs::write(&only, &pairs[number].0).unwrap();
        Client::try_connect(server.address, trusting(&only)).is_ok()
    };
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ends_clients = OnDrop(&done);
        for number in 0..4 {
            let (server, done, asked) = (&server, &done, &asked);
            scope.spawn(move || {
                let body = review("u", r#""hostPID":true,"hostNetwork":true"#);
                let mut client = server.client();
                while !done.load(Relaxed) {
                    // Half of them make a new handshake for each request, the others stay on one connection.
                    if number % 2 == 0 {
                        client = server.client();
                    }
                    let answer = client.post("/validate", &body);
                    assert_eq!(answer.status, 200);
                    assert!(answer.text().contains(r#""allowed":false"#), "{}", answer.text());
                    asked.fetch_add(1, Relaxed);
                }
            });
        }
        for (number, field) in [(1, "hostNetwork"), (2, "hostPID"), (0, "hostNetwork")] {
            let before = asked.load(Relaxed);
            replace(&cert, pairs[number].0.as_bytes());
            replace(&server.path("bundles/bundle.json"), &bundle(field));
            replace(&key, pairs[number].1.as_bytes());
            until("the new certificate is served", || served(number));
            until("the new bundle is in force", || denied(&server, &format!("\"{field}\":true")));
            until("requests run beside it", || asked.load(Relaxed) > before);
        }
        until("requests ran beside it", || asked.load(Relaxed) > 20);
    });
}
