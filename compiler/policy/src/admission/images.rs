//! Image references.
//!
//! Not a registry client: it parses references and fetches nothing.
//!
//! Terms. *Reference*: `[domain/]path[:tag][@digest]`, normalised as docker and containerd do (`nginx` is
//! `docker.io/library/nginx`); <https://github.com/distribution/reference>. *Name*: domain and path, which
//! patterns are matched with. The host has one spelling: lower case, an address in its shortest form, without
//! the default port. Otherwise a denied registry could be reached as `EVIL.example.org`,
//! `evil.example.org:443`, or `[2001:db8:0::1]`. A port with leading zeros, which containerd would connect to,
//! makes no reference.

use std::fmt;
use std::net::Ipv6Addr;

/// The longest reference that is read; longer ones cannot be pulled either (255 for the name, 128 for the
/// tag, a digest).
const MAX_REFERENCE: usize = 600;

/// A normalised image reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Domain and path, such as `docker.io/library/nginx`.
    pub name: String,
    /// `latest` where neither tag nor digest is written.
    pub tag: Option<String>,
    /// `sha256:…`.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference; `None` for text that a container runtime would reject.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bare_digest =
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() > MAX_REFERENCE || bare_digest {
            return None;
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            // `host:5000/path`: that colon belongs to the domain.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let name = normalised_name(name)?;
        if tag.is_some_and(|tag| !is_tag(tag)) || digest.is_some_and(|digest| !is_digest(digest)) {
            return None;
        }
        let latest = (digest.is_none() && tag.is_none()).then_some("latest");
        Some(Self { name, tag: tag.or(latest).map(str::to_owned), digest: digest.map(str::to_owned) })
    }
}

impl Reference {
    /// The registry's host, with the port unless it is the default.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.name.split_once('/').map_or("", |(registry, _)| registry)
    }

    /// The path within the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.name.split_once('/').map_or("", |(_, repository)| repository)
    }

    /// The same image with this digest.
    #[must_use]
    pub fn at(&self, digest: &str) -> Self {
        Self { digest: Some(digest.to_owned()), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn normalised_name(name: &str) -> Option<String> {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if is_domain_like(first) => (first, rest),
        _ => ("docker.io", name),
    };
    if path.is_empty() || !path.split('/').all(is_component) {
        return None;
    }
    let domain = canonical_domain(domain)?;
    // Only capital letters make this a host instead of a path: in the one spelling it would be a path on
    // docker.io.
    if !is_domain_like(&domain) {
        return None;
    }
    let domain = match without_default_port(&domain) {
        "index.docker.io" => "docker.io",
        other => other,
    };
    let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
    let name = format!("{domain}/{library}{path}");
    (name.len() <= 255).then_some(name)
}

/// A domain without `:443`, if that says the same.
#[must_use]
pub fn without_default_port(domain: &str) -> &str {
    match domain.strip_suffix(":443") {
        Some(host) if has_default_port(host) => host,
        _ => domain,
    }
}

/// Whether a host says the same with `:443` after it, the default port of every registry reached by TLS. A
/// registry on the local machine may be reached without TLS, and without its port a single-word host would
/// read as a path on docker.io.
#[must_use]
pub fn has_default_port(host: &str) -> bool {
    let own = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    !own && host.contains(['.', ':']) && port_of(host).is_none()
}

/// The port of a domain.
fn port_of(domain: &str) -> Option<&str> {
    domain.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'))
}

fn is_domain_like(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A domain in its one spelling, with the port that it is written with; `None` if it is none.
fn canonical_domain(domain: &str) -> Option<String> {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match address {
        Some(address) => {
            // A connection to a mapped address goes to the IPv4 address, which is to be written as one.
            let address: Ipv6Addr = address.parse().ok()?;
            address.to_ipv4_mapped().is_none().then(|| format!("[{address}]"))?
        }
        None if host.split('.').all(is_label) => host.to_ascii_lowercase(),
        None => return None,
    };
    match port {
        None => Some(host),
        Some(port) if is_port(port) => Some(format!("{host}:{port}")),
        Some(_) => None,
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether this is a port in its one spelling: 1 to 65535 without leading zeros.
#[must_use]
pub fn is_port(port: &str) -> bool {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    digits && !port.starts_with('0') && port.parse::<u16>().is_ok()
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let mut separator = String::new();
    let mut started = false;
    for byte in component.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {
                let plain = matches!(separator.as_str(), "" | "." | "_" | "__")
                    || separator.bytes().all(|one| one == b'-');
                if !plain {
                    return false;
                }
                separator.clear();
                started = true;
            }
            b'.' | b'_' | b'-' if started => separator.push(char::from(byte)),
            _ => return false,
        }
    }
    started && separator.is_empty()
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// `sha256` or `sha512` with as many lower-case hex digits as the algorithm gives.
pub(super) fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let len = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == len && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_normalised_as_docker_does() {
        for (text, name, tag) in [
            ("nginx", "docker.io/library/nginx", Some("latest")),
            ("nginx:1.27", "docker.io/library/nginx", Some("1.27")),
            ("index.docker.io/nginx", "docker.io/library/nginx", Some("latest")),
            ("bitnami/nginx", "docker.io/bitnami/nginx", Some("latest")),
            ("docker.io/nginx", "docker.io/library/nginx", Some("latest")),
            ("localhost/x:y", "localhost/x", Some("y")),
            ("registry:5000/a/b", "registry:5000/a/b", Some("latest")),
            ("registry.example.org/a/b__c-d.e:v1", "registry.example.org/a/b__c-d.e", Some("v1")),
            ("[::1]:5000/a", "[::1]:5000/a", Some("latest")),
            ("Registry.Example.ORG/a", "registry.example.org/a", Some("latest")),
            ("registry.example.org:443/a", "registry.example.org/a", Some("latest")),
            ("registry.example.org:5000/a", "registry.example.org:5000/a", Some("latest")),
            ("DOCKER.io/nginx", "docker.io/library/nginx", Some("latest")),
            ("docker.io:443/nginx", "docker.io/library/nginx", Some("latest")),
            ("localhost:443/x", "localhost:443/x", Some("latest")),
            ("registry:443/a", "registry:443/a", Some("latest")),
            ("Registry:443/a", "registry:443/a", Some("latest")),
            ("[2001:db8::1]:443/a", "[2001:db8::1]/a", Some("latest")),
            ("[::1]:443/a", "[::1]:443/a", Some("latest")),
            ("localhost.example.org:443/a", "localhost.example.org/a", Some("latest")),
            ("[2001:DB8:0:0::1]:443/a", "[2001:db8::1]/a", Some("latest")),
            ("[0:0:0:0:0:0:0:1]:5000/a", "[::1]:5000/a", Some("latest")),
            ("[0::1]:443/a", "[::1]:443/a", Some("latest")),
            ("registry:65535/a", "registry:65535/a", Some("latest")),
        ] {
            let reference = Reference::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((reference.name.as_str(), reference.tag.as_deref()), (name, tag), "{text}");
            // What is written into a pod is parsed again, also by the runtime.
            assert_eq!(Reference::parse(&reference.to_string()), Some(reference), "{text}");
        }
        let pinned = Reference::parse(&format!("a/b:v1@{DIGEST}")).unwrap();
        assert_eq!((pinned.tag.as_deref(), pinned.digest.as_deref()), (Some("v1"), Some(DIGEST)));
        assert_eq!(Reference::parse(&format!("a/b@{DIGEST}")).unwrap().tag, None);
    }

    #[test]
    fn what_no_runtime_accepts_is_no_reference() {
        let bare = DIGEST.trim_start_matches("sha256:");
        let long = "a".repeat(300);
        for text in [
            "",
            ":v1",
            "a:",
            "a@",
            "a@sha256:12",
            "a/B",
            "Registry/a",
            "htPps2/rehttpgiss",
            "a//b",
            "/a",
            "a/",
            "a..b/c d",
            "a/b_-c",
            "a b",
            "a/../b",
            "-a/b",
            "a.-b/c:1",
            "a:v1:v2",
            "a\n",
            "https://a/b",
            // Go would connect to port 443 of the same host, and to 5000.
            "evil.example.org:0443/a",
            "localhost:05000/a",
            "registry:00/a",
            "registry:0/a",
            "registry:65536/a",
            "registry:+443/a",
            // Connections to it go to the IPv4 address.
            "[::ffff:c000:201]:443/a",
            bare,
            &long,
        ] {
            assert_eq!(Reference::parse(text), None, "{text:?}");
        }
    }
}
