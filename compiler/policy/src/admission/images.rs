//! Image references and the `images` section.
//!
//! Not a registry client: what a reference says is judged, nothing is fetched.
//!
//! Terms. *Reference*: `[domain/]path[:tag][@digest]`, normalised as docker and containerd do (`nginx` is
//! `docker.io/library/nginx`); <https://github.com/distribution/reference>. *Name*: domain and path, which is what patterns are
//! matched with, in the one spelling of its host: lower case, without the port that is meant anyway. Else a denied registry could be
//! reached as `EVIL.example.org` or `evil.example.org:443`. *Layer*: the entries of one pack; every layer must allow an image.

use regex::{Regex, RegexBuilder};

use crate::policy::{ImageDigest, ImageEffect, ImageLayer, Origin};

/// The longest reference that is read; longer ones cannot be pulled either (255 for the name, 128 for the tag, a digest).
const MAX_REFERENCE: usize = 600;
/// The memory that one compiled pattern may take, in bytes. A pattern has no more states than characters.
const PATTERN_SIZE: usize = 1 << 20;

/// A normalised image reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Domain and path, as `docker.io/library/nginx`.
    pub name: String,
    /// `latest` where neither tag nor digest is written.
    pub tag: Option<String>,
    /// `sha256:…`.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference; `None` for what a container runtime would not accept.
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
            // `host:5000/path`: that colon is the domain's.
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

fn normalised_name(name: &str) -> Option<String> {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if is_domain_like(first) => (first, rest),
        _ => ("docker.io", name),
    };
    if !is_domain(domain) || path.is_empty() || !path.split('/').all(is_component) {
        return None;
    }
    let domain = domain.to_ascii_lowercase();
    let domain = match without_default_port(&domain) {
        "index.docker.io" => "docker.io",
        other => other,
    };
    let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
    let name = format!("{domain}/{library}{path}");
    (name.len() <= 255).then_some(name)
}

/// A domain without `:443`, which every registry has that is spoken to by TLS. One on the own machine may be spoken to without.
fn without_default_port(domain: &str) -> &str {
    let host = domain.strip_suffix(":443").unwrap_or(domain);
    let own = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    if own { domain } else { host }
}

fn is_domain_like(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_ok = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }),
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    host_ok && port.is_none_or(digits)
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

/// `sha256` or `sha512` with as many lower case hex digits as the algorithm gives.
fn is_digest(digest: &str) -> bool {
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

/// The image entries of one pack, ready to match.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) from: Origin,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    patterns: Vec<Regex>,
    effect: ImageEffect,
    digest: ImageDigest,
    at: String,
}

/// What a layer says against an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) message: String,
    pub(super) remedy: String,
}

impl Layer {
    /// Compiles the patterns of a layer.
    pub(super) fn new(layer: &ImageLayer) -> Result<Self, regex::Error> {
        let entries = layer.entries.iter().map(|entry| {
            let patterns = entry.patterns.iter().map(|pattern| compile(pattern)).collect::<Result<_, _>>()?;
            Ok(Entry { patterns, effect: entry.effect, digest: entry.digest, at: entry.at.clone() })
        });
        Ok(Self { from: layer.from.clone(), entries: entries.collect::<Result<_, _>>()? })
    }

    /// Judges one reference: a denying entry wins, no match is a denial, demands of all matching entries add up.
    pub(super) fn objection(&self, image: &str) -> Option<Objection> {
        let Some(reference) = Reference::parse(image) else {
            return Some(Objection {
                message: format!("`{image}` is not an image reference"),
                remedy: "write `registry/path:tag@sha256:digest`".to_owned(),
            });
        };
        let matching = || {
            let name = reference.name.as_str();
            self.entries
                .iter()
                .filter(move |entry| entry.patterns.iter().any(|pattern| pattern.is_match(name)))
        };
        if let Some(entry) = matching().find(|entry| entry.effect == ImageEffect::Deny) {
            let message = format!("image `{}` is denied by {}", reference.name, entry.at);
            return Some(Objection { message, remedy: "use another image".to_owned() });
        }
        if matching().next().is_none() {
            return Some(Objection {
                message: format!("image `{}` matches no entry of the allowed images", reference.name),
                remedy: "use an image that the pack's `images` section allows".to_owned(),
            });
        }
        let demands = matching().any(|entry| entry.digest == ImageDigest::Required);
        (demands && reference.digest.is_none()).then(|| Objection {
            message: format!("image `{image}` is not pinned by a digest"),
            remedy: "append `@sha256:…` of the image that was reviewed".to_owned(),
        })
    }
}

/// `*` stays within a path segment, `**` crosses segments; everything else stands for itself.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    let (registry, path) = pattern.split_at(pattern.find('/').unwrap_or(pattern.len()));
    let pattern = format!("{}{path}", without_default_port(registry));
    let mut source = String::from("^(?:");
    let mut rest = pattern.as_str();
    while let Some((literal, tail)) = rest.split_once('*') {
        source.push_str(&regex::escape(literal));
        match tail.strip_prefix('*') {
            Some(tail) => {
                source.push_str(".*");
                rest = tail;
            }
            None => {
                source.push_str("[^/]*");
                rest = tail;
            }
        }
    }
    source.push_str(&regex::escape(rest));
    source.push_str(")$");
    RegexBuilder::new(&source).size_limit(PATTERN_SIZE).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ImageEntry;

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
        ] {
            let reference = Reference::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((reference.name.as_str(), reference.tag.as_deref()), (name, tag), "{text}");
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
            bare,
            &long,
        ] {
            assert_eq!(Reference::parse(text), None, "{text:?}");
        }
    }

    fn layer(entries: &[(&[&str], ImageEffect, ImageDigest)]) -> Layer {
        let entries = entries.iter().enumerate().map(|(at, (patterns, effect, digest))| ImageEntry {
            patterns: patterns.iter().map(ToString::to_string).collect(),
            effect: *effect,
            digest: *digest,
            at: format!("spec.images[{at}]"),
        });
        let from = Origin { pack: 0, at: "spec.images".into() };
        Layer::new(&ImageLayer { entries: entries.collect(), from }).unwrap()
    }

    #[test]
    fn one_star_stays_in_its_segment_and_two_cross() {
        let one = layer(&[(&["r.example.org/a/*"], ImageEffect::Allow, ImageDigest::Any)]);
        let two = layer(&[(&["r.example.org/a/**"], ImageEffect::Allow, ImageDigest::Any)]);
        for (image, with_one, with_two) in [
            ("r.example.org/a/x", true, true),
            ("r.example.org/a/x/y", false, true),
            ("r.example.org/b/x", false, false),
            ("rxexample.org/a/x", false, false),
            ("evil.org/r.example.org/a/x", false, false),
            ("r.example.org/a", false, false),
        ] {
            assert_eq!(one.objection(image).is_none(), with_one, "{image}");
            assert_eq!(two.objection(image).is_none(), with_two, "{image}");
        }
    }

    #[test]
    fn a_denying_entry_wins_and_demands_add_up() {
        let layer = layer(&[
            (&["r.example.org/**"], ImageEffect::Allow, ImageDigest::Any),
            (&["r.example.org/agents/**"], ImageEffect::Allow, ImageDigest::Required),
            (&["r.example.org/old/*"], ImageEffect::Deny, ImageDigest::Any),
        ]);
        assert_eq!(layer.objection("r.example.org/x:1"), None);
        assert_eq!(layer.objection(&format!("r.example.org/agents/x@{DIGEST}")), None);
        let unpinned = layer.objection("r.example.org/agents/x:1").unwrap();
        assert_eq!(unpinned.message, "image `r.example.org/agents/x:1` is not pinned by a digest");
        // Whatever the spelling of the host.
        for denied in ["R.Example.Org/old/x", "r.example.org:443/old/x"] {
            assert!(
                layer.objection(denied).unwrap().message.contains("denied by spec.images[2]"),
                "{denied}"
            );
        }
        let denied = layer.objection(&format!("r.example.org/old/x@{DIGEST}")).unwrap();
        assert_eq!(denied.message, "image `r.example.org/old/x` is denied by spec.images[2]");
        assert!(
            layer.objection("nginx").unwrap().message.contains("`docker.io/library/nginx` matches no entry")
        );
        assert!(layer.objection("a b").unwrap().message.contains("not an image reference"));
    }
}
