//! URLs: scheme, host, port and path in one spelling, whichever way a client would read the text.
//!
//! The danger is two readers: what one treats as a host, another treats as credentials. A text that curl,
//! browsers (the WHATWG URL Standard) and RFC 3986 read in different ways is opaque. Numbers are the
//! exception: every client that accepts `http://2130706433/` reads it as 127.0.0.1, so that is its value.
//! <https://url.spec.whatwg.org/#host-parsing>, RFC 3986, RFC 6052 (NAT64), RFC 3056 (6to4).
//!
//! What a name resolves to is not known here; `is_private` of a name covers only names that are private in
//! themselves.

mod host;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::{Fact, MAX_BYTES};

pub use host::{Host, parse_host};

/// A URL in canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Lower case.
    pub scheme: String,
    /// A name in lower case without a trailing dot, or an address in its canonical text (IPv6 without
    /// brackets; an address that embeds an IPv4 address becomes that IPv4 address).
    pub host: String,
    /// The port, or the scheme's default if none is written; `None` for a scheme without one.
    pub port: Option<u16>,
    /// From the first slash, without dot segments. ASCII letters, digits and `-._~` are never escaped; every
    /// byte of other letters is, in upper case. `/` if the URL has none.
    pub path: String,
    /// The query after `?`, as written.
    pub query: Option<String>,
    /// Whether it contains a user or password.
    pub has_userinfo: bool,
    /// Whether the host is an address or a name outside the public Internet.
    pub is_private: bool,
}

/// Ports of schemes.
const PORTS: &[(&str, u16)] = &[
    ("http", 80),
    ("https", 443),
    ("ws", 80),
    ("wss", 443),
    ("ftp", 21),
    ("ftps", 990),
    ("ssh", 22),
    ("git", 9418),
    ("sftp", 22),
    ("redis", 6379),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("mysql", 3306),
    ("ldap", 389),
    ("ldaps", 636),
    ("smtp", 25),
    ("gopher", 70),
];

/// Parses an absolute URL with a host.
#[must_use]
pub fn parse(text: &str) -> Fact<Url> {
    read(text).map_or(Fact::Opaque, Fact::Known)
}

fn read(text: &str) -> Option<Url> {
    // Browsers drop white space and control characters where others do not; some treat a backslash as a
    // slash.
    let refused = |char: char| {
        char.is_control()
            || char.is_whitespace()
            || matches!(char, '\\' | '<' | '>' | '"' | '`' | '{' | '}' | '|' | '^')
    };
    if text.len() > MAX_BYTES || text.chars().any(refused) {
        return None;
    }
    let (scheme, rest) = text.split_once(':')?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(valid) {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.strip_prefix("//")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at_checked(end)?;
    // Without a path before them, `?` and `#` do not end the authority for old readers (CVE-2016-8624).
    if after.starts_with(['?', '#']) && after.contains('@') {
        return None;
    }
    let (has_userinfo, host_port) = match authority.rsplit_once('@') {
        // With a second `@`, or what looks like a host before the first, readers disagree.
        Some((userinfo, _)) if userinfo.contains(['@', '[', ']']) => return None,
        Some((_, host_port)) => (true, host_port),
        None => (false, authority),
    };
    let (host_text, port_text) = split_port(host_port)?;
    let host = parse_host(host_text)?;
    let port = match port_text {
        None | Some("") => PORTS.iter().find(|(name, _)| *name == scheme).map(|(_, port)| *port),
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
    };
    let after = after.split_once('#').map_or(after, |(before, _)| before);
    let (path, query) = match after.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (after, None),
    };
    let is_private = host.is_private();
    let host = host.to_string();
    Some(Url { scheme, host, port, path: canonical_path(path)?, query, has_userinfo, is_private })
}

/// Splits `host:port` and `[address]:port`.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let (host, after) = text.split_at_checked(end)?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if after.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

/// Removes dot segments, as every client does (RFC 3986, 5.2.4; WHATWG, with `%2e` as a dot). Unreserved
/// characters are unescaped (RFC 3986, 6.2.2.2: servers treat `/%61` as `/a`), those outside ASCII are
/// escaped (3.3), and escapes are upper case. Clients differ on a path with an escaped slash, backslash or
/// NUL, and on one that goes above its root.
fn canonical_path(path: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let segment = canonical_escapes(segment)?;
        match segment.as_str() {
            "." if last => parts.push(String::new()),
            "." => {}
            ".." => {
                parts.pop()?;
                if last {
                    parts.push(String::new());
                }
            }
            _ => parts.push(segment),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

fn canonical_escapes(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            let escapes = |byte: &u8| format!("%{byte:02X}");
            if char.is_ascii() {
                out.push(char);
            } else {
                out.extend(char.encode_utf8(&mut [0; 4]).as_bytes().iter().map(escapes));
            }
            continue;
        }
        let code = host::escaped_byte(&mut chars)?;
        if matches!(code, b'/' | b'\\' | 0) {
            return None;
        }
        if code.is_ascii_alphanumeric() || matches!(code, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(code));
        } else {
            out.push_str(&format!("%{code:02X}"));
        }
    }
    Some(out)
}

/// Whether an address is outside the public Internet; an IPv6 address that embeds an IPv4 address is as
/// private as that one.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    !crate::cel::is_public(address)
}

/// The fuzzing entry point: any bytes get an answer that is its own canonical form, unless escapes make that
/// form longer than what is parsed.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Fact::Known(url) = parse(&text) else { return };
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let port = url.port.map_or_else(String::new, |port| format!(":{port}"));
    let canonical = format!("{}://{host}{port}{}", url.scheme, url.path);
    if canonical.len() > MAX_BYTES {
        return;
    }
    let again = parse(&canonical);
    let plain = Url { query: None, has_userinfo: false, ..url };
    assert_eq!(again, Fact::Known(plain), "not canonical");
}
