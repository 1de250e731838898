//! Patterns over image references: which are valid, and whether one is contained in another.
//!
//! `*` matches any characters except `/`, and `**` any characters. A reference is normalised before it is
//! matched, so a pattern without a registry matches nothing.

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
    Ok(())
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
        for good in ["r.io/a", "r.io/**", "localhost/a", "r:5000/a/*", "**", "*.example.org/x/**"] {
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
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
