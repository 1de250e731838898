//! What a registry sends to an unauthenticated client: a challenge, and what its token service issues.

use tokio::time::Instant;

use crate::access::{Applicant, encoded, issued, parameters_of, realm_origin};
use crate::limits::TOKEN_LONGEST;
use crate::net::Origin;

/// The bytes as a challenge, as its realm, and as the answer of a token service. A secret goes only to the
/// registry's own host.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let own = Origin { host: "registry.example.org".to_owned(), port: 443, plain: false };
    let deadline = Instant::now();
    let applicant = Applicant { origin: &own, registry: None, repository: "agents/app", deadline };
    let parameters = parameters_of(text.split_once(' ').map_or("", |(_, parameters)| parameters));
    for realm in [text.as_ref(), parameters.get("realm").map_or("", String::as_str)] {
        if let Some((origin, path)) = realm_origin(realm, applicant) {
            assert!(origin.host == own.host && !origin.plain, "{origin:?} is asked for tokens");
            assert!(path.starts_with('/') && !path.contains(['#', ' ']), "{path}");
        }
    }
    assert!(encoded(&text).bytes().all(|byte| byte.is_ascii_graphic()), "it ends the request line");
    if let Some((header, lasts)) = issued(data) {
        assert!(header.is_sensitive() && lasts <= TOKEN_LONGEST, "{lasts:?}");
    }
}
