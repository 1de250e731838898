//! A YAML reader that never fails: it reports what an unfinished text most likely contains, and where.
//!
//! Indentation decides. A line without a colon is a key that is being written; an unclosed bracket or quote
//! ends where the text returns to the column of its parent. For valid YAML it gives the same tree as the
//! compiler's reader, except for aliases and merges. It does not judge whether a text is valid
//! (`bailiwick_compiler::yaml` does).
//!
//! ```text
//! text ► block (lines, columns) ◄► flow ({…}, […]) ◄► scalar (quotes, | and >) ► Outline ► at(offset) ► Spot
//! ```

mod block;
mod flow;
mod scalar;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bailiwick_compiler::diagnostic::Segment;

pub use scalar::{Decoded, decode};

/// The contents of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// Its documents.
    pub documents: Vec<Node>,
    /// How many keys and values were read, to estimate the memory that they take.
    pub nodes: usize,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its value.
    pub value: Value,
    /// Its byte range.
    pub span: Range<usize>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Missing.
    Absent,
    /// A text, written in this style.
    Scalar(Style),
    /// An object.
    Map(Map),
    /// A list.
    List(Vec<Node>),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// A block that keeps line breaks, indented by this many columns.
    Literal(usize),
    /// A block in which line breaks are blanks.
    Folded(usize),
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Whether it is written in braces.
    pub is_flow: bool,
    /// The column of its keys; for an object in braces, that of the line's first key.
    pub column: usize,
    /// Its members, in the order of the text. A key may occur twice.
    pub entries: Vec<Entry>,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its byte range, including quotes.
    pub key_span: Range<usize>,
    /// Whether a colon follows; without one the key is being written.
    pub has_colon: bool,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The first member of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The members; empty if it is not an object.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(map) => &map.entries,
            _ => &[],
        }
    }

    /// The elements; empty if it is not a list.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self, source: &str) -> Option<String> {
        match self.value {
            Value::Scalar(style) => Some(decode(source, &self.span, style).text),
            _ => None,
        }
    }

    /// The node at a path.
    #[must_use]
    pub fn at(&self, path: &[Segment]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| match step {
            Segment::Member(name) => node.get(name),
            Segment::Index(index) => node.items().get(*index),
        })
    }

    /// The node as JSON, as far as scalars show their types. For reading schemas from a text, not for judging
    /// a text.
    #[must_use]
    pub fn to_json(&self, source: &str) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Absent => Json::Null,
            Value::Scalar(Style::Plain) => {
                let text = self.text(source).unwrap_or_default();
                match text.as_str() {
                    "true" => Json::Bool(true),
                    "false" => Json::Bool(false),
                    "null" | "~" => Json::Null,
                    other => other.parse::<i64>().map_or(Json::String(text), Json::from),
                }
            }
            Value::Scalar(_) => Json::String(self.text(source).unwrap_or_default()),
            Value::List(items) => Json::Array(items.iter().map(|item| item.to_json(source)).collect()),
            Value::Map(map) => Json::Object(
                map.entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json(source))).collect(),
            ),
        }
    }
}

/// What is at an offset.
#[derive(Clone, Debug)]
pub struct Spot<'o> {
    /// The root of the document.
    pub root: &'o Node,
    /// Its path; for a key, the path of its value.
    pub path: Vec<Segment>,
    /// What is there.
    pub on: On<'o>,
    /// The object that directly contains it, if any.
    pub within: Option<&'o Map>,
}

/// What is at a spot.
#[derive(Clone, Copy, Debug)]
pub enum On<'o> {
    /// A key.
    Key(&'o Entry),
    /// A value without a nearer part.
    Value(&'o Node),
}

impl Outline {
    /// Reads a text.
    #[must_use]
    pub fn read(text: &str) -> Self {
        block::read(text)
    }

    /// What is at an offset, including the end of a word; `None` between documents and outside everything.
    #[must_use]
    pub fn at(&self, offset: usize) -> Option<Spot<'_>> {
        let root = self.documents.iter().find(|root| touches(&root.span, offset))?;
        let mut spot = Spot { root, path: Vec::new(), on: On::Value(root), within: None };
        loop {
            let On::Value(node) = spot.on else { return Some(spot) };
            match &node.value {
                Value::Map(map) => {
                    let Some(entry) = nearest(&map.entries, offset, Entry::reach) else { return Some(spot) };
                    spot.path.push(Segment::Member(entry.key.clone()));
                    spot.within = Some(map);
                    spot.on = if touches(&entry.key_span, offset) && !inside(&entry.value.span, offset) {
                        On::Key(entry)
                    } else {
                        On::Value(&entry.value)
                    };
                }
                Value::List(items) => {
                    let Some(item) = nearest(items, offset, |item| item.span.clone()) else {
                        return Some(spot);
                    };
                    let index = items.iter().position(|other| std::ptr::eq(other, item)).unwrap_or(0);
                    spot.path.push(Segment::Index(index));
                    spot.within = None;
                    spot.on = On::Value(item);
                }
                Value::Absent | Value::Scalar(_) => return Some(spot),
            }
        }
    }
}

impl Entry {
    /// From the beginning of the key to the end of its value.
    fn reach(&self) -> Range<usize> {
        self.key_span.start..self.value.span.end.max(self.key_span.end)
    }
}

fn inside(span: &Range<usize>, offset: usize) -> bool {
    span.contains(&offset)
}

fn touches(span: &Range<usize>, offset: usize) -> bool {
    (span.start..=span.end).contains(&offset)
}

/// The element that contains an offset, else one whose end it touches.
fn nearest<T>(all: &[T], offset: usize, span: impl Fn(&T) -> Range<usize>) -> Option<&T> {
    let within = all.iter().find(|one| inside(&span(one), offset));
    within.or_else(|| all.iter().find(|one| touches(&span(one), offset)))
}
