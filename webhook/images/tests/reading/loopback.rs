//! A minimal registry that answers as a test tells it to, and content that cosign 3.1.1 signed
//! (`conformance/images`).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_images::{Checker, Settings, public_key};
use bailiwick_policy::admission::evidence::{Demand, ImageFacts, Signatures, Signers, TrustRoot, Wants};
use bailiwick_policy::admission::images::Reference;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

/// Long enough for any machine; nothing takes this long when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The parts of a request that tests look at.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// This many zeros, with a `Content-Length`.
    Announced(u64),
    /// Endless zeros, in chunks.
    Endless,
    /// No answer at all.
    Never,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    pub(crate) fn bytes(body: Vec<u8>) -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::Bytes(body) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A running registry.
pub(crate) struct LoopbackRegistry {
    pub(crate) host: String,
    pub(crate) seen: Arc<Mutex<Vec<Request>>>,
    pub(crate) sent: Arc<AtomicU64>,
}

pub(crate) type Answers = dyn Fn(&Request) -> Reply + Send + Sync;

impl LoopbackRegistry {
    pub(crate) async fn start(answers: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (seen, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let answers: Arc<Answers> = Arc::new(answers);
        let (requests, bytes) = (Arc::clone(&seen), Arc::clone(&sent));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, requests, bytes) =
                    (Arc::clone(&answers), Arc::clone(&requests), Arc::clone(&bytes));
                tokio::spawn(async move {
                    let _ = serve(stream, &*answers, &requests, &bytes).await;
                });
            }
        });
        Self { host, seen, sent }
    }

    /// A registry that holds what cosign signed. `api`: whether it has the referrers API, or the tag instead.
    pub(crate) async fn with_content(api: Api) -> Self {
        let content = Content::load();
        Self::start(move |request| content.answer(request, api)).await
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|request| request.target.clone()).collect()
    }
}

pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: &Answers,
    seen: &Mutex<Vec<Request>>,
    sent: &AtomicU64,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let request = Request { target, headers };
        seen.lock().unwrap().push(request.clone());
        let reply = answers(&request);
        let mut head = format!("HTTP/1.1 {} x\r\n", reply.status);
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match reply.body {
            Body::Bytes(bytes) => {
                head += &format!("Content-Length: {}\r\n\r\n", bytes.len());
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&bytes).await?;
                sent.fetch_add(bytes.len() as u64, Relaxed);
            }
            Body::Announced(length) => {
                head += &format!("Content-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                let zeros = vec![0; 1 << 16];
                let mut left = length;
                while left > 0 {
                    let now = left.min(zeros.len() as u64);
                    stream.write_all(&zeros[..now as usize]).await?;
                    sent.fetch_add(now, Relaxed);
                    left -= now;
                }
            }
            Body::Endless => {
                head += "Transfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                let mut chunk = format!("{:x}\r\n", 1 << 16).into_bytes();
                chunk.extend(vec![b' '; 1 << 16]);
                chunk.extend(b"\r\n");
                loop {
                    stream.write_all(&chunk).await?;
                    sent.fetch_add(1 << 16, Relaxed);
                }
            }
            Body::Never => std::future::pending::<()>().await,
        }
    }
}

/// Whether a registry has the referrers API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Referrers,
    Tags,
}

/// Content made by cosign.
pub(crate) struct Content {
    listing: Value,
    blobs: BTreeMap<String, Vec<u8>>,
}

/// `conformance/images/content`, or a fresh one (`make test-images`).
pub(crate) fn content_folder() -> PathBuf {
    let fresh = std::env::var_os("BAILIWICK_SIGNED_IMAGES").map(PathBuf::from);
    fresh
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/images/content"))
}

impl Content {
    pub(crate) fn load() -> Self {
        let folder = content_folder();
        let listing = serde_json::from_slice(&fs::read(folder.join("repository.json")).unwrap()).unwrap();
        let blobs = fs::read_dir(folder.join("blobs")).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (format!("sha256:{}", entry.file_name().to_string_lossy()), fs::read(entry.path()).unwrap())
        });
        Self { listing, blobs: blobs.collect() }
    }

    pub(crate) fn digest(&self, tag: &str) -> String {
        self.listing["tags"][tag].as_str().unwrap_or_else(|| panic!("no tag {tag}")).to_owned()
    }

    pub(crate) fn bytes(&self, digest: &str) -> Vec<u8> {
        self.blobs[digest].clone()
    }

    /// The index that the registry makes: as in cosign's tag, but with each type from its manifest.
    pub(crate) fn referrers(&self, digest: &str) -> Vec<u8> {
        let tag = digest.replace(':', "-");
        match self.listing["tags"][&tag].as_str() {
            Some(index) => self.bytes(index),
            None => br#"{"schemaVersion": 2, "manifests": []}"#.to_vec(),
        }
    }

    pub(crate) fn answer(&self, request: &Request, api: Api) -> Reply {
        let path = request.target.strip_prefix("/v2/agents/app/").unwrap_or_default();
        let found = match path.split_once('/') {
            Some(("manifests", tag)) if tag.starts_with("sha256-") && api == Api::Referrers => None,
            Some(("manifests", digest)) if digest.starts_with("sha256:") => self.blobs.get(digest).cloned(),
            Some(("manifests", tag)) => {
                let digest = self.listing["tags"][tag].as_str();
                digest.map(|digest| self.bytes(digest))
            }
            Some(("referrers", digest)) if api == Api::Referrers => Some(self.referrers(digest)),
            Some(("blobs", digest)) => self.blobs.get(digest).cloned(),
            _ => None,
        };
        found.map_or_else(|| Reply::status(404), Reply::bytes)
    }
}

/// A checker that may contact these hosts without TLS; `more` are further members of the first host's
/// settings.
pub(crate) fn checker(hosts: &[&str], more: &str) -> Arc<Checker> {
    let listed = hosts.iter().enumerate().map(|(at, host)| {
        let more = if at == 0 { more } else { "" };
        format!(r#"{{"host": "{host}", "plainHttp": true, "addresses": ["127.0.0.0/8"]{more}}}"#)
    });
    let text = format!(r#"{{"registries": [{}]}}"#, listed.collect::<Vec<_>>().join(", "));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "s3cret").unwrap();
    let path = folder.path().join("registries.json");
    fs::write(&path, text).unwrap();
    Arc::new(Checker::new(Settings::load(&path).unwrap()))
}

pub(crate) fn key(name: &str) -> Signers {
    let pem = fs::read_to_string(content_folder().join(name)).unwrap();
    Signers { keys: [public_key(&pem).unwrap()].into(), ..Signers::default() }
}

pub(crate) fn root() -> Signers {
    let json = fs::read_to_string(content_folder().join("trust-root.json")).unwrap();
    Signers { trust_roots: [Arc::new(TrustRoot::new(&json))].into(), ..Signers::default() }
}

pub(crate) fn image(registry: &LoopbackRegistry, suffix: &str) -> Reference {
    Reference::parse(&format!("{}/agents/app{suffix}", registry.host)).unwrap()
}

/// Checks who signed an image.
pub(crate) async fn signatures(
    checker: &Arc<Checker>,
    reference: &Reference,
    signers: &Signers,
) -> Result<Signatures, String> {
    signatures_within(checker, reference, signers, PATIENCE).await
}

pub(crate) async fn signatures_within(
    checker: &Arc<Checker>,
    reference: &Reference,
    signers: &Signers,
    patience: Duration,
) -> Result<Signatures, String> {
    let mut facts = ImageFacts::default();
    let demand = Demand { reference: reference.clone(), wants: Wants::Signatures(signers.clone()) };
    checker.answer(vec![demand], Instant::now() + patience, &mut facts).await;
    let found = facts.signatures(reference).expect("every demand is answered");
    found.cloned().map_err(str::to_owned)
}

/// Resolves a tag.
pub(crate) async fn digest(checker: &Arc<Checker>, reference: &Reference) -> Result<String, String> {
    let mut facts = ImageFacts::default();
    let demand = Demand { reference: reference.clone(), wants: Wants::Digest };
    checker.answer(vec![demand], Instant::now() + PATIENCE, &mut facts).await;
    let found = facts.digest(reference).expect("every demand is answered");
    found.map(str::to_owned).map_err(str::to_owned)
}
