//! Scalars: where they end, and their decoded text, byte by byte.

use std::ops::Range;

use super::block::{Reader, is_outside};
use super::{Node, Style, Value};

impl Reader<'_> {
    /// The scalar that begins here, quoted or plain, with all its lines.
    pub(super) fn scalar(&mut self, parent: isize) -> Node {
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            let node = self.quoted(quote, parent);
            // After a quoted scalar only a comment may follow; anything else is not part of the tree.
            if !matches!(self.peek(), None | Some(b'\n')) {
                self.next_line();
            }
            return node;
        }
        let start = self.at;
        let mut end = self.plain_end();
        self.next_line();
        loop {
            let (at, line) = (self.at, self.line);
            while matches!(self.peek(), Some(b' ' | b'\t')) {
                self.at += 1;
            }
            let goes_on = !matches!(self.peek(), None | Some(b'\n' | b'\r' | b'#'))
                && !is_outside(self.column(), parent)
                && !self.ended()
                && !self.is_dash()
                && self.key().is_none();
            if !goes_on {
                (self.at, self.line) = (at, line);
                return Node { value: Value::Scalar(Style::Plain), span: start..end };
            }
            end = self.plain_end();
            self.next_line();
        }
    }

    /// Where a plain scalar ends on this line: before a comment, without trailing blanks.
    pub(super) fn plain_end(&self) -> usize {
        let mut end = self.at;
        let mut at = self.at;
        while let Some(byte) = self.byte(at).filter(|byte| *byte != b'\n') {
            if byte == b'#' && at > self.at && matches!(self.byte(at - 1), Some(b' ' | b'\t')) {
                break;
            }
            at += 1;
            if !matches!(byte, b' ' | b'\t' | b'\r') {
                end = at;
            }
        }
        end
    }

    /// The byte after the closing quote on the same line.
    pub(super) fn quote_end_on_line(&self, quote: u8) -> Option<usize> {
        let mut at = self.at + 1;
        loop {
            match self.byte(at)? {
                b'\n' => return None,
                b'\\' if quote == b'"' => at += 2,
                byte if byte == quote => {
                    if quote == b'\'' && self.byte(at + 1) == Some(b'\'') {
                        at += 2;
                        continue;
                    }
                    return Some(at + 1);
                }
                _ => at += 1,
            }
        }
    }

    /// A quoted scalar. If it is not closed before the text returns to `parent`, it ends with its line.
    pub(super) fn quoted(&mut self, quote: u8, parent: isize) -> Node {
        let style = if quote == b'"' { Style::Double } else { Style::Single };
        let start = self.at;
        let end = self.quote_end_on_line(quote).or_else(|| self.quote_end_below(quote, parent));
        let end = end.unwrap_or_else(|| {
            let rest = self.bytes.get(start..).unwrap_or_default();
            let len = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
            start + len
        });
        // Moves past the lines that it spans.
        let passed = self.bytes.get(start..end).unwrap_or_default();
        if let Some(last) = passed.iter().rposition(|byte| *byte == b'\n') {
            self.line = start + last + 1;
        }
        self.at = end;
        Node { value: Value::Scalar(style), span: start..end }
    }

    fn quote_end_below(&mut self, quote: u8, parent: isize) -> Option<usize> {
        let mut at = self.at + 1;
        let mut line: Option<usize> = None;
        while let Some(byte) = self.byte(at) {
            self.ahead = self.ahead.checked_sub(1)?;
            match byte {
                b'\n' => line = Some(at + 1),
                b' ' | b'\t' | b'\r' => {}
                other => {
                    // The first character of a line shows its depth.
                    if let Some(start) = line.take()
                        && is_outside(at - start, parent)
                    {
                        return None;
                    }
                    if other == b'\\' && quote == b'"' {
                        at += 1;
                    } else if other == quote {
                        if quote == b'"' || self.byte(at + 1) != Some(b'\'') {
                            return Some(at + 1);
                        }
                        at += 1;
                    }
                }
            }
            at += 1;
        }
        None
    }

    /// A block after `|` or `>`: its lines are those that are deeper than `parent`.
    pub(super) fn block_scalar(&mut self, parent: isize) -> Node {
        let is_literal = self.peek() == Some(b'|');
        self.next_line();
        let start = self.at;
        let mut end = start;
        let mut indent = None;
        while self.peek().is_some() {
            let (at, line) = (self.at, self.line);
            while self.peek() == Some(b' ') {
                self.at += 1;
            }
            if !matches!(self.peek(), None | Some(b'\n' | b'\r')) {
                if is_outside(self.column(), parent) || self.ended() {
                    (self.at, self.line) = (at, line);
                    break;
                }
                indent.get_or_insert(self.column());
            }
            self.next_line();
            end = self.at;
        }
        let indent = indent.unwrap_or(0);
        let style = if is_literal { Style::Literal(indent) } else { Style::Folded(indent) };
        Node { value: Value::Scalar(style), span: start..end }
    }
}

/// The decoded text of a scalar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// For each byte of it, and one past its end, the byte of the source where it is written.
    at: Vec<usize>,
}

impl Decoded {
    fn push(&mut self, char: char, at: usize) {
        self.text.push(char);
        self.at.extend((0..char.len_utf8()).map(|_| at));
    }

    /// Where in the source a byte of the text is written.
    #[must_use]
    pub fn source(&self, offset: usize) -> Option<usize> {
        self.at.get(offset).copied()
    }

    /// The byte of the text that is written at a byte of the source, or the next one after it.
    #[must_use]
    pub fn offset(&self, source: usize) -> usize {
        self.at.partition_point(|at| *at < source).min(self.text.len())
    }
}

/// Reads the scalar in this byte range.
#[must_use]
pub fn decode(source: &str, span: &Range<usize>, style: Style) -> Decoded {
    let raw = source.get(span.clone()).unwrap_or_default();
    let mut decoded = Decoded::default();
    match style {
        Style::Plain => folded(raw, span.start, &mut decoded, None),
        Style::Single | Style::Double => {
            let quote = if style == Style::Single { '\'' } else { '"' };
            let inner = raw.strip_prefix(quote).unwrap_or(raw);
            let start = span.start + (raw.len() - inner.len());
            folded(inner, start, &mut decoded, Some(quote));
        }
        Style::Literal(indent) | Style::Folded(indent) => {
            lines(raw, span.start, indent, matches!(style, Style::Folded(_)), &mut decoded);
        }
    }
    decoded.at.push(span.end);
    decoded
}

/// A text in which each line break with the blanks around it is one blank.
fn folded(raw: &str, start: usize, out: &mut Decoded, quote: Option<char>) {
    let mut rest = raw.char_indices().peekable();
    while let Some((at, char)) = rest.next() {
        match char {
            '\n' | '\r' => {
                while rest.next_if(|(_, next)| next.is_whitespace()).is_some() {}
                while out.text.ends_with([' ', '\t']) {
                    out.text.pop();
                    out.at.pop();
                }
                out.push(' ', start + at);
            }
            '\\' if quote == Some('"') => {
                if let Some((_, kind)) = rest.next() {
                    let digits = match kind {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        _ => 0,
                    };
                    let mut number = 0_u32;
                    for _ in 0..digits {
                        let digit = rest.next_if(|(_, next)| next.is_ascii_hexdigit());
                        let digit = digit.and_then(|(_, digit)| digit.to_digit(16)).unwrap_or(0);
                        number = number.wrapping_mul(16).wrapping_add(digit);
                    }
                    out.push(escaped(kind, number), start + at);
                }
            }
            other if Some(other) == quote => {
                if other == '\'' && rest.next_if(|(_, next)| *next == '\'').is_some() {
                    out.push('\'', start + at);
                } else {
                    return;
                }
            }
            other => out.push(other, start + at),
        }
    }
}

fn escaped(kind: char, number: u32) -> char {
    match kind {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        'e' => '\u{1b}',
        'x' | 'u' | 'U' => char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER),
        other => other,
    }
}

/// The lines of a block without their indentation.
fn lines(raw: &str, start: usize, indent: usize, is_folded: bool, out: &mut Decoded) {
    let mut at = start;
    for line in raw.split_inclusive('\n') {
        let blanks = line.bytes().take(indent).take_while(|byte| *byte == b' ').count();
        let content = line.get(blanks..).unwrap_or_default();
        for (inner, char) in content.char_indices() {
            let char = if is_folded && char == '\n' { ' ' } else { char };
            if char != '\r' {
                out.push(char, at + blanks + inner);
            }
        }
        at += line.len();
    }
}
