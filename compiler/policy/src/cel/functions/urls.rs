//! URLs as in Kubernetes' url library: what Go's `net/url` (Go 1.26) reads with `ParseRequestURI` and
//! `Parse`, which is neither RFC 3986 nor what browsers do.
//!
//! Go's strings hold any bytes; where an escape decodes to bytes that are not UTF-8, the replacement
//! character is used.

use std::net::Ipv6Addr;
use std::rc::Rc;

use super::super::value::{Map, Value};
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// How many parameters `getQuery` reads, as in Go: for a query with more it reads none.
const MAX_PARAMETERS: usize = 10_000;

/// A URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    /// What follows the scheme if it is not a path.
    opaque: String,
    /// As written.
    user: Option<String>,
    host: String,
    path: String,
    query: String,
    /// Whether it ends with a `?` and no query.
    asks: bool,
    fragment: String,
}

impl Url {
    /// The most bytes that a comparison may read.
    pub(in crate::cel) fn bytes(&self) -> usize {
        let user = self.user.as_ref().map_or(0, String::len);
        let parts = [&self.scheme, &self.opaque, &self.host, &self.path, &self.query, &self.fragment];
        parts.into_iter().map(String::len).sum::<usize>() + user
    }
}

/// The part of a URL that a text belongs to: it decides which characters may be unescaped, and what an escape
/// may hide.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Path,
    User,
    Host,
    Zone,
    Parameter,
    Fragment,
}

/// `url`, `isURL`, and the functions of a URL.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::Url | Func::IsUrl, [text]) => {
            let Some(text) = text.as_str() else { return no_overload(function) };
            // Read twice, and kept in parts.
            fuel.spend_bytes(text.len().saturating_mul(4))?;
            let read = parse_request_uri(text);
            if function == Func::IsUrl {
                return Ok(Value::Bool(read.is_ok()));
            }
            let read = read.and_then(|_| parse(text));
            read.map(|url| Value::Url(Rc::new(url))).map_err(|why| {
                EvalError::invalid(format!("URL parse error during conversion from string: {why}"))
            })
        }
        (_, [Value::Url(url)]) => of_url(function, url, fuel),
        _ => no_overload(function),
    }
}

fn of_url<'a>(function: Func, url: &Url, fuel: &mut Fuel) -> Outcome<'a> {
    let (hostname, port) = split_port(&url.host);
    let text: &str = match function {
        Func::GetScheme => &url.scheme,
        Func::GetHost => &url.host,
        Func::GetHostname => hostname,
        Func::GetPort => port,
        Func::GetEscapedPath => &url.path,
        Func::GetQuery => return query(&url.query, fuel),
        _ => return no_overload(function),
    };
    fuel.spend_bytes(text.len())?;
    Ok(Value::string(text))
}

fn query<'a>(text: &str, fuel: &mut Fuel) -> Outcome<'a> {
    fuel.spend_bytes(text.len().saturating_mul(2))?;
    let mut found: Vec<(String, Vec<Value<'a>>)> = Vec::new();
    let parts = text.split('&');
    if parts.clone().count() <= MAX_PARAMETERS {
        for part in parts.filter(|part| !part.is_empty() && !part.contains(';')) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (Ok(key), Ok(value)) = (unescape(key, Part::Parameter), unescape(value, Part::Parameter))
            else {
                continue;
            };
            fuel.spend_elements(1 + found.len() / 8)?;
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) => values.push(Value::string(value)),
                None => found.push((key, vec![Value::string(value)])),
            }
        }
    }
    let entries = found.into_iter().map(|(key, values)| (Value::string(key), Value::list(values)));
    Ok(Value::Map(Map::Owned(entries.collect())))
}

/// Go's `url.ParseRequestURI`: an absolute URL or an absolute path. The error has Go's wording.
pub(super) fn parse_request_uri(text: &str) -> Result<Url, String> {
    read(text, true).map_err(|why| format!("parse {}: {why}", quoted(text)))
}

/// Go's `url.Parse`.
fn parse(text: &str) -> Result<Url, String> {
    let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
    let url = read(before, false).map_err(|why| format!("parse {}: {why}", quoted(before)))?;
    let fragment =
        unescape(fragment, Part::Fragment).map_err(|why| format!("parse {}: {why}", quoted(text)))?;
    Ok(Url { fragment, ..url })
}

fn read(text: &str, of_request: bool) -> Result<Url, String> {
    let mut url = Url {
        scheme: String::new(),
        opaque: String::new(),
        user: None,
        host: String::new(),
        path: String::new(),
        query: String::new(),
        asks: false,
        fragment: String::new(),
    };
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && of_request {
        return Err("empty url".to_owned());
    }
    if text == "*" {
        return Ok(Url { path: "*".to_owned(), ..url });
    }
    let (scheme, rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let mut rest = match rest.split_once('?') {
        Some((before, "")) => {
            url.asks = true;
            before
        }
        Some((before, query)) => {
            query.clone_into(&mut url.query);
            before
        }
        None => rest,
    };
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            return Ok(Url { opaque: rest.to_owned(), ..url });
        }
        if of_request {
            return Err("invalid URI for request".to_owned());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    if (!scheme.is_empty() || (!of_request && !rest.starts_with("///")))
        && let Some(after) = rest.strip_prefix("//")
    {
        let end = after.find('/').unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        (url.user, url.host) = read_authority(&url.scheme, authority)?;
        rest = path;
    }
    url.path = escaped_path(rest)?;
    Ok(url)
}

/// The scheme and what follows its colon; no scheme if the text has none.
fn scheme(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.')));
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic());
    match end.and_then(|end| Some((end, text.get(end..)?.strip_prefix(':')?))) {
        Some((0, _)) => Err("missing protocol scheme".to_owned()),
        Some((end, rest)) if starts => Ok((text.get(..end).unwrap_or_default(), rest)),
        _ => Ok(("", text)),
    }
}

fn read_authority(scheme: &str, authority: &str) -> Result<(Option<String>, String), String> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Ok((None, read_host(scheme, authority)?));
    };
    let host = read_host(scheme, host)?;
    let is_valid = |char: char| char.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(char);
    if !user.chars().all(is_valid) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    unescape(name, Part::User)?;
    unescape(password, Part::User)?;
    Ok((Some(user.to_owned()), host))
}

fn read_host(scheme: &str, host: &str) -> Result<String, String> {
    match host.rfind('[') {
        Some(0) => return read_literal(host),
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let Some(first) = host.find(':') {
        // Lists of hosts with ports are allowed, but not in http and https URLs.
        let strict = scheme == "http" || scheme == "https";
        let at = if strict { first } else { host.rfind(':').unwrap_or(first) };
        let port = host.get(at..).unwrap_or_default();
        if !is_port(port) {
            return Err(format!("invalid port {} after host", quoted(port)));
        }
    }
    unescape(host, Part::Host)
}

/// `[address]`, `[address%25zone]`, with a port.
fn read_literal(host: &str) -> Result<String, String> {
    let Some((inside, port)) = host.get(1..).and_then(|host| host.rsplit_once(']')) else {
        return Err("missing ']' in host".to_owned());
    };
    if !is_port(port) {
        return Err(format!("invalid port {} after host", quoted(port)));
    }
    let inside = match inside.find("%25") {
        Some(at) => {
            let (address, zone) = inside.split_at(at);
            unescape(address, Part::Host)? + &unescape(zone, Part::Zone)?
        }
        None => unescape(inside, Part::Host)?,
    };
    let (address, zone) = inside.split_once('%').map_or((inside.as_str(), None), |(a, zone)| (a, Some(zone)));
    if address.parse::<Ipv6Addr>().is_err() || zone == Some("") {
        return Err(format!("invalid host: ParseAddr({}): unable to parse IP", quoted(&inside)));
    }
    Ok(format!("[{inside}]{port}"))
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The host without brackets, and the port.
fn split_port(host: &str) -> (&str, &str) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port),
        _ => (host, ""),
    };
    let inside = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    (inside.unwrap_or(name), port)
}

/// The path as `EscapedPath` gives it: as written if that is a valid escaping of its value, otherwise escaped
/// again.
fn escaped_path(path: &str) -> Result<String, String> {
    let bytes = unescaped(path, Part::Path)?;
    let mut anew = String::with_capacity(path.len());
    for byte in bytes {
        if stays(byte, Part::Path) {
            anew.push(char::from(byte));
        } else {
            anew.push_str(&format!("%{byte:02X}"));
        }
    }
    let is_valid = |byte: u8| stays(byte, Part::Path) || b"!$&'()*+,;=:@[]%".contains(&byte);
    Ok(if path.bytes().all(is_valid) { path.to_owned() } else { anew })
}

fn unescape(text: &str, part: Part) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&unescaped(text, part)?).into_owned())
}

/// The bytes that a text encodes.
fn unescaped(text: &str, part: Part) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '%' => {
                let escape =
                    rest.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let byte = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let shown =
                    rest.char_indices().nth(3).map_or(rest, |(end, _)| rest.get(..end).unwrap_or(rest));
                let wrong = || format!("invalid URL escape {}", quoted(shown));
                let byte = byte.ok_or_else(wrong)?;
                if !may_be_escaped(byte, part) {
                    return Err(wrong());
                }
                bytes.push(byte);
                length = 3;
            }
            '+' if part == Part::Parameter => bytes.push(b' '),
            char if char.is_ascii()
                && matches!(part, Part::Host | Part::Zone)
                && !stays(char as u8, part) =>
            {
                return Err(format!("invalid character {} in host name", quoted(&char.to_string())));
            }
            _ => bytes.extend_from_slice(rest.get(..length).unwrap_or_default().as_bytes()),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(bytes)
}

/// Whether a byte may be escaped: in a host only a non-ASCII byte, and the percent sign of a zone.
fn may_be_escaped(byte: u8, part: Part) -> bool {
    match part {
        Part::Host => byte >= 0x80 || byte == b'%',
        Part::Zone => byte == b'%' || byte == b' ' || stays(byte, Part::Host),
        _ => true,
    }
}

/// Whether a byte stays unescaped. Go's `shouldEscape`, negated.
fn stays(byte: u8, part: Part) -> bool {
    match byte {
        b'-' | b'_' | b'.' | b'~' => true,
        byte if byte.is_ascii_alphanumeric() => true,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'[' | b']'
        | b'<' | b'>' | b'"'
            if matches!(part, Part::Host | Part::Zone) =>
        {
            true
        }
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match part {
            Part::Path => !matches!(byte, b'?'),
            Part::User => !matches!(byte, b'@' | b'/' | b'?' | b':'),
            Part::Fragment => true,
            Part::Host | Part::Zone | Part::Parameter => false,
        },
        b'!' | b'(' | b')' | b'*' => part == Part::Fragment,
        _ => false,
    }
}

/// As Go's `%q`; Rust's table says what is printable.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\'' => out.push(char),
            _ if char.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(char))),
            // Next to a letter, so that a mark counts as printable, as in Go.
            _ if ["a", char.encode_utf8(&mut [0; 4])].concat().escape_debug().count() == 2 => out.push(char),
            _ if u32::from(char) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(char))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_are_gos() {
        for (text, expected) in [
            ("a'b\"\\", r#""a'b\"\\""#),
            ("\u{7}\t\n\u{1}\u{7f}", r#""\a\t\n\x01\x7f""#),
            ("é\u{301}\u{200b}\u{e0001}", "\"é\u{301}\\u200b\\U000e0001\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
