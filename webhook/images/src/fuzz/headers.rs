//! Text that leads to other places: `Link`, `Location`, and the names of hosts and images.

use bailiwick_policy::admission::images::Reference;
use hyper::header::{HeaderMap, HeaderValue, LINK, LOCATION};

use crate::net::Origin;
use crate::reader::{location, next_page, split};

/// The bytes as headers that lead elsewhere, as the name of a host, and as an image reference. A next page
/// belongs to the same list, a location has a host, and a parsed reference parses to the same again.
pub fn fuzz(data: &[u8]) {
    let first = "/v2/agents/app/referrers/x";
    let own = Origin { host: "registry.example.org".to_owned(), port: 443, plain: false };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(data) {
        headers.insert(LINK, value.clone());
        headers.insert(LOCATION, value);
    }
    if let Ok(Some(next)) = next_page(&headers, first) {
        assert!(next.starts_with("/v2/agents/app/referrers/x?"), "{next} is of another list");
    }
    if let Some((origin, target)) = location(&headers).and_then(|text| split(&text, &own)) {
        assert!(
            target.starts_with('/') && !origin.host.is_empty() && !origin.host.contains('@'),
            "{origin:?}"
        );
    }
    let text = String::from_utf8_lossy(data);
    if let Some(origin) = Origin::parse(&text, false) {
        assert!(Origin::parse(&origin.authority(), false) == Some(origin), "`{text}` is two hosts");
    }
    if let Some(reference) = Reference::parse(&text) {
        assert!(Reference::parse(&reference.to_string()) == Some(reference), "`{text}` is two images");
    }
}
