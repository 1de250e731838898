//! Path patterns of gitignore, which Claude Code uses too, as regular expressions over a path below the
//! workspace.

/// A path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Glob {
    /// Paths that match this regular expression.
    Inside(String),
    /// It names folders of the system, which contain no workspace.
    System,
    /// It leads out of the workspace, and may lead into it again.
    Outside,
}

/// Folders of a system that contain no workspace.
const SYSTEM: [&str; 5] = ["boot", "dev", "etc", "proc", "sys"];

/// Reads a pattern. `//x` is absolute, `~/x` is in the home, which in a sandbox is the workspace; `/x` and
/// `./x` begin at the workspace. A pattern without a slash, except at its end, matches at any depth.
pub(super) fn read(pattern: &str) -> Glob {
    if pattern.split('/').any(|part| part == "..") {
        return Glob::Outside;
    }
    if let Some(absolute) = pattern.strip_prefix("//") {
        return match absolute.split_once('/') {
            // At any depth of the machine, and so of the workspace.
            Some(("**", rest)) if !rest.is_empty() => Glob::Inside(regex(rest, "(^|/)")),
            Some((first, _)) if SYSTEM.contains(&first) => Glob::System,
            None if SYSTEM.contains(&absolute) => Glob::System,
            _ => Glob::Outside,
        };
    }
    if let Some(home) = pattern.strip_prefix('~') {
        return match home.strip_prefix('/') {
            Some(rest) => Glob::Inside(regex(rest, "^")),
            None => Glob::Outside,
        };
    }
    let anchored = pattern.trim_end_matches('/').contains('/');
    let rest = pattern.trim_start_matches("./").trim_start_matches('/');
    Glob::Inside(regex(rest, if anchored { "^" } else { "(^|/)" }))
}

/// Where an absolute path begins in a word of a command: at its start, after the name of an option, or
/// directly after the letters of one.
const ABSOLUTE: &str = "(^|[=:,@]|^-[A-Za-z0-9]+)";
/// The same for a path below any folder.
const RELATIVE: &str = "(^|[/=:,@]|^-[A-Za-z0-9]+)";

/// A regular expression for a word of a command that names a path matching the pattern, or a folder that
/// matches as a whole. The path may be alone, after the name of an option, or attached to one. `None` if it
/// matches everything. Paths are in canonical spelling; see [`spelt_otherwise`].
pub(super) fn named(pattern: &str) -> Option<String> {
    let (rest, begin) = match pattern.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
        Some(absolute) => match absolute.strip_prefix("/**/") {
            Some(rest) => (rest, RELATIVE),
            None => (absolute, ABSOLUTE),
        },
        None => {
            let rest = pattern.trim_start_matches('~').trim_start_matches("./").trim_start_matches('/');
            (rest, RELATIVE)
        }
    };
    let whole = rest.trim_end_matches('/');
    let whole = whole.strip_suffix("/**").or_else(|| whole.strip_suffix("/*")).unwrap_or(whole);
    let is_everything = whole.chars().all(|char| matches!(char, '*' | '/' | '.'));
    (!is_everything).then(|| regex(whole, begin))
}

/// A regular expression for a word of a command that may hold a path in a spelling other than the canonical
/// one. Such spellings have `//`, `/./` or `/../`, also at the end or where a path begins, alone or attached
/// to an option ([`RELATIVE`]). [`named`] matches a leading `./`; `..` alone names a folder above. Two slashes
/// after a colon belong to a URL, unless a folder of these patterns may end in a colon.
pub(super) fn spelt_otherwise<'p>(mut patterns: impl Iterator<Item = &'p str>) -> &'static str {
    let may_end_in_colon = |folder: &str| folder != "**" && folder.ends_with([':', '*', '?', ']']);
    let in_folder = |pattern: &str| pattern.rsplit('/').skip(1).any(may_end_in_colon);
    if patterns.any(in_folder) {
        "//|(^|[/=:,@]|^-[A-Za-z0-9]+)[.][.]/|/[.][.]?(/|$)"
    } else {
        "(^|[^:])//|:///|(^|[/=:,@]|^-[A-Za-z0-9]+)[.][.]/|/[.][.]?(/|$)"
    }
}

/// Any one character. A plain `.` is none that ends a line, which a path may contain.
const ANY: &str = "(?s:.)";
/// Any characters.
const ANYTHING: &str = "(?s:.*)";

fn regex(pattern: &str, begin: &str) -> String {
    let rest = pattern.trim_end_matches('/');
    let mut regex = String::from(begin);
    let mut chars = rest.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '*' if chars.next_if(|(_, next)| *next == '*').is_some() => {
                if chars.next_if(|(_, next)| *next == '/').is_some() {
                    regex.push_str("(?s:.*/)?");
                } else {
                    regex.push_str(ANYTHING);
                }
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            char if char.is_ascii_alphanumeric() || matches!(char, '/' | '_' | '-') => regex.push(char),
            '[' => match class(rest.get(at + 1..).unwrap_or_default()) {
                Class::Closed(length) => {
                    // Wider than the class; see `is_wider`.
                    regex.push_str(ANY);
                    while chars.next_if(|(next, _)| *next <= at + length).is_some() {}
                }
                Class::Open => regex.push_str(ANY),
                Class::Unclear => {
                    regex.push_str(ANYTHING);
                    break;
                }
            },
            // It makes the next character plain, or is one itself.
            '\\' => {
                regex.push_str(ANYTHING);
                break;
            }
            // Characters that a regular expression class or a CEL string cannot hold: any character, which is
            // wider too.
            ']' | '^' | '\'' => regex.push_str(ANY),
            char if char.is_control() => regex.push_str(ANY),
            // A class of one character, since CEL strings would consume an escape first.
            char => regex.extend(['[', char, ']']),
        }
    }
    // A folder stands for its contents.
    regex.push_str("(?s:/.*)?$");
    regex
}

/// What follows a bracket.
enum Class {
    /// A class that ends after this many bytes.
    Closed(usize),
    /// No class: no bracket closes it.
    Open,
    /// A class of which readers of patterns disagree where it ends or whether it is one: `[[:digit:]]`, `[]a]`,
    /// `[a/b]`. What follows may be anything.
    Unclear,
}

fn class(rest: &str) -> Class {
    let Some(length) = rest.find(']').map(|end| end + 1) else { return Class::Open };
    let members = rest.get(..length - 1).unwrap_or_default();
    let members = members.strip_prefix(['!', '^']).unwrap_or(members);
    if members.is_empty() || members.contains(['[', '\\', '/']) {
        return Class::Unclear;
    }
    Class::Closed(length)
}

/// Whether more is denied by a pattern than it names: it has a class, an escape or a character that [`read`]
/// takes for any.
pub(super) fn is_wider(pattern: &str) -> bool {
    pattern.contains(|char: char| char.is_control() || "[]^\\'".contains(char))
}

/// Whether [`read`] matches nothing that the pattern does not.
pub(super) fn is_exact(pattern: &str) -> bool {
    !pattern.starts_with('~')
        && !pattern.starts_with("//")
        && !pattern.contains('!')
        && !is_wider(pattern)
        // Two stars next to other characters are one star in gitignore.
        && pattern.split('/').all(|part| part == "**" || !part.contains("**"))
}

#[cfg(test)]
mod tests {
    use super::{Glob, is_exact, named, read, spelt_otherwise};

    #[test]
    fn patterns_find_what_gitignore_finds() {
        let finds = |pattern: &str, path: &str| match read(pattern) {
            Glob::Inside(regex) => regex::Regex::new(&regex).expect("a pattern").is_match(path),
            other => panic!("{pattern}: {other:?}"),
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
            ("it's", "it's", true),
            ("//**/.env", "a/.env", true),
            ("//**/.env", ".envx", false),
            ("~/.ssh/**", ".ssh/id", true),
            ("~/.ssh/**", "a/.ssh/id", false),
            // Classes and escapes that end elsewhere for one reader than for another.
            ("./secrets/key[[:digit:]].pem", "secrets/key7.pem", true),
            ("./secrets/key[[:digit:]].pem", "secrets/keyd].pem", true),
            ("./secrets/key[[:digit:]].pem", "secrets/x", false),
            ("a[]b]c", "a]c", true),
            ("a[!]b]c", "axc", true),
            ("a[^]b]c", "axc", true),
            ("a[x\\]y]c", "a]c", true),
            ("a\\[b]", "a[b]", true),
            ("a\\b", "ab", true),
            ("a[b/c]d", "a[b/c]d", true),
            ("a[é]b", "aéb", true),
            // A name may contain the end of a line.
            ("./.github/**", ".github/workflows/a\nb.yml", true),
            ("./.github", ".github/workflows/a\nb.yml", true),
            ("./a/**/b", "a/x\ny/b", true),
            ("*.pem", "a\nb.pem", true),
            ("a[b]c", "a\nc", true),
            ("it's", "it\ns", true),
        ] {
            assert_eq!(finds(pattern, path), expected, "{pattern} {path}");
        }
        for outside in ["//data/a/x", "//**", "//", "../x", "~root/x", "a/../b"] {
            assert_eq!(read(outside), Glob::Outside, "{outside}");
        }
        for system in ["//etc/passwd", "//proc", "//sys/**"] {
            assert_eq!(read(system), Glob::System, "{system}");
        }
        for inexact in ["~/x", "//x", "a[b]", "it's", "src/**.ts"] {
            assert!(!is_exact(inexact), "{inexact}");
        }
    }

    #[test]
    fn words_of_commands_that_spell_a_path_in_another_way_are_found() {
        let finds = |patterns: &[&str], word: &str| {
            regex::Regex::new(spelt_otherwise(patterns.iter().copied())).expect("a pattern").is_match(word)
        };
        for word in [
            "a//b",
            "a/./b",
            "a/x/../b",
            "../a",
            "a/..",
            "a/.",
            "//a",
            "-fa//b",
            "file:///a",
            "--x=a/../b",
            "if=../etc/passwd",
            "--file=../etc/passwd",
            "-f../etc/passwd",
        ] {
            assert!(finds(&["a/b"], word) && finds(&["a*/b"], word), "{word}");
        }
        for word in [
            "a/b",
            "./a",
            ".",
            "..",
            "main..next",
            "main../a",
            "a/.b",
            "a/..b",
            "--x=..b/c",
            "https://example.org/a",
            "a/b.",
        ] {
            assert!(!finds(&["a/b", "src/**/x", "**/.env"], word), "{word}");
        }
        for pattern in ["a*/b", "a:/b", "a?/b", "[:]/b"] {
            assert!(finds(&["x", pattern], "a://b"), "{pattern}");
        }
    }

    #[test]
    fn words_of_commands_name_what_patterns_find() {
        for (pattern, word, expected) in [
            ("./secrets/**", "secrets/key", true),
            ("./secrets/**", "secrets", true),
            ("./secrets/**", "secrets/", true),
            ("./secrets/**", "./a/../secrets/key", true),
            ("./secrets/**", "--file=secrets/key", true),
            ("./secrets/**", "/work/secrets/key", true),
            ("./secrets/**", "secrets/a\nb", true),
            ("./secrets/**", "a\nb/secrets/key", true),
            ("./secrets/**", "secretsx", false),
            ("./secrets/**", "the secrets", false),
            (".env", "config/.env", true),
            (".env", "@.env", true),
            ("*.pem", "a/b.pem", true),
            ("~/.ssh/**", "/data/a/.ssh/id", true),
            ("//etc/passwd", "/etc/passwd", true),
            ("//etc/passwd", "if=/etc/passwd", true),
            ("//etc/passwd", "etc/passwd", false),
            ("//etc/passwd", "/srv/etc/passwd", false),
            ("//**/.env", "a/.env", true),
            ("../other", "../other/x", true),
            ("./config/prod.key", "-fconfig/prod.key", true),
            ("./config/prod.key", "-nf./config/prod.key", true),
            ("//etc/passwd", "-f/etc/passwd", true),
            ("./config/prod.key", "x-config/prod.key", false),
        ] {
            let regex = named(pattern).expect("a regular expression");
            let found = regex::Regex::new(&regex).expect("a pattern").is_match(word);
            assert_eq!(found, expected, "{pattern} {word}: {regex}");
        }
        for everything in ["**", "./**", "//**", "*", "~/**"] {
            assert_eq!(named(everything), None, "{everything}");
        }
    }
}
