//! Flow collections: lists in brackets and objects in braces.

use super::block::{Reader, is_outside};
use super::{Entry, Map, Node, Style, Value};
use crate::limits::MAX_DEPTH;

/// What follows in a flow collection.
enum Next {
    /// Another part of it.
    Part,
    /// Its end, closed or not.
    End,
}

impl Reader<'_> {
    /// The collection that begins here. An unclosed one ends before a line that is no deeper than `parent`.
    pub(super) fn flow(&mut self, parent: isize) -> Node {
        let start = self.at;
        let is_map = self.peek() == Some(b'{');
        self.at += 1;
        if self.depth >= MAX_DEPTH {
            self.next_line();
            return Node { value: Value::Absent, span: start..self.at };
        }
        self.depth += 1;
        let column = self.column();
        let value = if is_map {
            let mut entries = Vec::new();
            while let Next::Part = self.next_part(b'}', parent) {
                entries.push(self.flow_entry(parent));
            }
            Value::Map(Map { is_flow: true, column, entries })
        } else {
            let mut items = Vec::new();
            while let Next::Part = self.next_part(b']', parent) {
                items.push(self.flow_item(parent));
            }
            Value::List(items)
        };
        self.depth -= 1;
        Node { value, span: start..self.at }
    }

    /// Skips commas and blanks up to the next part.
    fn next_part(&mut self, close: u8, parent: isize) -> Next {
        self.count();
        loop {
            let line = self.line;
            let before = self.at;
            self.skip_blank();
            let Some(byte) = self.peek() else { return Next::End };
            if self.line != line
                && !b"]},".contains(&byte)
                && (is_outside(self.column(), parent) || self.ended())
            {
                // The end of the content, not of the blanks after it.
                (self.at, self.line) = (before, line);
                return Next::End;
            }
            match byte {
                b',' => self.at += 1,
                byte if byte == close => {
                    self.at += 1;
                    return Next::End;
                }
                // It closes an outer collection.
                b']' | b'}' => return Next::End,
                _ => return Next::Part,
            }
        }
    }

    fn flow_entry(&mut self, parent: isize) -> Entry {
        let start = self.at;
        let key = self.flow_scalar(parent);
        let (key_span, text) = (key.span.clone(), key.text(self.text).unwrap_or_default());
        let has_colon = self.colon();
        let value = if has_colon { self.flow_value(parent) } else { absent(self.at) };
        if self.at == start {
            self.at += 1;
        }
        Entry { key: text, key_span, has_colon, value }
    }

    /// Skips a colon, if there is one.
    fn colon(&mut self) -> bool {
        let mut at = self.at;
        while matches!(self.byte(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        let is_colon = self.byte(at) == Some(b':');
        if is_colon {
            self.at = at + 1;
        }
        is_colon
    }

    fn flow_value(&mut self, parent: isize) -> Node {
        let after = self.at;
        let line = self.line;
        self.skip_blank();
        match self.peek() {
            Some(b',' | b'}' | b']') | None => absent(after),
            _ if self.line != line && (is_outside(self.column(), parent) || self.ended()) => {
                (self.at, self.line) = (after, line);
                absent(after)
            }
            _ => self.flow_item(parent),
        }
    }

    /// An element or a value. A pair in a list (`[a: b]`) is read as the pair's value alone.
    fn flow_item(&mut self, parent: isize) -> Node {
        let start = self.at;
        let node = match self.peek() {
            Some(b'[' | b'{') => self.flow(parent),
            _ => self.flow_scalar(parent),
        };
        if self.at == start {
            // A character that begins nothing.
            self.at += self.text.get(start..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        }
        node
    }

    fn flow_scalar(&mut self, parent: isize) -> Node {
        let start = self.at;
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            return self.quoted(quote, parent);
        }
        let mut end = start;
        while let Some(byte) = self.peek() {
            let stops = match byte {
                b',' | b'[' | b']' | b'{' | b'}' | b'\n' | b'\r' => true,
                b':' => matches!(
                    self.byte(self.at + 1),
                    None | Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b'}' | b']')
                ),
                b'#' => self.at > start && self.byte(self.at - 1) == Some(b' '),
                _ => false,
            };
            if stops {
                break;
            }
            self.at += 1;
            if !matches!(byte, b' ' | b'\t') {
                end = self.at;
            }
        }
        Node { value: Value::Scalar(Style::Plain), span: start..end }
    }
}

fn absent(at: usize) -> Node {
    Node { value: Value::Absent, span: at..at }
}
