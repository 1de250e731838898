//! Paths: one spelling for each, derived from the text alone.
//!
//! Does not look at any disk. A symbolic link may make a path lead elsewhere than it says; the code that
//! opens it must follow none (openat2(2)). `a/../b` is `b` only if `a` is not a link, so `..` is resolved
//! only over parts of the workspace's own path, which is canonical.

use super::Fact;

/// The longest path, in bytes: PATH_MAX with its NUL.
pub const MAX_BYTES: usize = 4_095;
/// The longest part of a path, in bytes: NAME_MAX.
pub const MAX_PART: usize = 255;

/// A path in canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Absolute, without `.`, `..`, doubled and trailing slashes.
    pub absolute: String,
    /// The same below the workspace (`src/a.rs`; empty for the workspace itself); `None`: it is outside.
    pub in_workspace: Option<String>,
    /// Its last part; empty for the root.
    pub name: String,
}

/// Parses a path; a relative one starts at the workspace, which is absolute and canonical.
///
/// Opaque: an empty path, one with NUL or another control character, one that is too long or has a part that
/// is too long, and one whose `..` goes above the root or back over a part that may be a link.
#[must_use]
pub fn parse(text: &str, workspace: &str) -> Fact<Path> {
    canonical(text, workspace).map_or(Fact::Opaque, Fact::Known)
}

fn canonical(text: &str, workspace: &str) -> Option<Path> {
    if text.is_empty() || text.len() > MAX_BYTES || text.chars().any(char::is_control) {
        return None;
    }
    let start = if text.starts_with('/') { "" } else { workspace };
    if !text.starts_with('/') && !workspace.starts_with('/') {
        return None;
    }
    let own: Vec<&str> = workspace.split('/').filter(|part| !part.is_empty()).collect();
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(text.split('/')) {
        match part {
            "" | "." => {}
            // Above the root the kernel stays where it is; a path that needs this was made to confuse.
            ".." if own.starts_with(&parts) => drop(parts.pop()?),
            ".." => return None,
            part if part.len() > MAX_PART => return None,
            part => parts.push(part),
        }
    }
    let absolute = format!("/{}", parts.join("/"));
    if absolute.len() > MAX_BYTES {
        return None;
    }
    let workspace = workspace.trim_end_matches('/');
    let in_workspace = match absolute.strip_prefix(workspace) {
        Some("") => Some(String::new()),
        Some(below) if workspace.is_empty() || below.starts_with('/') => {
            Some(below.trim_start_matches('/').to_owned())
        }
        _ => None,
    };
    let name = parts.last().copied().unwrap_or_default().to_owned();
    Some(Path { absolute, in_workspace, name })
}

/// The fuzzing entry point: any bytes get an answer that is its own canonical form.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Fact::Known(path) = parse(&text, "/work") {
        let again = parse(&path.absolute, "/work");
        assert_eq!(again, Fact::Known(path), "not canonical");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn absolute(text: &str) -> Option<String> {
        parse(text, "/work").known().map(|path| path.absolute.clone())
    }

    #[test]
    fn every_spelling_of_a_path_is_one() {
        for text in [
            "/etc/passwd",
            "//etc/passwd",
            "/etc//passwd/",
            "/etc/./passwd",
            "../etc/passwd",
            "/work/../etc/passwd",
            "./../etc/passwd/.",
        ] {
            assert_eq!(absolute(text).as_deref(), Some("/etc/passwd"), "{text}");
        }
        for (text, below, name) in [
            ("a/b", Some("a/b"), "b"),
            ("/work/a/b", Some("a/b"), "b"),
            ("./a/.", Some("a"), "a"),
            (".", Some(""), "work"),
            ("/work/../work", Some(""), "work"),
            ("/workshop/a", None, "a"),
            ("..", None, ""),
            ("/", None, ""),
            ("a/..../b", Some("a/..../b"), "b"),
            ("a/.. /b", Some("a/.. /b"), "b"),
            ("~/x", Some("~/x"), "x"),
            ("C:\\x", Some("C:\\x"), "C:\\x"),
            ("%2e%2e/x", Some("%2e%2e/x"), "x"),
            ("．．/x", Some("．．/x"), "x"),
        ] {
            let path = parse(text, "/work");
            let path = path.known().unwrap_or_else(|| panic!("{text} is opaque"));
            assert_eq!((path.in_workspace.as_deref(), path.name.as_str()), (below, name), "{text}");
        }
        assert_eq!(parse("/a", "/").known().and_then(|path| path.in_workspace.clone()).as_deref(), Some("a"));
    }

    #[test]
    fn what_has_no_one_meaning_is_opaque() {
        let long_part = "a".repeat(MAX_PART + 1);
        let long = "a/".repeat(MAX_BYTES / 2 + 1);
        for text in [
            "",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            "/..",
            "../..",
            "/a/../b",
            "a/../b",
            "/work/link/../b",
            &long_part,
            &long,
        ] {
            assert_eq!(parse(text, "/work"), Fact::Opaque, "{text:?}");
        }
        assert_eq!(parse("a", "work"), Fact::Opaque);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_canonical_path_is_its_own(text in "(/|\\.|\\.\\.|a|é|work|\\PC){0,12}") {
            fuzz(text.as_bytes());
        }
    }
}
