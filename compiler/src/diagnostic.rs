//! The compiler's findings about a pack: a code, a place, a message and what to do about it.
//!
//! A diagnostic is data: it knows its field path and, once [`crate::yaml::SourceMap`] has located it, its
//! bytes in a file; the command line renders it for terminals, JSON and SARIF. Checks collect diagnostics and
//! do not stop at the first error.
//!
//! Terms. *Code*: a number that never changes, with a page of documentation (`bailiwick explain BW0104`),
//! defined in one file of [`crate::check`]. *Field path*: `spec.network.egress[0].to`, from the root of the
//! document.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// How severe a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Useful to know; changes nothing.
    Note,
    /// Probably not what the author wants; the pack compiles.
    Warning,
    /// The pack does not compile.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A diagnostic code. Defined once, as `CODE` in `check/bwNNNN_name.rs`; [`crate::check::codes`] lists them
/// all.
#[derive(Clone, Copy)]
pub struct Code {
    id: &'static str,
    title: &'static str,
    severity: Severity,
    source: &'static str,
}

impl Code {
    /// Defines a code. `source` is the text of the defining file: its `//!` lines are the documentation.
    #[must_use]
    pub const fn new(
        id: &'static str,
        title: &'static str,
        severity: Severity,
        source: &'static str,
    ) -> Self {
        Self { id, title, severity, source }
    }

    /// `BW0104`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.id
    }

    /// A few words: `unknown field`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.title
    }

    /// Its severity unless the diagnostic overrides it.
    #[must_use]
    pub const fn severity(self) -> Severity {
        self.severity
    }

    /// The documentation in Markdown: the `//!` lines of the defining file.
    #[must_use]
    pub fn documentation(self) -> String {
        let mut text = String::new();
        for line in self.source.lines().map_while(|line| line.strip_prefix("//!")) {
            text.push_str(line.strip_prefix(' ').unwrap_or(line));
            text.push('\n');
        }
        text
    }

    /// The default help for a finding of this kind: the `Remedy:` line of the documentation.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        self.source.lines().find_map(|line| line.strip_prefix(REMEDY)).unwrap_or_default()
    }
}

/// The prefix of the documentation line that says what to do.
const REMEDY: &str = "//! Remedy: ";

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Code {}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.id)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.id)
    }
}

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A member of an object.
    Member(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// A path from the root of a document. Written `spec.rules[0].name`; a member that is not a plain name is
/// quoted: `metadata.labels['app.kubernetes.io/name']`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// The document itself.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// `spec`, where nearly every path begins.
    #[must_use]
    pub fn spec() -> Self {
        Self::root().member("spec")
    }

    /// This path extended by a member.
    #[must_use]
    pub fn member(&self, name: impl Into<String>) -> Self {
        self.join(Segment::Member(name.into()))
    }

    /// This path extended by an element.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.join(Segment::Index(index))
    }

    /// This path extended by a step.
    #[must_use]
    pub fn join(&self, segment: Segment) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment);
        Self(segments)
    }

    /// The path without its last step; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }

    /// The steps.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this path is `other` or is within it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl From<Vec<Segment>> for FieldPath {
    fn from(segments: Vec<Segment>) -> Self {
        Self(segments)
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$' | b'*'))
}

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(out, "[{index}]")?,
                Segment::Member(name) if is_plain(name) => {
                    if position > 0 {
                        out.write_str(".")?;
                    }
                    out.write_str(name)?;
                }
                Segment::Member(name) => {
                    write!(out, "['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))?
                }
            }
        }
        Ok(())
    }
}

/// A text that is not a field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a field path: `{0}`")]
pub struct NotAFieldPath(String);

impl FromStr for FieldPath {
    type Err = NotAFieldPath;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, NotAFieldPath> {
        let wrong = || NotAFieldPath(text.to_owned());
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("['") {
                let (name, after) = quoted_member(quoted).ok_or_else(wrong)?;
                segments.push(Segment::Member(name));
                rest = after;
            } else if let Some(index) = rest.strip_prefix('[') {
                let (digits, after) = index.split_once(']').ok_or_else(wrong)?;
                segments.push(Segment::Index(digits.parse().map_err(|_| wrong())?));
                rest = after;
            } else {
                let member =
                    if segments.is_empty() { rest } else { rest.strip_prefix('.').ok_or_else(wrong)? };
                let end = member.find(['.', '[']).unwrap_or(member.len());
                let (name, after) = member.split_at_checked(end).ok_or_else(wrong)?;
                if !is_plain(name) {
                    return Err(wrong());
                }
                segments.push(Segment::Member(name.to_owned()));
                rest = after;
            }
        }
        Ok(Self(segments))
    }
}

/// The member after `['`, unescaped, and what follows `']`.
fn quoted_member(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '\\' => name.push(chars.next()?),
            '\'' => return Some((name, chars.as_str().strip_prefix(']')?)),
            other => name.push(other),
        }
    }
}

/// Bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file, as in [`crate::source::SourceFile::name`].
    pub file: String,
    /// Byte range in its text.
    pub bytes: Range<usize>,
}

/// Another place that a diagnostic refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The pack, if it is not the one under compilation.
    pub pack: Option<String>,
    /// The position in it.
    pub at: FieldPath,
    /// Bytes of the file, once known.
    pub place: Option<Place>,
    /// What is there, such as `first declared here`.
    pub message: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The kind of finding.
    pub code: Code,
    /// Its severity.
    pub severity: Severity,
    /// The pack it concerns, if that is not the one under compilation but one that it extends.
    pub pack: Option<String>,
    /// The field it concerns; the root if the text is not yet a tree.
    pub at: FieldPath,
    /// Byte range within the text of the scalar at `at`, as for CEL errors.
    pub within: Option<Range<usize>>,
    /// Whether the finding is about the key at `at` (an unknown field), not its value.
    pub about: About,
    /// Bytes of the file, once known.
    pub place: Option<Place>,
    /// What is wrong, as a sentence without a full stop, user input in backticks.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Other relevant places.
    pub related: Vec<Related>,
}

/// Which part of a member a finding is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// The value.
    #[default]
    Value,
    /// The key.
    Key,
}

impl Diagnostic {
    /// A finding with the code's own severity and remedy, about the value at `at`.
    #[must_use]
    pub fn new(code: Code, at: FieldPath, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            pack: None,
            at,
            within: None,
            about: About::Value,
            place: None,
            message: message.into(),
            help: code.remedy().to_owned(),
            related: Vec::new(),
        }
    }

    /// Sets help for this finding, more specific than the code's remedy.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Sets help for this finding, if there is any; otherwise the code's remedy stays.
    #[must_use]
    pub fn with_any_help(self, help: Option<impl Into<String>>) -> Self {
        match help {
            Some(help) => self.with_help(help),
            None => self,
        }
    }

    /// Points to a byte range of the scalar's text.
    #[must_use]
    pub fn with_range(mut self, within: Range<usize>) -> Self {
        self.within = Some(within);
        self
    }

    /// Points to the key, not the value.
    #[must_use]
    pub const fn about_key(mut self) -> Self {
        self.about = About::Key;
        self
    }

    /// Sets the bytes in a file.
    #[must_use]
    pub fn with_place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Sets the extended pack; `None` for the pack under compilation. Related places are in the same pack,
    /// unless they name another.
    #[must_use]
    pub fn in_pack(mut self, pack: Option<String>) -> Self {
        for related in self.related.iter_mut().filter(|related| related.pack.is_none()) {
            related.pack.clone_from(&pack);
        }
        self.pack = pack;
        self
    }

    /// Adds another relevant place of the same pack.
    #[must_use]
    pub fn with_related(mut self, at: FieldPath, message: impl Into<String>) -> Self {
        self.related.push(Related { pack: self.pack.clone(), at, place: None, message: message.into() });
        self
    }
}

/// Plain text without source lines, for tests and logs: `error[BW0104] at spec.sandboxs: unknown field ...`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}[{}]", self.severity, self.code)?;
        if let Some(pack) = &self.pack {
            write!(out, " in `{pack}`")?;
        }
        if !self.at.segments().is_empty() {
            write!(out, " at {}", self.at)?;
        }
        if let Some(within) = &self.within {
            write!(out, " ({}..{})", within.start, within.end)?;
        }
        write!(out, ": {}\n  help: {}", self.message, self.help)?;
        for related in &self.related {
            write!(out, "\n  {}: {}", related.at, related.message)?;
        }
        Ok(())
    }
}

/// Whether any finding is an error.
#[must_use]
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_path_reads_what_it_writes() {
        let path = FieldPath::spec().member("rules").index(3).member("a.b/c'd").member("x");
        assert_eq!(path.to_string(), r"spec.rules[3]['a.b/c\'d'].x");
        assert_eq!(path.to_string().parse(), Ok(path));
        assert_eq!("".parse(), Ok(FieldPath::root()));
        for wrong in ["a..b", "a[", "a[x]", "['a'", "a]b", ".a"] {
            assert!(wrong.parse::<FieldPath>().is_err(), "{wrong}");
        }
    }
}
