//! Where the cursor is in a text that is being written, and what has been typed there.
//!
//! A letter is inserted at the cursor, and the text is read with it. So there is always a node at the cursor,
//! whether on an empty line or between a pair of empty quotes.

use std::ops::Range;

use bailiwick_compiler::diagnostic::Segment;

use crate::outline::{Decoded, Node, On, Outline, Style, Value, decode};

/// The letter at the cursor. Any letter without a meaning in YAML and CEL would do.
const MARK: &str = "x";

/// The cursor's place.
#[derive(Debug)]
pub struct Cursor {
    /// The text with the mark.
    pub marked: String,
    /// The outline of that text.
    pub outline: Outline,
    /// The path; for a key, that of the object that contains it.
    pub path: Vec<Segment>,
    /// What is being written.
    pub writes: Writes,
    /// The part of it that the author has typed before the cursor.
    pub typed: String,
    /// Its byte range in the text without the mark.
    pub replaces: Range<usize>,
    /// The index of its document.
    pub document: usize,
}

/// What is being written at the cursor.
#[derive(Debug, PartialEq)]
pub enum Writes {
    /// A key.
    Key {
        /// The other keys of the object.
        beside: Vec<String>,
        /// Whether the object is in braces.
        is_flow: bool,
        /// The column of the keys.
        column: usize,
        /// Whether the colon is already there.
        has_colon: bool,
    },
    /// A value.
    Value {
        /// How it is written.
        style: Style,
        /// Its decoded text, including the mark, with positions.
        decoded: Decoded,
        /// The byte of the mark in it.
        mark: usize,
        /// Whether it begins a line of its own, so that it may become a key.
        begins_line: bool,
        /// Its column.
        column: usize,
    },
}

/// The cursor at an offset of a text; `None` in a comment and between documents.
#[must_use]
pub fn cursor(text: &str, offset: usize) -> Option<Cursor> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let (before, after) = text.split_at_checked(offset)?;
    let marked = [before, MARK, after].concat();
    let outline = Outline::read(&marked);
    let document = outline.documents.iter().position(|root| root.span.contains(&offset))?;
    let spot = outline.at(offset)?;
    let (mut path, within) = (spot.path, spot.within);
    // The mark is not part of the text.
    let without = |span: &Range<usize>| span.start..span.end.saturating_sub(MARK.len()).max(span.start);
    let (writes, span) = match spot.on {
        On::Key(entry) => {
            if !entry.key_span.contains(&offset) {
                return None;
            }
            path.pop();
            let map = within?;
            let others = map.entries.iter().filter(|other| !std::ptr::eq(*other, entry));
            let beside = others.map(|other| other.key.clone()).collect();
            let (is_flow, column) = (map.is_flow, map.column);
            let has_colon = entry.has_colon;
            (Writes::Key { beside, is_flow, column, has_colon }, without(&entry.key_span))
        }
        On::Value(node) => {
            if !node.span.contains(&offset) {
                return None;
            }
            value(&marked, node, offset)?
        }
    };
    let typed = text.get(span.start..offset).unwrap_or_default().to_owned();
    Some(Cursor { marked, outline, path, writes, typed, replaces: span, document })
}

fn value(marked: &str, node: &Node, offset: usize) -> Option<(Writes, Range<usize>)> {
    let Value::Scalar(style) = node.value else { return None };
    let decoded = decode(marked, &node.span, style);
    let mark = decoded.offset(offset);
    let line = marked.get(..node.span.start)?.rsplit('\n').next()?;
    let begins_line = style == Style::Plain && line.chars().all(char::is_whitespace);
    let end = node.span.end.saturating_sub(MARK.len());
    let span = match style {
        Style::Plain => node.span.start..end,
        Style::Single | Style::Double => {
            let quote = if style == Style::Single { '\'' } else { '"' };
            let raw = marked.get(node.span.clone())?;
            let is_closed = raw.len() > 1 && raw.ends_with(quote);
            node.span.start + 1..end.saturating_sub(usize::from(is_closed))
        }
        // In a block only the typed text is replaced; the rest is on other lines.
        Style::Literal(_) | Style::Folded(_) => offset..offset,
    };
    let span = span.start.min(offset)..span.end.max(offset);
    Some((Writes::Value { style, decoded, mark, begins_line, column: line.chars().count() }, span))
}

impl Cursor {
    /// The root of its document.
    #[must_use]
    pub fn root(&self) -> Option<&Node> {
        self.outline.documents.get(self.document)
    }
}
