//! A real registry on loopback (`conformance/registry`, go-containerregistry's) with images that a real
//! cosign signed (`conformance/images`).

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use bailiwick_policy::bundle;
use serde_json::Value;

use crate::go_module::{built, go_is_there};
use crate::http;
use crate::programs::Running;

/// The repository of the signed images.
pub const REPOSITORY: &str = "agents/app";

/// How a registry lists what is attached to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// By the referrers API.
    Referrers,
    /// By a tag, which cosign writes if there is no such API.
    Tags,
}

/// A registry; it ends when dropped.
#[derive(Debug)]
pub struct Registry {
    running: Running,
    host: String,
    content: Value,
}

/// The folder of what cosign signed: `blobs/`, `repository.json`, keys and the trust root.
/// `BAILIWICK_SIGNED_IMAGES` names a fresh one.
#[must_use]
pub fn content() -> PathBuf {
    let fresh = std::env::var_os("BAILIWICK_SIGNED_IMAGES").map(PathBuf::from);
    fresh.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("images/content"))
}

impl Registry {
    /// Builds and starts the registry with its content. `Ok(None)`, reported on standard error, if Go is
    /// missing and this is not CI.
    ///
    /// # Errors
    /// Go is missing under CI, or the registry did not build, did not come up, or rejected its content.
    pub fn start(api: Api) -> Result<Option<Self>> {
        if !go_is_there()? {
            return Ok(None);
        }
        let mut command = Command::new(built("registry", ".", "registry")?);
        command
            .args((api == Api::Referrers).then_some("-referrers"))
            .arg("-content")
            .arg(content())
            .stdout(Stdio::piped());
        let mut running = Running::until_input_ends(&mut command)?;
        let line = running.line()?;
        let listing = fs::read(content().join("repository.json")).context("conformance/images/content")?;
        let host = line.trim().to_owned();
        ensure!(!host.is_empty(), "the registry did not come up; its message is above");
        Ok(Some(Self { running, host, content: serde_json::from_slice(&listing)? }))
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The digest of one of the images, by its tag when it was made.
    #[must_use]
    pub fn digest(&self, tag: &str) -> &str {
        self.content.pointer(&format!("/tags/{tag}")).and_then(Value::as_str).unwrap_or_default()
    }

    /// Points a tag to one of the images.
    ///
    /// # Errors
    /// The registry refuses.
    pub fn tag(&self, tag: &str, digest: &str) -> Result<()> {
        self.put_manifest(tag, digest)
    }

    /// Ends the registry.
    pub fn stop(&mut self) {
        self.running.end();
    }

    /// Stores a blob in a repository; returns its digest.
    ///
    /// # Errors
    /// The registry refuses.
    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> Result<String> {
        let digest = format!("sha256:{}", bundle::digest(bytes));
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let kind = [("Content-Type", "application/octet-stream")];
        let answer = self.client()?.request("POST", &path, &kind, bytes)?;
        if answer.status != 201 {
            bail!("the registry answered {} for blob {digest}", answer.status);
        }
        Ok(digest)
    }

    /// Stores a manifest under a tag or its digest; returns its digest.
    ///
    /// # Errors
    /// The registry refuses.
    pub fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<String> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.client()?.request("PUT", &path, &[("Content-Type", kind)], bytes)?;
        if answer.status != 201 {
            bail!("the registry answered {} for manifest {reference}", answer.status);
        }
        Ok(format!("sha256:{}", bundle::digest(bytes)))
    }

    fn client(&self) -> Result<http::Client<TcpStream>> {
        let stream =
            TcpStream::connect(&self.host).with_context(|| format!("no registry at {}", self.host))?;
        stream.set_read_timeout(Some(http::TIMEOUT))?;
        Ok(http::Client::over(stream, &self.host))
    }

    fn put_manifest(&self, reference: &str, digest: &str) -> Result<()> {
        let kind = self
            .content
            .get("manifests")
            .and_then(|all| all.get(digest)?.as_str())
            .context("a media type")?;
        self.push_manifest(REPOSITORY, reference, kind, &bytes(digest)?).map(drop)
    }
}

fn bytes(digest: &str) -> Result<Vec<u8>> {
    let name = digest.trim_start_matches("sha256:");
    fs::read(content().join("blobs").join(name))
        .with_context(|| format!("conformance/images/content/blobs/{name}"))
}
