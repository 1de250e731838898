//! Access to a repository: a registry's challenge, tokens, and which hosts may receive a secret.
//!
//! Credentials belong to one host. They go to that host, over TLS or on the local machine. They also go to
//! the token service that it names, if that is on the same host or listed in the settings (`realms`). They go
//! nowhere else, and are never sent along with a redirect. The scope is not taken from the challenge: it is
//! always read access to the one repository. <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;

use crate::limits::{TOKEN_BYTES, TOKEN_LONGEST, TOKEN_MARGIN, TOKEN_TIME, TOKENS};
use crate::net::Origin;
use crate::pool::{Get, GetError, Pool};
use crate::settings::{Credentials, Registry};

/// Token services of widely used registries that are on another host.
const KNOWN_REALMS: [(&str, &str); 1] = [("registry-1.docker.io", "auth.docker.io")];

/// The authorization that is sent with requests, by host and repository.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<(String, String), Token>>);

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

/// Why there is no access.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("`{host}` requires an unsupported authentication scheme: `{challenge}`")]
    Challenge { host: String, challenge: String },
    #[error("`{host}` uses token service `{realm}`; add it to `realms` in the registries file")]
    Realm { host: String, realm: String },
    #[error("no token from `{realm}`: {source}")]
    Get { realm: String, source: GetError },
    #[error("no token from `{realm}`: it answered {status}")]
    Status { realm: String, status: StatusCode },
    #[error("no token from `{realm}`: its answer is not a token")]
    NotAToken { realm: String },
    #[error("`{host}` asks for a password, and none is set for it")]
    NoCredentials { host: String },
}

impl AccessError {
    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error())
    }
}

/// Where access is needed, and with which settings.
#[derive(Clone, Copy)]
pub(crate) struct Applicant<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) registry: Option<&'a Registry>,
    pub(crate) repository: &'a str,
    pub(crate) deadline: Instant,
}

impl Tokens {
    /// The authorization that is known to be valid for a repository.
    pub(crate) fn of(&self, origin: &Origin, repository: &str) -> Option<HeaderValue> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(&(origin.authority(), repository.to_owned()))?;
        (Instant::now() < token.until).then(|| token.header.clone())
    }

    fn keep(&self, applicant: Applicant<'_>, token: Token) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS {
            let now = Instant::now();
            tokens.retain(|_, token| now < token.until);
            if tokens.len() >= TOKENS {
                tokens.clear();
            }
        }
        tokens.insert((applicant.origin.authority(), applicant.repository.to_owned()), token);
    }

    /// Answers a challenge (`WWW-Authenticate`), and keeps the result.
    pub(crate) async fn obtain(
        &self,
        pool: &Pool,
        applicant: Applicant<'_>,
        challenge: &str,
    ) -> Result<HeaderValue, AccessError> {
        let host = || applicant.origin.authority();
        let unknown =
            || AccessError::Challenge { host: host(), challenge: challenge.chars().take(200).collect() };
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        let credentials = applicant.registry.and_then(|registry| registry.credentials.as_ref());
        let token = if scheme.eq_ignore_ascii_case("basic") {
            let credentials = credentials.ok_or_else(|| AccessError::NoCredentials { host: host() })?;
            Token { header: basic(credentials), until: Instant::now() + TOKEN_TIME }
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let parameters = parameters_of(parameters);
            let realm = parameters.get("realm").ok_or_else(unknown)?;
            let service = parameters.get("service").map_or("", String::as_str);
            token(pool, applicant, realm, service, credentials).await?
        } else {
            return Err(unknown());
        };
        let header = token.header.clone();
        self.keep(applicant, token);
        Ok(header)
    }
}

/// Requests a token from a token service.
async fn token(
    pool: &Pool,
    applicant: Applicant<'_>,
    realm: &str,
    service: &str,
    credentials: Option<&Credentials>,
) -> Result<Token, AccessError> {
    let not_listed = || AccessError::Realm {
        host: applicant.origin.authority(),
        realm: realm.chars().take(200).collect(),
    };
    let (origin, path) = realm_origin(realm, applicant).ok_or_else(not_listed)?;
    let joint = if path.contains('?') { '&' } else { '?' };
    let scope = encoded(&format!("repository:{}:pull", applicant.repository));
    let target = format!("{path}{joint}service={}&scope={scope}", encoded(service));
    let authorization = credentials.map(basic);
    let get = Get {
        origin: &origin,
        registry: applicant.registry,
        target: &target,
        accept: "application/json",
        authorization: authorization.as_ref(),
        cap: TOKEN_BYTES,
        deadline: applicant.deadline,
    };
    let realm = || origin.authority();
    let answer = pool.get(&get).await.map_err(|source| AccessError::Get { realm: realm(), source })?;
    if answer.status != StatusCode::OK {
        return Err(AccessError::Status { realm: realm(), status: answer.status });
    }
    let (header, lasts) = issued(&answer.body).ok_or_else(|| AccessError::NotAToken { realm: realm() })?;
    Ok(Token { header, until: Instant::now() + lasts })
}

/// The token that a token service issued, and how long it is valid.
pub(crate) fn issued(body: &[u8]) -> Option<(HeaderValue, Duration)> {
    let wire: WireToken = serde_json::from_slice(body).ok()?;
    let text = wire.token.or(wire.access_token)?;
    let mut header = HeaderValue::try_from(format!("Bearer {text}")).ok()?;
    header.set_sensitive(true);
    let lasts = wire.expires_in.map_or(TOKEN_TIME, Duration::from_secs).saturating_sub(TOKEN_MARGIN);
    Some((header, lasts.min(TOKEN_LONGEST)))
}

#[derive(Deserialize)]
struct WireToken {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// The origin of a realm, if it may be contacted: on the registry's own host and by the same scheme, or
/// listed.
pub(crate) fn realm_origin(realm: &str, applicant: Applicant<'_>) -> Option<(Origin, String)> {
    let (scheme, rest) = realm.split_once("://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let plain = match scheme {
        "https" => false,
        // Only ever on the local machine, which `net` enforces.
        "http" => true,
        _ => return None,
    };
    // Some parsers take what precedes an `@` for the host, others for a user name.
    if authority.contains('@') || path.contains(['#', ' ']) {
        return None;
    }
    let origin = Origin::parse(authority, plain)?;
    let own =
        origin.host == applicant.origin.host && (origin.plain == applicant.origin.plain || !origin.plain);
    let listed = applicant.registry.is_some_and(|registry| registry.realms.contains(&origin.authority()))
        || KNOWN_REALMS.contains(&(applicant.origin.host.as_str(), origin.host.as_str()));
    let may = own || (listed && !origin.plain);
    may.then(|| (origin, path.to_owned()))
}

/// `key="value",key="value"`, as RFC 9110 §11.2 writes parameters.
pub(crate) fn parameters_of(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.entry(key.trim().to_ascii_lowercase()).or_insert_with(|| value.to_owned());
        rest = tail.trim_start().trim_start_matches(',').trim_start();
    }
    found
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let pair = STANDARD.encode(format!("{}:{}", credentials.username, credentials.password));
    // Every character of Base64 is valid in a header.
    let mut header =
        HeaderValue::try_from(format!("Basic {pair}")).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    header.set_sensitive(true);
    header
}

/// Percent-encodes a value in a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b':') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_host_and_listed_ones_are_asked_for_tokens() {
        let origin = Origin::parse("registry.example.org", false).unwrap();
        let registry = Registry { realms: vec!["auth.example.org".to_owned()], ..Registry::default() };
        let applicant = Applicant {
            origin: &origin,
            registry: Some(&registry),
            repository: "a/b",
            deadline: Instant::now(),
        };
        for (realm, may) in [
            ("https://registry.example.org/token", true),
            ("https://REGISTRY.example.org:8443/token", true),
            ("https://auth.example.org/token?a=b", true),
            ("http://registry.example.org/token", false),
            ("http://auth.example.org/token", false),
            ("https://auth.example.org.evil.example/token", false),
            ("https://auth.example.org@evil.example/token", false),
            ("https://evil.example/registry.example.org", false),
            ("file:///etc/passwd", false),
            ("registry.example.org", false),
        ] {
            assert_eq!(realm_origin(realm, applicant).is_some(), may, "{realm}");
        }
    }

    #[test]
    fn challenges_are_read() {
        let read = parameters_of(r#"realm="https://a/token", service="x y",scope="s",error=invalid_token"#);
        assert_eq!(read["realm"], "https://a/token");
        assert_eq!(read["service"], "x y");
        assert_eq!(read["error"], "invalid_token");
        assert_eq!(parameters_of(r#"realm="unended"#)["realm"], "unended");
        assert!(parameters_of("nothing").is_empty());
        assert_eq!(encoded("a b&c=d"), "a%20b%26c%3Dd");
    }
}
