//! Block collections: lines whose columns determine the nesting.

use std::ops::Range;

use super::{Entry, Map, Node, Outline, Style, Value};
use crate::limits::{MAX_DEPTH, MAX_NODES};

pub(super) fn read(text: &str) -> Outline {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 0,
        depth: 0,
        nodes: 0,
        ahead: text.len().saturating_mul(4).saturating_add(4096),
    };
    if text.starts_with('\u{feff}') {
        // A byte order mark takes no column.
        (reader.at, reader.line) = ('\u{feff}'.len_utf8(), '\u{feff}'.len_utf8());
    }
    let mut documents = Vec::new();
    while reader.at < reader.bytes.len() {
        documents.extend(reader.document());
    }
    Outline { documents, nodes: reader.nodes }
}

/// The state of the reader.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) bytes: &'t [u8],
    /// The next byte.
    pub(super) at: usize,
    /// The first byte of its line.
    pub(super) line: usize,
    pub(super) depth: usize,
    nodes: usize,
    /// Bytes that may still be read ahead to find the end of a quote: without a limit, a text of unclosed
    /// quotes would take quadratic time.
    pub(super) ahead: usize,
}

/// A key and where it ends.
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Range<usize>,
    /// The byte after its colon.
    pub(super) after: usize,
}

impl Reader<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.byte(self.at)
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    pub(super) fn column(&self) -> usize {
        self.at - self.line
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Moves to the beginning of the next line.
    pub(super) fn next_line(&mut self) {
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                break;
            }
        }
        self.line = self.at;
    }

    fn is_comment(&self) -> bool {
        self.peek() == Some(b'#')
            && (self.at == self.line || matches!(self.byte(self.at - 1), Some(b' ' | b'\t' | b'\n')))
    }

    fn at_line_end(&self) -> bool {
        matches!(self.peek(), None | Some(b'\n' | b'\r')) || self.is_comment()
    }

    /// Skips blanks, line ends and comments.
    pub(super) fn skip_blank(&mut self) {
        loop {
            self.skip_spaces();
            match self.peek() {
                Some(b'\n') => self.next_line(),
                Some(b'\r') => self.at += 1,
                Some(b'#') if self.is_comment() => self.next_line(),
                _ => return,
            }
        }
    }

    /// Whether a line that ends a document begins here.
    fn at_marker(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at == self.line
            && (rest.starts_with(b"---") || rest.starts_with(b"..."))
            && matches!(rest.get(3), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
    }

    pub(super) fn ended(&self) -> bool {
        self.peek().is_none() || self.at_marker()
    }

    /// Whether a list element begins here.
    pub(super) fn is_dash(&self) -> bool {
        self.peek() == Some(b'-')
            && matches!(self.byte(self.at + 1), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
    }

    fn document(&mut self) -> Option<Node> {
        self.skip_blank();
        if self.at_marker() {
            self.at += 3;
            return None;
        }
        let mut root: Option<Node> = None;
        while !self.ended() {
            let node = self.content(-1);
            root = Some(match root {
                None => node,
                Some(before) => joined(before, node, self.text),
            });
            self.skip_blank();
        }
        root
    }

    /// Counts one more key or value. Beyond the limit the text ends here: its outline would be some hundred
    /// times as large.
    pub(super) fn count(&mut self) {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            (self.at, self.line) = (self.bytes.len(), self.bytes.len());
        }
    }

    /// The node that begins here, within a parent in the column `parent` (-1: none).
    pub(super) fn content(&mut self, parent: isize) -> Node {
        let start = self.at;
        self.count();
        if self.depth >= MAX_DEPTH || self.peek().is_none() {
            self.next_line();
            return Node { value: Value::Absent, span: start..self.at };
        }
        self.depth += 1;
        let node = self.some(parent);
        self.depth -= 1;
        if self.at == start {
            // Whatever it is, it is skipped.
            self.next_line();
        }
        node
    }

    fn some(&mut self, parent: isize) -> Node {
        let column = self.column();
        if self.is_dash() {
            return self.list(column);
        }
        match self.peek() {
            Some(b'[' | b'{') => {
                let node = self.flow(parent);
                self.rest_of_line();
                node
            }
            Some(b'|' | b'>') => self.block_scalar(parent),
            Some(b'&' | b'!') => self.after_property(parent),
            _ if self.key().is_some() => self.map(column),
            _ => self.scalar(parent),
        }
    }

    /// Skips an anchor or a tag, up to its node.
    fn after_property(&mut self, parent: isize) -> Node {
        while !matches!(self.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        let end = self.at;
        self.skip_spaces();
        if self.at_line_end() {
            self.skip_blank();
            if self.ended() || is_outside(self.column(), parent) {
                return Node { value: Value::Absent, span: end..end };
            }
        }
        self.content(parent)
    }

    /// The rest of a line after a complete value: empty in valid text.
    fn rest_of_line(&mut self) {
        self.skip_spaces();
        if !self.at_line_end() {
            self.next_line();
        }
    }

    fn list(&mut self, column: usize) -> Node {
        let start = self.at;
        let mut items = Vec::new();
        let mut end = start;
        loop {
            self.count();
            self.skip_blank();
            if self.ended() || self.column() < column {
                break;
            }
            if self.column() > column {
                let stray = self.content(signed(column));
                if let Some(last) = items.pop() {
                    items.push(joined(last, stray, self.text));
                }
                continue;
            }
            if !self.is_dash() {
                break;
            }
            self.at += 1;
            let after = self.at;
            self.skip_spaces();
            if self.at_line_end() {
                self.skip_blank();
            }
            let is_there = !self.ended() && self.column() > column;
            let item = if is_there {
                self.content(signed(column))
            } else {
                Node { value: Value::Absent, span: after..after }
            };
            items.push(item);
            end = items.last().map_or(end, |item| item.span.end.max(after));
        }
        end = items.last().map_or(end, |item| item.span.end.max(end));
        Node { value: Value::List(items), span: start..end }
    }

    fn map(&mut self, column: usize) -> Node {
        let start = self.at;
        let mut map = Map { is_flow: false, column, entries: Vec::new() };
        loop {
            self.count();
            self.skip_blank();
            if self.ended() || self.column() < column {
                break;
            }
            if self.column() > column {
                let stray = self.content(signed(column));
                self.take_stray(&mut map, stray);
                continue;
            }
            if self.is_dash() {
                break;
            }
            let entry = match self.key() {
                Some(key) => {
                    self.at = key.after;
                    let value = self.value(column);
                    Entry { key: key.text, key_span: key.span, has_colon: true, value }
                }
                None => self.unfinished(),
            };
            map.entries.push(entry);
        }
        let end = map.entries.last().map_or(start, |entry| entry.reach().end);
        Node { value: Value::Map(map), span: start..end }
    }

    /// Assigns content that is deeper than the keys and belongs to no value: to the value above it, if that
    /// is an object or begins below its key.
    fn take_stray(&self, map: &mut Map, stray: Node) {
        let Some(last) = map.entries.last_mut() else { return };
        let between = self.text.get(last.key_span.end..last.value.span.start).unwrap_or_default();
        let takes = matches!(last.value.value, Value::Map(_) | Value::Absent | Value::List(_))
            || between.contains('\n');
        if takes {
            let empty = Node { value: Value::Absent, span: 0..0 };
            let value = std::mem::replace(&mut last.value, empty);
            last.value = joined(value, stray, self.text);
            return;
        }
        map.entries.extend(entries_of(stray, self.text));
    }

    /// A line without a key: one that is being written.
    fn unfinished(&mut self) -> Entry {
        let start = self.at;
        let end = self.plain_end();
        self.next_line();
        entry_of(start..end, self.text)
    }

    /// The value of a key in the column `column`.
    fn value(&mut self, column: usize) -> Node {
        let after = self.at;
        self.skip_spaces();
        if !self.at_line_end() {
            let parent = signed(column);
            return match self.peek() {
                Some(b'[' | b'{' | b'|' | b'>' | b'&' | b'!') => self.content(parent),
                _ => self.scalar(parent),
            };
        }
        self.skip_blank();
        let absent = Node { value: Value::Absent, span: after..after };
        if self.ended() {
            return absent;
        }
        match self.column() {
            deeper if deeper > column => self.content(signed(column)),
            same if same == column && self.is_dash() => self.content(signed(column)),
            _ => absent,
        }
    }

    /// The key that begins here, if any.
    pub(super) fn key(&self) -> Option<Key> {
        let (text, end) = match self.peek()? {
            quote @ (b'"' | b'\'') => {
                let end = self.quote_end_on_line(quote)?;
                let style = if quote == b'"' { Style::Double } else { Style::Single };
                (super::decode(self.text, &(self.at..end), style).text, end)
            }
            first => {
                if b"[]{},&*!|>%@`#?".contains(&first) {
                    return None;
                }
                let rest = self.bytes.get(self.at..)?;
                let len =
                    rest.iter().position(|byte| b" \t\r\n[]{},\"'".contains(byte)).unwrap_or(rest.len());
                let word = self.text.get(self.at..self.at + len)?;
                // The last colon of the word, if it ends the word: a key may contain colons.
                let key = word.strip_suffix(':').filter(|key| !key.is_empty())?;
                (key.to_owned(), self.at + key.len())
            }
        };
        let mut colon = end;
        while matches!(self.byte(colon), Some(b' ' | b'\t')) {
            colon += 1;
        }
        let is_key = self.byte(colon) == Some(b':')
            && matches!(self.byte(colon + 1), None | Some(b' ' | b'\t' | b'\r' | b'\n'));
        is_key.then(|| Key { text, span: self.at..end, after: colon + 1 })
    }
}

pub(super) fn signed(column: usize) -> isize {
    isize::try_from(column).unwrap_or(isize::MAX)
}

pub(super) fn is_outside(column: usize, parent: isize) -> bool {
    signed(column) <= parent
}

/// A word as a key that is being written.
fn entry_of(span: Range<usize>, text: &str) -> Entry {
    let key = text.get(span.clone()).unwrap_or_default().to_owned();
    let end = span.end;
    Entry { key, key_span: span, has_colon: false, value: Node { value: Value::Absent, span: end..end } }
}

/// The members that a node has, or is.
fn entries_of(node: Node, text: &str) -> Vec<Entry> {
    match node.value {
        Value::Map(map) => map.entries,
        Value::Scalar(_) => vec![entry_of(node.span, text)],
        Value::Absent | Value::List(_) => Vec::new(),
    }
}

/// Merges two nodes that follow each other where only one is allowed.
fn joined(first: Node, second: Node, text: &str) -> Node {
    let span = first.span.start.min(second.span.start)..first.span.end.max(second.span.end);
    let value = match (first.value, second.value) {
        (Value::Absent, value) | (value, Value::Absent) => value,
        (Value::Map(mut map), more) => {
            map.entries.extend(entries_of(Node { value: more, span: second.span }, text));
            Value::Map(map)
        }
        (first_value @ Value::Scalar(_), Value::Map(mut map)) => {
            let mut entries = entries_of(Node { value: first_value, span: first.span }, text);
            entries.append(&mut map.entries);
            Value::Map(Map { entries, ..map })
        }
        (Value::List(mut items), more) => {
            match (items.pop(), more) {
                (Some(last), more @ (Value::Map(_) | Value::Scalar(_))) => {
                    items.push(joined(last, Node { value: more, span: second.span }, text));
                }
                (last, Value::List(more)) => {
                    items.extend(last);
                    items.extend(more);
                }
                (last, _) => items.extend(last),
            }
            Value::List(items)
        }
        (value, _) => value,
    };
    Node { value, span }
}
