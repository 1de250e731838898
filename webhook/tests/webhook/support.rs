//! Starts the real program on loopback with a folder of its own, and talks to it over TLS with a verified
//! certificate.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_policy::ir::{Cel, Const, Expr, Root};
use bailiwick_policy::policy::{
    Action, Admission, AdmissionRule, LabelSelector, Match, Origin, PackSource, Policy, ResourceRule,
    Subject, Unmatched, Validation,
};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

/// Long enough for a busy machine; nothing here is a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A bundle whose only rule forbids pods that have `spec.FIELD`.
pub(crate) fn bundle(field: &str) -> Vec<u8> {
    let spec = Expr::Select(Box::new(Expr::Root(Root::Object)), "spec".into());
    let expr = Expr::Not(Box::new(Expr::Has(Box::new(spec), field.into())));
    bundle_of(field, Cel { source: format!("!has(object.spec.{field})"), expr, slots: 0 })
}

/// A bundle whose only rule requires that this holds.
pub(crate) fn bundle_of(field: &str, expression: Cel) -> Vec<u8> {
    bundle_with(field, expression, Vec::new())
}

/// The same, with the patterns that the expression matches against.
pub(crate) fn bundle_with(field: &str, expression: Cel, regexes: Vec<String>) -> Vec<u8> {
    let from = vec![Origin { pack: 0, at: "spec.subjects".into() }];
    let pods = ResourceRule {
        api_groups: vec![String::new()],
        api_versions: vec!["v1".into()],
        resources: vec!["pods".into()],
        operations: vec!["CREATE".into(), "UPDATE".into()],
    };
    let rule = AdmissionRule {
        name: format!("no-{}", field.to_lowercase()),
        origin: Origin { pack: 0, at: "spec.admission.rules[0]".into() },
        matches: Match { resources: vec![pods], ..Match::default() },
        pod_templates: true,
        variables: vec![],
        validations: vec![Validation {
            expression,
            message: Some(format!("{field} is forbidden")),
            message_expression: None,
            reason: "Invalid".into(),
            remedy: Some(format!("remove {field}")),
        }],
        mutations: vec![],
        audit_annotations: vec![],
        action: Action::Deny,
        exceptable: false,
        rego: None,
    };
    let policy = Policy {
        cell: "0123456789abcdef".into(),
        subject: Some(Subject {
            namespaces: vec![LabelSelector {
                match_labels: [("zone".to_owned(), "agents".to_owned())].into(),
                ..LabelSelector::default()
            }],
            pods: vec![],
            exclusive: false,
            unmatched: Unmatched::Allow,
            from,
        }),
        admission: Admission { rules: vec![rule], regexes, ..Admission::default() },
        ..Policy::top(vec![PackSource {
            name: "test".into(),
            version: "1.0.0".into(),
            digest: "0".repeat(64),
            parameters_digest: "0".repeat(64),
            parameters: Const::Map(vec![]),
        }])
    };
    bailiwick_policy::bundle::write(&policy).unwrap()
}

pub(crate) const NAMESPACES: &str = "apiVersion: v1\nkind: List\nitems:\n\
    - {apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {zone: agents}}}\n\
    - {apiVersion: v1, kind: Namespace, metadata: {name: default}}\n";

/// A review of the creation of a pod in namespace `agents`, with two containers and this JSON in its spec.
pub(crate) fn review(uid: &str, spec: &str) -> Vec<u8> {
    let more = if spec.is_empty() { String::new() } else { format!("{spec},") };
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{uid}",
        "kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},
        "name":"p","namespace":"agents","operation":"CREATE","userInfo":{{"username":"admin"}},
        "object":{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p","namespace":"agents",
        "labels":{{"bailiwick.dev/cell":"0123456789abcdef"}}}},
        "spec":{{{more}"containers":[{{"name":"a","image":"a"}},{{"name":"b","image":"b"}}]}}}},
        "oldObject":null,"dryRun":false}}}}"#
    )
    .into_bytes()
}

/// The server and its folder: `bundles/bundle.json`, `namespaces.yaml`, `ca.pem`.
pub(crate) struct Server {
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) child: Child,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a bundle that forbids hostPID.
pub(crate) fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bundles")).unwrap();
    fs::write(dir.path().join("bundles/bundle.json"), bundle("hostPID")).unwrap();
    fs::write(dir.path().join("namespaces.yaml"), NAMESPACES).unwrap();
    dir
}

/// The command that serves a folder with these further arguments, on a free port and without a drain wait
/// unless they say otherwise.
pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick-webhook"));
    command
        .arg("serve")
        .arg("--bundles")
        .arg(dir.join("bundles"))
        .arg("--namespaces")
        .arg(dir.join("namespaces.yaml"));
    for (name, value) in [("--listen", "127.0.0.1:0"), ("--drain-delay", "0s")] {
        if !arguments.contains(&name) {
            command.args([name, value]);
        }
    }
    command.args(arguments);
    command
}

impl Server {
    /// Self-signed, with further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = folder();
        let ca = dir.path().join("ca.pem");
        let mut command = command(dir.path(), arguments);
        command.arg("--self-signed").arg("--write-ca").arg(&ca);
        Self::spawn(dir, command)
    }

    pub(crate) fn spawn(dir: TempDir, mut command: Command) -> Self {
        let log = dir.path().join("log");
        let mut child =
            command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on https://") else {
            panic!("did not start: {line}{}", fs::read_to_string(&log).unwrap());
        };
        Self { address: address.parse().unwrap(), dir, child, log }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The most memory that it ever had.
    pub(crate) fn most_resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address, &self.path("ca.pem"))
    }

    /// One request over a new connection.
    pub(crate) fn ask(&self, path: &str, body: &[u8]) -> Answer {
        self.client().post(path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }

    /// Allows a good pod and denies a bad one, on a new connection: the server is alive and enforces.
    pub(crate) fn assert_guards(&self) {
        let mut client = self.client();
        assert!(client.post("/validate", &review("good", "")).text().contains(r#""allowed":true"#));
        assert!(
            client
                .post("/validate", &review("bad", r#""hostPID":true"#))
                .text()
                .contains(r#""allowed":false"#)
        );
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "did not come: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A TLS client configuration that trusts one authority.
pub(crate) fn trusting(ca: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(cert.unwrap()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// One HTTP/1.1 connection.
pub(crate) struct Client(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr, ca: &Path) -> Self {
        Self::try_connect(address, trusting(ca)).unwrap()
    }

    pub(crate) fn try_connect(address: SocketAddr, config: ClientConfig) -> std::io::Result<Self> {
        Self::try_connect_as("localhost", address, config)
    }

    /// Connects, and expects a certificate for this name.
    pub(crate) fn try_connect_as(
        name: &'static str,
        address: SocketAddr,
        config: ClientConfig,
    ) -> std::io::Result<Self> {
        Self::over_as(name, TcpStream::connect(address)?, config)
    }

    /// Over a connection that is open.
    pub(crate) fn over(tcp: TcpStream, config: ClientConfig) -> std::io::Result<Self> {
        Self::over_as("localhost", tcp, config)
    }

    fn over_as(name: &'static str, mut tcp: TcpStream, config: ClientConfig) -> std::io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Self(StreamOwned::new(tls, tcp)))
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        let mut request = head(path, body.len()).into_bytes();
        request.extend_from_slice(body);
        self.send(&request)
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> Answer {
        self.0.write_all(request).unwrap();
        self.0.flush().unwrap();
        self.read().expect("an answer")
    }

    /// The next answer; `None` when the connection ends without one.
    pub(crate) fn read(&mut self) -> Option<Answer> {
        let mut got = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let head_end = got.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            if let Some(start) = head_end {
                let head = String::from_utf8(got[..start].to_vec()).unwrap().to_ascii_lowercase();
                let length: usize = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |text| text.parse().unwrap());
                if got.len() >= start + length {
                    let status = head.get(9..12).unwrap().parse().unwrap();
                    return Some(Answer { status, head, body: got[start..start + length].to_vec() });
                }
            }
            match self.0.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(n) => got.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

pub(crate) fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}
