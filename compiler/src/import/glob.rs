//! Path patterns as gitignore has them, which Claude Code takes over, as regular expressions over a path below the workspace.

/// A path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Glob {
    /// Paths that this regular expression finds.
    Inside(String),
    /// It leads out of the workspace.
    Outside,
}

/// Reads a pattern. `//x` is absolute, `~/x` in the home; `/x` and `./x` begin at the workspace; without a slash but the last it is met at any depth.
pub(super) fn read(pattern: &str) -> Glob {
    if pattern.starts_with("//") || pattern.starts_with('~') || pattern.split('/').any(|part| part == "..") {
        return Glob::Outside;
    }
    let anchored = pattern.trim_end_matches('/').contains('/');
    let rest = pattern.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
    let mut regex = String::from(if anchored { "^" } else { "(^|/)" });
    let mut chars = rest.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                if chars.peek() == Some(&'/') {
                    chars.next();
                    regex.push_str("(.*/)?");
                } else {
                    regex.push_str(".*");
                }
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            char if char.is_ascii_alphanumeric() || matches!(char, '/' | '_' | '-') => regex.push(char),
            // A class of gitignore: any one character. Wider; see `is_exact`.
            '[' if chars.clone().any(|char| char == ']') => {
                let _class = chars.find(|char| *char == ']');
                regex.push_str("[^/]");
            }
            // What a class of regular expressions cannot hold: any character, which is wider, too.
            '[' | ']' | '^' | '\\' => regex.push('.'),
            // A class of one, since an escape would be read by CEL's strings first.
            char => regex.extend(['[', char, ']']),
        }
    }
    // A folder stands for what lies in it.
    regex.push_str("(/.*)?$");
    Glob::Inside(regex)
}

/// Whether [`read`] finds nothing that the pattern does not.
pub(super) fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['[', ']', '^', '\\', '!', '\''])
}

#[cfg(test)]
mod tests {
    use super::{Glob, read};

    #[test]
    fn patterns_find_what_gitignore_finds() {
        let finds = |pattern: &str, path: &str| match read(pattern) {
            Glob::Inside(regex) => regex::Regex::new(&regex).expect("a pattern").is_match(path),
            Glob::Outside => panic!("{pattern} leads outside"),
        };
        for (pattern, path, expected) in [
            ("./secrets/**", "secrets/a/b", true),
            ("./secrets/**", "other/secrets/a", false),
            ("secrets", "a/secrets/key", true),
            (".env", ".env", true),
            (".env", "a/.env", true),
            (".env", "xenv", false),
            ("*.pem", "deep/x.pem", true),
            ("*.pem", "x.pemx", false),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/a/b.rs", false),
            ("/src/**/x", "src/a/b/x", true),
            ("/src/**/x", "src/x", true),
            // Wider than the class, and never narrower.
            ("a[b]", "ab", true),
            ("a[b]", "ac", true),
            ("a[b]", "a.b.", false),
            ("x[0-9].key", "x7.key", true),
            ("a[b", "a[b", true),
        ] {
            assert_eq!(finds(pattern, path), expected, "{pattern} {path}");
        }
        for outside in ["//etc/passwd", "~/.ssh/**", "../x"] {
            assert_eq!(read(outside), Glob::Outside);
        }
    }
}
