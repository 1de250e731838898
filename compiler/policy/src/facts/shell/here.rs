//! The bodies of here-documents.

use super::grammar::{Parsed, Parser};
use super::words::Place;

/// A here-document whose body is still to come.
pub(super) struct Pending {
    pub(super) delimiter: Vec<u8>,
    /// Whether a part of the delimiter was quoted: then nothing is expanded.
    pub(super) quoted: bool,
    /// `<<-`.
    pub(super) strips_tabs: bool,
}

impl Parser<'_> {
    /// Reads the bodies that begin at this line.
    pub(super) fn here_documents(&mut self) -> Parsed<()> {
        for pending in std::mem::take(&mut self.pending) {
            let start = self.at;
            let end = loop {
                let from = self.at;
                let rest = self.text.get(from..).unwrap_or_default();
                // bash ends an unfinished body at the end of the line with a warning; here it is not
                // understood.
                if rest.is_empty() {
                    return self.wrong();
                }
                let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                self.at = (from + length + 1).min(self.text.len());
                let mut line = rest.get(..length).unwrap_or_default();
                while pending.strips_tabs && line.first() == Some(&b'\t') {
                    line = line.get(1..).unwrap_or_default();
                }
                if line == pending.delimiter {
                    break from;
                }
            };
            let after = self.at;
            if !pending.quoted {
                self.here_text(start, end)?;
            }
            self.at = after;
        }
        Ok(())
    }

    /// The expansions of a body. Their effects on variables come before the command that reads it, which was
    /// already noted.
    fn here_text(&mut self, start: usize, end: usize) -> Parsed<()> {
        let text = self.text.get(start..end).unwrap_or_default();
        let before = self.state.changes();
        let mut inner = Parser::new(text, self.depth, self.state);
        while let Some(byte) = inner.peek() {
            match byte {
                // A joined line may change which line is the delimiter.
                b'\\' if inner.peek_at(1) == Some(b'\n') => return inner.wrong(),
                b'\\' => inner.at += 2,
                b'$' => drop(inner.dollar(Place::Quoted)?),
                b'`' => inner.back_ticks(Place::Argument)?,
                _ => inner.at += 1,
            }
        }
        self.state.changes_reach_back(before, 0);
        Ok(())
    }
}
