//! Patterns over image references: which are valid, and whether one is contained in another.
//!
//! `*` matches any characters except `/`, and `**` any characters. A reference is normalised before it is
//! matched, so a pattern without a registry matches nothing, nor does one with another name of Docker Hub.

use bailiwick_policy::admission::images::{Reference, is_port};

/// Longest pattern in bytes; the name in a reference has at most 255 characters.
const MAX_BYTES: usize = 512;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// Nothing, or more than 512 bytes.
    #[error("an image pattern has 1 to 512 bytes")]
    Length,
    /// A character that cannot occur in a reference.
    #[error("`{0}` has a character that no image name has")]
    Character(String),
    /// A tag or digest.
    #[error("`{0}` names a tag or digest")]
    Tag(String),
    /// No registry.
    #[error(
        "`{0}` names no registry, but references are normalised to `registry/name` before they are matched"
    )]
    Registry(String),
    /// A port that no reference has.
    #[error("`{0}` has a port that no image name has: it is a number from 1 to 65535 without leading zeros")]
    Port(String),
    /// Another name of Docker Hub.
    #[error(
        "`{0}` matches nothing, because references are normalised from `index.docker.io` to `docker.io` before they are matched"
    )]
    Index(String),
    /// A path of one segment on Docker Hub.
    #[error(
        "`{0}` matches nothing, because references are normalised to `docker.io/library/name` before they are matched"
    )]
    Library(String),
    /// Something else that no reference has.
    #[error("`{0}` is not a name that an image can have")]
    Name(String),
}

impl PatternError {
    /// What to write.
    pub(crate) const fn help(&self) -> &'static str {
        match self {
            Self::Index(_) => "write `docker.io/…`",
            Self::Library(_) => "write `docker.io/library/…`, or `docker.io/**` for all of Docker Hub",
            _ => "write `registry.example.org/team/**`; tags and digests are not part of a pattern",
        }
    }
}

/// Whether this is a pattern that can match a normalised reference.
pub(crate) fn check(text: &str) -> Result<(), PatternError> {
    let error = |make: fn(String) -> PatternError| Err(make(text.to_owned()));
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(PatternError::Length);
    }
    let (registry, name) = text.split_once('/').unwrap_or((text, ""));
    if text.contains('@') || name.contains(':') {
        return error(PatternError::Tag);
    }
    let known = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'.' | b'-' | b'_' | b'/' | b'*' | b':')
    };
    if !text.bytes().all(known) || text.contains("//") || text.starts_with('/') || text.ends_with('/') {
        return error(PatternError::Character);
    }
    let registry_like = registry.contains(['.', ':', '*']) || registry == "localhost";
    if !registry_like || (name.is_empty() && !registry.contains("**")) {
        return error(PatternError::Registry);
    }
    if !port_can_match(registry) {
        return error(PatternError::Port);
    }
    match registry.strip_suffix(":443").unwrap_or(registry) {
        "index.docker.io" => error(PatternError::Index),
        "docker.io" if !name.contains('/') && !name.contains("**") => error(PatternError::Library),
        _ if !text.contains('*') && Reference::parse(text).is_none() => error(PatternError::Name),
        _ => Ok(()),
    }
}

/// Whether some host has this port, which may have wildcards.
fn port_can_match(registry: &str) -> bool {
    let Some((host, port)) = registry.rsplit_once(':') else { return true };
    let by_wildcard = port.contains('*')
        && !port.starts_with('0')
        && port.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*');
    !host.contains(':') && (by_wildcard || is_port(port))
}

/// A piece of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal(char),
    Star,
    DoubleStar,
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        out.push(match next {
            '*' if chars.next_if_eq(&'*').is_some() => Piece::DoubleStar,
            '*' => Piece::Star,
            other => Piece::Literal(other),
        });
    }
    out
}

/// Whether `outer` provably matches everything that `inner` matches.
#[must_use]
pub(crate) fn within(inner: &str, outer: &str) -> bool {
    let inner = pieces(inner);
    // `reached[i]`: the pieces of `outer` so far can match the first `i` pieces of `inner`.
    let mut reached = vec![false; inner.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for outer in pieces(outer) {
        let mut next = vec![false; reached.len()];
        let mut carried = false;
        for (at, here) in reached.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| inner.get(before));
            let wide = match (outer, before) {
                (Piece::DoubleStar, Some(_)) => true,
                (Piece::Star, Some(piece)) => !matches!(piece, Piece::DoubleStar | Piece::Literal('/')),
                _ => false,
            };
            let now = match outer {
                Piece::Literal(_) => {
                    before == Some(&outer)
                        && at.checked_sub(1).and_then(|before| reached.get(before)) == Some(&true)
                }
                Piece::Star | Piece::DoubleStar => *here || (wide && carried),
            };
            carried = now;
            if let Some(slot) = next.get_mut(at) {
                *slot = now;
            }
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_lie_within_wider_ones() {
        for (inner, outer) in [
            ("r.io/a/b", "r.io/a/b"),
            ("r.io/a/b", "r.io/**"),
            ("r.io/a/**", "r.io/**"),
            ("r.io/a/*", "r.io/a/**"),
            ("r.io/a/x-*", "r.io/a/*"),
            ("r.io/a/*/c", "r.io/**/c"),
            ("r.io/a/b", "**"),
        ] {
            assert!(within(inner, outer), "{inner} in {outer}");
        }
        for (inner, outer) in [
            ("r.io/**", "r.io/a/**"),
            ("r.io/a/**", "r.io/a/*"),
            ("r.io/a/b", "r.io/a/*/c"),
            ("r.io/a/b/c", "r.io/a/*"),
            ("r.io/ab", "r.io/a"),
            ("r.io/a", "r.io/ab"),
            ("r.io/*", "r.io/a*"),
        ] {
            assert!(!within(inner, outer), "{inner} not in {outer}");
        }
    }

    #[test]
    fn patterns_that_match_nothing_are_refused() {
        for good in [
            "r.io/a",
            "r.io/**",
            "localhost/a",
            "r:5000/a/*",
            "r.io:443/a",
            "r.io:*/a",
            "r.io:5*/**",
            "**",
            "*.example.org/x/**",
            "docker.io/library/nginx",
            "docker.io/bitnami/*",
            "docker.io/**",
            "docker.io/a**",
            "docker.io:5000/nginx",
            "*.docker.io/nginx",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "nginx",
            "library/nginx",
            "r.io/a:1",
            "r.io/a@sha256:00",
            "r.io/A",
            "r.io//a",
            "r.io/a b",
            "r.io",
            "index.docker.io/evil/**",
            "index.docker.io:443/library/nginx",
            "docker.io/nginx",
            "docker.io:443/nginx",
            "docker.io/*",
            "docker.io/nginx-*",
            "r.io:05000/**",
            "r.io:0443/a",
            "r.io:0/**",
            "r.io:65536/**",
            "r.io:0*/**",
            "r.io:/**",
            "r.io:https/**",
            "r:5000:5000/**",
            "r.io/a_-b",
            "-r.io/a",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
