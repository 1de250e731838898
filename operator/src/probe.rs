//! Probes the webhook's replicas: which policies they decide by, before anything depends on them.
//!
//! A replica counts if it judges a review over TLS that the bundle in force verifies, and serves every
//! expected digest at its stage. It is contacted at its own address, not through the Service, so that two answers come
//! from two replicas.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ListParams};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::debug;

use crate::limits::{MAX_ANSWER_BYTES, MAX_REPLICAS, PROBE_TIMEOUT};

/// `uid` of the probe's review.
const UID: &str = "bailiwick-operator-probe";

/// Where the replicas are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// Behind a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// At these addresses, outside the cluster.
    At(Vec<SocketAddr>),
}

/// Why a replica does not count.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProbeError {
    #[error("no answer within {PROBE_TIMEOUT:?}")]
    Timeout,
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the trusted authorities cannot be used: {0}")]
    Authorities(String),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("its answer is too large or broken")]
    Body,
    #[error("it does not judge: {0}")]
    Review(String),
    #[error("it does not decide by `{0}` yet")]
    Digest(String),
}

/// Probes replicas.
pub struct Prober {
    client: Client,
    replicas: Replicas,
    /// The name that the certificate must have.
    server_name: String,
}

impl Prober {
    /// `server_name` is a name in the webhook's certificate.
    #[must_use]
    pub const fn new(client: Client, replicas: Replicas, server_name: String) -> Self {
        Self { client, replicas, server_name }
    }

    /// How many replicas decide by everything that is expected.
    pub async fn count(&self, bundle: &str, expected: &BTreeSet<String>) -> usize {
        let asked = self.addresses().await.into_iter().map(|address| async move {
            let asked = timeout(PROBE_TIMEOUT, self.ask(address, bundle, expected));
            let answer = asked.await.map_err(|_| ProbeError::Timeout).and_then(|answer| answer);
            if let Err(error) = &answer {
                debug!(%address, %error, "a replica of the webhook does not count");
            }
            usize::from(answer.is_ok())
        });
        // All at once: the pass waits for those that do not answer no longer than for one of them.
        join_all(asked).await.into_iter().sum()
    }

    async fn addresses(&self) -> Vec<SocketAddr> {
        let (namespace, name) = match &self.replicas {
            Replicas::At(addresses) => return addresses.iter().take(MAX_REPLICAS).copied().collect(),
            Replicas::Service { namespace, name } => (namespace, name),
        };
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let Ok(Ok(list)) = timeout(PROBE_TIMEOUT, slices.list(&params)).await else { return Vec::new() };
        let mut all = BTreeSet::new();
        for slice in list.items {
            let port = slice
                .ports
                .iter()
                .flatten()
                .find_map(|port| port.port)
                .and_then(|port| u16::try_from(port).ok());
            for endpoint in slice.endpoints.iter().flatten() {
                let ready =
                    endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false));
                let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
                if let (true, Some(address), Some(port)) = (ready, address, port) {
                    all.insert(SocketAddr::new(address, port));
                }
            }
        }
        all.into_iter().take(MAX_REPLICAS).collect()
    }

    async fn ask(
        &self,
        address: SocketAddr,
        bundle: &str,
        expected: &BTreeSet<String>,
    ) -> Result<(), ProbeError> {
        let wrong = |error: &dyn std::fmt::Display| ProbeError::Authorities(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.server_name.clone()).map_err(|error| wrong(&error))?;
        let stream = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let asked = async {
            self.review(&mut sender).await?;
            self.digests(&mut sender, expected).await
        };
        let result = asked.await;
        driver.abort();
        result
    }

    async fn send(
        &self,
        sender: &mut http1::SendRequest<Full<Bytes>>,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, ProbeError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.server_name)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| ProbeError::Body)?;
        let answer = sender.send_request(request).await?;
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|_| ProbeError::Body)?;
        Ok(body.to_bytes().to_vec())
    }

    /// A review of an object that no policy denies: what counts is that it was judged at all.
    async fn review(&self, sender: &mut http1::SendRequest<Full<Bytes>>) -> Result<(), ProbeError> {
        let kind = json!({ "group": "", "version": "v1", "kind": "ConfigMap" });
        let resource = json!({ "group": "", "version": "v1", "resource": "configmaps" });
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": UID, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
                "name": "probe", "namespace": "kube-system", "operation": "CREATE", "dryRun": true,
                "userInfo": { "username": "bailiwick-operator" }, "options": null, "oldObject": null,
                "object": {
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": "probe", "namespace": "kube-system" },
                },
            },
        });
        let body = self.send(sender, Method::POST, "/validate", review.to_string().into_bytes()).await?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|_| ProbeError::Review(String::from_utf8_lossy(&body).chars().take(200).collect()))?;
        let allowed = answer.pointer("/response/allowed").and_then(Value::as_bool);
        let same = answer.pointer("/response/uid").and_then(Value::as_str) == Some(UID);
        if same && allowed == Some(true) { Ok(()) } else { Err(ProbeError::Review(answer.to_string())) }
    }

    async fn digests(
        &self,
        sender: &mut http1::SendRequest<Full<Bytes>>,
        expected: &BTreeSet<String>,
    ) -> Result<(), ProbeError> {
        let body = self.send(sender, Method::GET, "/readyz", Vec::new()).await?;
        let text = String::from_utf8_lossy(&body);
        match missing(&text, expected) {
            None => Ok(()),
            Some(digest) => Err(ProbeError::Digest(digest.to_owned())),
        }
    }
}

/// The first expected digest that an answer of `/readyz` does not list with its stage; its first line is `ok`
/// if the replica is ready.
fn missing<'e>(text: &str, expected: &'e BTreeSet<String>) -> Option<&'e str> {
    let ready = text.lines().next() == Some("ok");
    let said = |line: &str| {
        let mut words = line.split_whitespace();
        let digest = words.find_map(|word| word.strip_prefix("sha256:"))?;
        let stage = words.skip_while(|word| *word != "stage").nth(1)?;
        Some(format!("{digest} {stage}"))
    };
    let served: BTreeSet<String> = text.lines().filter_map(said).collect();
    let mut unserved =
        expected.iter().map(String::as_str).filter(|digest| !ready || !served.contains(*digest));
    unserved.next().or((!ready).then_some("ready"))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Whether the other side keeps the connection, whatever it sent.
    fn is_open(mut stream: &TcpStream) -> bool {
        stream.set_nonblocking(true).expect("a socket");
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn replicas_that_do_not_answer_are_waited_for_together() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let replicas = Replicas::At(vec![listener.local_addr().expect("an address"); 4]);
        // Takes all connections before it gives one up.
        let taken = std::thread::spawn(move || {
            let taken: Vec<TcpStream> = (0..4).map(|_| listener.accept().expect("a probe").0).collect();
            taken.iter().filter(|stream| is_open(stream)).count()
        });
        let config = kube::Config::new("http://127.0.0.1:1".parse().expect("a URL"));
        let client = Client::try_from(config).expect("a client");
        let prober = Prober::new(client, replicas, "webhook.example.org".to_owned());
        assert_eq!(prober.count("", &BTreeSet::new()).await, 0);
        assert_eq!(taken.join().expect("the replica"), 4, "one was given up before the last was asked");
    }

    #[test]
    fn every_expected_digest_must_be_served_by_one_that_is_ready() {
        let expected = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<BTreeSet<_>>();
        let text = "ok\nbundle a sha256:aa cell 1 stage Enforce\nbundle b sha256:bb cell 2 stage Audit\n";
        assert_eq!(missing(text, &expected(&["aa Enforce", "bb Audit"])), None);
        assert_eq!(missing(text, &expected(&["aa Enforce", "cc Enforce"])), Some("cc Enforce"));
        // By a weaker stage, and by a replica that does not say.
        assert_eq!(missing(text, &expected(&["bb Enforce"])), Some("bb Enforce"));
        assert_eq!(
            missing("ok\nbundle a sha256:aa cell 1\n", &expected(&["aa Enforce"])),
            Some("aa Enforce")
        );
        assert_eq!(missing(text, &expected(&[])), None);
        assert_eq!(missing("draining\n", &expected(&[])), Some("ready"));
        assert_eq!(
            missing("draining\nbundle a sha256:aa cell 1 stage Warn\n", &expected(&["aa Warn"])),
            Some("aa Warn")
        );
    }
}
