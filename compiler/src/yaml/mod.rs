//! The one reader of YAML, for packs, tests and manifests. It reads as `kubectl` does and keeps the bytes of
//! every key and value.
//!
//! It knows no schema: a [`Node`] holds what the text says, and [`crate::schema_check`] decides whether that
//! is valid. Where kubectl would read something differently, this reader reports a diagnostic, so no
//! difference is silent: duplicate keys, keys such as `y` (which kubectl turns into `"true"`) and `0x1f`
//! (`"31"`), a key before the `<<` that brings it too, numbers such as `1__0`, integers beyond 64 bits.
//!
//! ```text
//! bytes ► UTF-8, size ► serde-saphyr (depth, nodes, aliases) ► Node ► SourceMap (field path → bytes) · serde_json::Value
//! ```

mod offsets;
mod raw;
mod read;
mod refused;
mod words;

use std::ops::Range;
use std::sync::Arc;

pub use read::{Limits, documents, each_document};

use crate::diagnostic::{About, Diagnostic, FieldPath, Place, Segment};

/// A byte range in one of the [`Texts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Index of the text.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// The bytes as a range.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value as written at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its bytes.
    pub span: Span,
    /// The parameter that this value was substituted for.
    pub parameter: Option<Arc<str>>,
}

/// A YAML value, limited to what JSON can express.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, `on`, `yes`…
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a fraction, or an integer that is too large.
    Float(f64),
    /// A text.
    Str(String),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its bytes.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The member of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The member of this name with its key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The members; empty if this is not an object.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements; empty if this is not a list.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The same value as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Str(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// The same value as JSON text, appended to `out`: keys in the same order as [`Node::to_json`], but
    /// without building a tree in between.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match &self.value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Value::Int(value) => write_scalar(value, out),
            Value::Float(value) => write_scalar(value, out),
            Value::Str(text) => write_scalar(text, out),
            Value::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Value::Map(entries) => {
                let mut sorted: Vec<&Entry> = entries.iter().collect();
                sorted.sort_by(|one, other| one.key.cmp(&other.key));
                out.push(b'{');
                for (index, entry) in sorted.into_iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_scalar(&entry.key, out);
                    out.push(b':');
                    entry.value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The kind of value, as named in messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number with a fraction",
            Value::Str(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }
}

/// Writes a scalar. This cannot fail: the value has no keys that could be invalid, and a vector accepts every
/// write.
fn write_scalar(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// A text that spans refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Name of the file.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// Maps field paths to the bytes of files.
#[derive(Clone, Debug)]
pub struct SourceMap {
    texts: Arc<[Text]>,
    root: Node,
}

impl SourceMap {
    /// The map of this tree, whose spans refer to `texts`.
    #[must_use]
    pub const fn new(texts: Arc<[Text]>, root: Node) -> Self {
        Self { texts, root }
    }

    /// The tree.
    #[must_use]
    pub const fn root(&self) -> &Node {
        &self.root
    }

    /// The texts.
    #[must_use]
    pub fn texts(&self) -> &[Text] {
        &self.texts
    }

    /// Bytes of the key or the value at `at`, or of `within`, a byte range inside the scalar's text. For a
    /// path that is not in the document, gives the innermost node that contains it.
    #[must_use]
    pub fn place(&self, at: &FieldPath, about: About, within: Option<Range<usize>>) -> Option<Place> {
        let mut node = &self.root;
        let mut key_span = None;
        let mut found = true;
        for segment in at.segments() {
            let next = match segment {
                Segment::Member(name) => node.entry(name).map(|entry| (Some(entry.key_span), &entry.value)),
                Segment::Index(index) => node.items().get(*index).map(|item| (None, item)),
            };
            let Some((key, value)) = next else {
                found = false;
                break;
            };
            (key_span, node) = (key, value);
        }
        let wants_key = !found || about == About::Key;
        let span = key_span.filter(|_| wants_key).unwrap_or(node.span);
        let text = self.texts.get(span.file as usize)?;
        let bytes = match (within, node.as_str(), text.text.get(span.range())) {
            (Some(within), Some(decoded), Some(raw)) if found && about == About::Value => {
                let inner = offsets::source_range(raw, decoded, within);
                span.range().start + inner.start..span.range().start + inner.end
            }
            _ => span.range(),
        };
        Some(Place { file: text.name.clone(), bytes })
    }

    /// Adds places to a diagnostic of this document, and to its related positions, where they are missing.
    pub fn locate(&self, diagnostic: &mut Diagnostic) {
        if diagnostic.place.is_none() {
            diagnostic.place = self.place(&diagnostic.at, diagnostic.about, diagnostic.within.clone());
        }
        for related in &mut diagnostic.related {
            if related.place.is_none() && related.pack == diagnostic.pack {
                related.place = self.place(&related.at, About::Value, None);
            }
        }
    }
}

/// Line and column (both from 1, columns in characters) of a byte of a text.
#[must_use]
pub fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
