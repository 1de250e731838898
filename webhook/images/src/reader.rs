//! The reader of registries: manifests, lists of referrers and blobs, as far as signatures need them.
//!
//! Four rules. Content that is requested by digest is hashed and must match it; digests in a registry's
//! headers are never read. Redirects are followed for blobs only, without credentials. "Too many requests" is
//! waited out as long as the allowance lasts and is then an error of its own; only 404 means that something
//! is missing. Every answer has a size limit.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bailiwick_policy::admission::images::Reference;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep_until};

use crate::access::{AccessError, Applicant, Tokens};
use crate::limits::{FIRST_WAIT, MANIFEST_BYTES, REDIRECTS, SERVER_FAILURES};
use crate::net::Origin;
use crate::pool::{Answer, Get, GetError, Pool};
use crate::settings::{DOCKER_HUB, Registry, Settings};

/// Media types of manifests that an image can have.
const IMAGE_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Media type of lists of referrers.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ReadError {
    #[error("`{what}` is not in registry `{host}`")]
    NotFound { host: String, what: String },
    #[error("registry `{host}` rate-limited us (429) until the deadline; try again later")]
    Busy { host: String },
    #[error("registry `{host}` refuses access to `{what}`")]
    Refused { host: String, what: String },
    #[error("registry `{host}` answered {status} for `{what}`")]
    Status { host: String, what: String, status: u16 },
    #[error(
        "registry `{host}` redirected `{what}` in vain: only redirects of blobs are followed, {REDIRECTS} at most, and only to HTTPS"
    )]
    Redirected { host: String, what: String },
    #[error("registry `{host}` gave other bytes than `{digest}` stands for")]
    OtherBytes { host: String, digest: String },
    #[error("`{0}` is not a SHA-256 digest, and others are not read")]
    Digest(String),
    #[error("registry `{host}` did not answer in time")]
    TimedOut { host: String },
    #[error("{0}")]
    Get(String),
    #[error("{0}")]
    Access(String),
    #[error("`{what}` cannot be read: {why}")]
    Malformed { what: String, why: String },
    #[error("image `{image}` has more than {limit} {of}")]
    TooMany { image: String, limit: usize, of: &'static str },
}

impl ReadError {
    /// Whether the content is known to be missing, as opposed to unknown.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the list of referrers is to be looked for behind a tag: the API lists nothing, or there is none.
    /// Registries without it also answer 400 or 406, and cosign then writes the tag.
    /// <https://github.com/google/go-containerregistry/blob/main/pkg/v1/remote/referrers.go>
    pub(crate) const fn leads_to_tag(&self) -> bool {
        self.is_absence() || matches!(self, Self::Status { status: 400 | 406, .. })
    }
}

/// What one image may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) deadline: Instant,
}

/// What was read, and the next page according to the registry.
pub(crate) struct Page {
    pub(crate) bytes: Bytes,
    pub(crate) next: Option<String>,
}

/// Reads registries.
pub(crate) struct Reader {
    settings: Settings,
    pool: Pool,
    tokens: Tokens,
    requests: AtomicU64,
}

/// A repository and its location.
pub(crate) struct Repository<'r> {
    origin: Origin,
    registry: Option<&'r Registry>,
    name: String,
}

/// Whether a redirect is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Redirects {
    Follow,
    Refuse,
}

/// One item to read.
#[derive(Clone, Copy)]
struct Want<'w> {
    target: &'w str,
    accept: &'w str,
    cap: usize,
    redirects: Redirects,
}

impl Reader {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, pool: Pool::new(), tokens: Tokens::default(), requests: AtomicU64::new(0) }
    }

    /// The number of requests that were sent, not counting those for tokens.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// The location of a reference's repository.
    pub(crate) fn repository(&self, reference: &Reference) -> Result<Repository<'_>, ReadError> {
        let host = reference.registry();
        let registry = self.settings.of(host);
        // Docker Hub's name in references differs from the host name of its registry.
        let authority = if host == "docker.io" { DOCKER_HUB } else { host };
        let plain = registry.is_some_and(|one| one.plain_http);
        let origin = Origin::parse(authority, plain).ok_or_else(|| ReadError::Malformed {
            what: reference.to_string(),
            why: "it names no registry".to_owned(),
        })?;
        Ok(Repository { origin, registry, name: reference.repository().to_owned() })
    }

    /// The bytes of the manifest that a tag points to.
    pub(crate) async fn tagged(
        &self,
        at: &Repository<'_>,
        tag: &str,
        allowance: Allowance,
    ) -> Result<Bytes, ReadError> {
        let target = format!("/v2/{}/manifests/{tag}", at.name);
        let want = Want {
            target: &target,
            accept: IMAGE_MANIFESTS,
            cap: MANIFEST_BYTES,
            redirects: Redirects::Refuse,
        };
        Ok(self.read(at, want, allowance).await?.body)
    }

    /// A manifest by its digest.
    pub(crate) async fn manifest(
        &self,
        at: &Repository<'_>,
        digest: &str,
        cap: usize,
        allowance: Allowance,
    ) -> Result<Bytes, ReadError> {
        let target = format!("/v2/{}/manifests/{digest}", at.name);
        let want = Want { target: &target, accept: IMAGE_MANIFESTS, cap, redirects: Redirects::Refuse };
        let bytes = self.read(at, want, allowance).await?.body;
        hashed(at, digest, bytes)
    }

    /// A blob by its digest.
    pub(crate) async fn blob(
        &self,
        at: &Repository<'_>,
        digest: &str,
        cap: usize,
        allowance: Allowance,
    ) -> Result<Bytes, ReadError> {
        let target = format!("/v2/{}/blobs/{digest}", at.name);
        let want = Want { target: &target, accept: "*/*", cap, redirects: Redirects::Follow };
        let bytes = self.read(at, want, allowance).await?.body;
        hashed(at, digest, bytes)
    }

    /// One page of the list of referrers. `page`: the next page, as the previous one gave it.
    pub(crate) async fn referrers(
        &self,
        at: &Repository<'_>,
        digest: &str,
        page: Option<&str>,
        allowance: Allowance,
    ) -> Result<Page, ReadError> {
        let first = format!("/v2/{}/referrers/{digest}", at.name);
        let target = page.unwrap_or(&first);
        let want = Want { target, accept: INDEX, cap: MANIFEST_BYTES, redirects: Redirects::Refuse };
        let answer = self.read(at, want, allowance).await?;
        let next = next_page(&answer.headers, &first)?;
        Ok(Page { bytes: answer.body, next })
    }

    async fn read(
        &self,
        at: &Repository<'_>,
        want: Want<'_>,
        allowance: Allowance,
    ) -> Result<Answer, ReadError> {
        let host = || at.origin.authority();
        let what = || want.target.to_owned();
        let mut authorization = self.tokens.of(&at.origin, &at.name);
        let mut challenged = false;
        let mut waits = Waits::default();
        loop {
            self.requests.fetch_add(1, Relaxed);
            let get = Get {
                origin: &at.origin,
                registry: at.registry,
                target: want.target,
                accept: want.accept,
                authorization: authorization.as_ref(),
                cap: want.cap,
                deadline: allowance.deadline,
            };
            let answer = self.pool.get(&get).await.map_err(get_error)?;
            match answer.status {
                StatusCode::OK => return Ok(answer),
                StatusCode::UNAUTHORIZED if !challenged => {
                    challenged = true;
                    let challenge = answer.headers.get(WWW_AUTHENTICATE).and_then(|text| text.to_str().ok());
                    let Some(challenge) = challenge else {
                        return Err(ReadError::Refused { host: host(), what: what() });
                    };
                    authorization = Some(self.access(at, challenge, &mut waits, allowance).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(ReadError::Refused { host: host(), what: what() });
                }
                StatusCode::NOT_FOUND => return Err(ReadError::NotFound { host: host(), what: what() }),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    waits
                        .before_next(&answer.headers, allowance.deadline)
                        .await
                        .ok_or_else(|| ReadError::Busy { host: host() })?;
                }
                StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
                    if waits.failures < SERVER_FAILURES =>
                {
                    waits.failures += 1;
                    let status = answer.status.as_u16();
                    waits
                        .before_next(&answer.headers, allowance.deadline)
                        .await
                        .ok_or_else(|| ReadError::Status { host: host(), what: what(), status })?;
                }
                status if status.is_redirection() && want.redirects == Redirects::Follow => {
                    return self.follow(at, want, &answer.headers, allowance).await;
                }
                status if status.is_redirection() => {
                    return Err(ReadError::Redirected { host: host(), what: what() });
                }
                status => {
                    return Err(ReadError::Status { host: host(), what: what(), status: status.as_u16() });
                }
            }
        }
    }

    async fn access(
        &self,
        at: &Repository<'_>,
        challenge: &str,
        waits: &mut Waits,
        allowance: Allowance,
    ) -> Result<hyper::header::HeaderValue, ReadError> {
        let applicant = Applicant {
            origin: &at.origin,
            registry: at.registry,
            repository: &at.name,
            deadline: allowance.deadline,
        };
        loop {
            match self.tokens.obtain(&self.pool, applicant, challenge).await {
                Ok(header) => return Ok(header),
                Err(error) if error.is_busy() => {
                    waits
                        .before_next(&HeaderMap::new(), allowance.deadline)
                        .await
                        .ok_or_else(|| ReadError::Busy { host: at.origin.authority() })?;
                }
                Err(AccessError::Get { source, .. }) => return Err(get_error(source)),
                Err(error) => return Err(ReadError::Access(error.to_string())),
            }
        }
    }

    /// Follows a blob to the registry's storage: over TLS, without credentials, and by the address rules of
    /// any host.
    async fn follow(
        &self,
        at: &Repository<'_>,
        want: Want<'_>,
        headers: &HeaderMap,
        allowance: Allowance,
    ) -> Result<Answer, ReadError> {
        let elsewhere =
            || ReadError::Redirected { host: at.origin.authority(), what: want.target.to_owned() };
        let mut location = location(headers).ok_or_else(elsewhere)?;
        for _ in 0..REDIRECTS {
            let (origin, target) = split(&location, &at.origin).ok_or_else(elsewhere)?;
            // The registry's allowed addresses apply to no other host.
            let registry = if origin == at.origin { at.registry } else { None };
            if origin.plain && origin != at.origin {
                return Err(elsewhere());
            }
            self.requests.fetch_add(1, Relaxed);
            let get = Get {
                origin: &origin,
                registry,
                target: &target,
                accept: want.accept,
                authorization: None,
                cap: want.cap,
                deadline: allowance.deadline,
            };
            let answer = self.pool.get(&get).await.map_err(get_error)?;
            match answer.status {
                StatusCode::OK => return Ok(answer),
                status if status.is_redirection() => {
                    location = self::location(&answer.headers).ok_or_else(elsewhere)?;
                }
                status => {
                    return Err(ReadError::Status {
                        host: origin.authority(),
                        what: want.target.to_owned(),
                        status: status.as_u16(),
                    });
                }
            }
        }
        Err(elsewhere())
    }
}

/// Waits between attempts.
#[derive(Default)]
struct Waits {
    busy: u32,
    failures: u32,
}

impl Waits {
    /// Waits a little longer each time, and at least as long as the registry says; `None` if that would end
    /// after the deadline.
    async fn before_next(&mut self, headers: &HeaderMap, deadline: Instant) -> Option<()> {
        let said = headers
            .get(RETRY_AFTER)
            .and_then(|text| text.to_str().ok())
            .and_then(|text| text.trim().parse().ok());
        let own = FIRST_WAIT.saturating_mul(1_u32.checked_shl(self.busy).unwrap_or(u32::MAX));
        self.busy = self.busy.saturating_add(1);
        let until =
            Instant::now().checked_add(said.map_or(own, |said| Duration::from_secs(said).max(own)))?;
        if until >= deadline {
            return None;
        }
        sleep_until(until).await;
        Some(())
    }
}

fn get_error(error: GetError) -> ReadError {
    match error {
        GetError::TimedOut { host } => ReadError::TimedOut { host },
        GetError::Connect(crate::net::ConnectError::TimedOut { host }) => ReadError::TimedOut { host },
        other => ReadError::Get(other.to_string()),
    }
}

/// SHA-256 in the notation of registries.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn hashed(at: &Repository<'_>, digest: &str, bytes: Bytes) -> Result<Bytes, ReadError> {
    if !digest.starts_with("sha256:") {
        return Err(ReadError::Digest(digest.to_owned()));
    }
    if digest_of(&bytes) != digest {
        return Err(ReadError::OtherBytes { host: at.origin.authority(), digest: digest.to_owned() });
    }
    Ok(bytes)
}

/// The target in `Link: <target>; rel="next"`, which must be another page of the same list.
pub(crate) fn next_page(headers: &HeaderMap, first: &str) -> Result<Option<String>, ReadError> {
    let Some(link) = headers.get(LINK) else { return Ok(None) };
    let malformed =
        || ReadError::Malformed { what: first.to_owned(), why: "its next page is elsewhere".to_owned() };
    let link = link.to_str().map_err(|_| malformed())?;
    let (target, rest) =
        link.strip_prefix('<').and_then(|link| link.split_once('>')).ok_or_else(malformed)?;
    if !rest.contains("next") {
        return Ok(None);
    }
    let same = target.strip_prefix(first).is_some_and(|rest| rest.starts_with('?'));
    if same { Ok(Some(target.to_owned())) } else { Err(malformed()) }
}

pub(crate) fn location(headers: &HeaderMap) -> Option<String> {
    headers.get(LOCATION).and_then(|text| text.to_str().ok()).map(str::to_owned)
}

/// Origin and target of a `Location`.
pub(crate) fn split(location: &str, own: &Origin) -> Option<(Origin, String)> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Some((own.clone(), location.to_owned()));
    }
    let (scheme, rest) = location.split_once("://")?;
    let plain = match scheme {
        "https" => false,
        "http" => true,
        _ => return None,
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    if authority.contains('@') {
        return None;
    }
    let target = match target {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    };
    Some((Origin::parse(authority, plain)?, target))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A next page always belongs to the same list; a location is an origin and a path, or nothing.
        #[test]
        fn no_header_leads_elsewhere_or_breaks_it(link in "(</v2/a/referrers/x)?[ -~]{0,80}(; rel=\"next\")?", location in "(https?://|/)?[ -~]{0,80}") {
            let first = "/v2/a/referrers/x";
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::try_from(&link) {
                headers.insert(LINK, value);
                if let Ok(Some(next)) = next_page(&headers, first) {
                    prop_assert!(next.starts_with("/v2/a/referrers/x?"), "{next}");
                }
            }
            let own = Origin { host: "own.example.org".to_owned(), port: 443, plain: false };
            if let Some((origin, target)) = split(&location, &own) {
                prop_assert!(target.starts_with('/') && !origin.host.is_empty() && !origin.host.contains('@'), "{origin:?} {target}");
            }
        }
    }

    #[test]
    fn locations_are_split() {
        let own = Origin { host: "own.example.org".to_owned(), port: 443, plain: false };
        for (location, expected) in [
            ("/path?q", Some(("own.example.org", "/path?q"))),
            ("https://a.example/x", Some(("a.example", "/x"))),
            ("https://a.example?x", Some(("a.example", "/?x"))),
            ("//a.example/x", None),
            ("https://own.example.org@a.example/x", None),
            ("ftp://a.example/x", None),
            ("", None),
        ] {
            let found = split(location, &own);
            let found = found.as_ref().map(|(origin, target)| (origin.host.as_str(), target.as_str()));
            assert_eq!(found, expected, "{location}");
        }
    }
}
