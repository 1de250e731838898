//! Positions as the protocol counts them: lines, and within a line UTF-16 code units. Everything else counts
//! bytes.
//!
//! A line ends in a line feed, a carriage return, or both, as the specification says.

use std::ops::Range;

use lsp_types::{Position, Range as Span};

/// Where the lines of a text begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    /// The lines of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter_map(|(at, byte)| match byte {
            b'\n' => Some(at + 1),
            b'\r' if bytes.get(at + 1) != Some(&b'\n') => Some(at + 1),
            _ => None,
        });
        Self { starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The number of lines.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.starts.len()
    }

    /// The byte of a position; beyond a line it is the line's end, beyond the text the text's end.
    #[must_use]
    pub fn offset(&self, text: &str, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else { return text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(text.len());
        let content = text.get(start..end).unwrap_or_default().trim_end_matches(['\r', '\n']);
        let mut units = 0;
        for (at, char) in content.char_indices() {
            if units >= position.character as usize {
                return start + at;
            }
            units += char.len_utf16();
        }
        start + content.len()
    }

    /// The position of a byte; within a character it is that of the character.
    #[must_use]
    pub fn position(&self, text: &str, offset: usize) -> Position {
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let units: usize = text.get(start..offset).unwrap_or_default().chars().map(char::len_utf16).sum();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position { line: count(line), character: count(units) }
    }

    /// The same for a range.
    #[must_use]
    pub fn span(&self, text: &str, bytes: &Range<usize>) -> Span {
        Span { start: self.position(text, bytes.start), end: self.position(text, bytes.end.max(bytes.start)) }
    }

    /// The byte range of a range; never backwards.
    #[must_use]
    pub fn bytes(&self, text: &str, span: Span) -> Range<usize> {
        let start = self.offset(text, span.start);
        start..self.offset(text, span.end).max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_units_of_utf_16() {
        let text = "a: ä😀b\r\nc\rd\n";
        let lines = Lines::of(text);
        let at = |needle: char| lines.position(text, text.find(needle).unwrap());
        assert_eq!(at('b'), Position { line: 0, character: 6 });
        assert_eq!(at('c'), Position { line: 1, character: 0 });
        assert_eq!(at('d'), Position { line: 2, character: 0 });
        for (offset, _) in text.char_indices().filter(|(_, char)| !matches!(char, '\r' | '\n')) {
            assert_eq!(lines.offset(text, lines.position(text, offset)), offset);
        }
    }

    #[test]
    fn what_lies_outside_is_the_nearest_end() {
        let text = "ab\ncd";
        let lines = Lines::of(text);
        assert_eq!(lines.offset(text, Position { line: 0, character: 99 }), 2);
        assert_eq!(lines.offset(text, Position { line: 9, character: 0 }), 5);
        assert_eq!(lines.position(text, 99), Position { line: 1, character: 2 });
        assert_eq!(
            Lines::of("😀").offset("😀", Position { line: 0, character: 1 }),
            4,
            "never inside a character"
        );
    }
}
