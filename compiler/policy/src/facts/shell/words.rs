//! Words: quoting, and what makes a word opaque. After bash's manual, "Quoting" and "Shell Expansions".

use super::grammar::{Parsed, Parser, is_meta};
use super::{Fact, Reason, Word};

/// The position of a word, which decides what is expanded in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A command's word: everything is expanded, and the results are split.
    Argument,
    /// The value of an assignment: no splitting, no globs, no braces.
    Value,
    /// An operand `NAME=value` of `declare` and its like: as a value, except that braces are expanded, and
    /// the results are split.
    Declared,
    /// An operand of `[[`: like a value.
    Test,
    /// Within double quotes, or in a here-document.
    Quoted,
}

/// What is known about an opaque number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Number {
    /// It need not be a number.
    #[default]
    None,
    /// An integer (or nothing), whatever the line does: digits, `$?`, `$#`, `$((…))`.
    Integer,
    /// The value of this variable.
    Variable(String),
}

/// A word that is being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// What is known of it: all of it, or the part before the first opaque part.
    pub(super) text: Vec<u8>,
    /// A part is not known.
    pub(super) opaque: bool,
    /// It may expand to no word or to several.
    pub(super) spread: bool,
    /// A part was quoted, escaped or expanded, so it is neither a reserved word nor a plain name.
    pub(super) quoted: bool,
    /// The value of an assignment of an array.
    pub(super) array: bool,
    pub(super) number: Number,
}

/// Unquoted characters seen so far that could make braces or a glob.
#[derive(Default)]
struct Seen {
    brace: bool,
    bracket: bool,
    previous: u8,
    parts: usize,
}

impl Draft {
    pub(super) fn to_word(&self) -> Word {
        match std::str::from_utf8(&self.text) {
            Ok(text) if !self.opaque => Fact::Known(text.to_owned()),
            _ => Fact::Opaque,
        }
    }

    /// The same, without a copy.
    pub(super) fn into_word(self) -> Word {
        match String::from_utf8(self.text) {
            Ok(text) if !self.opaque => Fact::Known(text),
            _ => Fact::Opaque,
        }
    }

    /// The word, if it is known and was written without quotes.
    pub(super) fn plain(&self) -> Option<&[u8]> {
        (!self.quoted && !self.opaque).then_some(self.text.as_slice())
    }

    pub(super) fn is_bare(&self, text: &str) -> bool {
        self.plain() == Some(text.as_bytes())
    }

    /// The word, if it is known.
    pub(super) fn known(&self) -> Option<&str> {
        if self.opaque { None } else { std::str::from_utf8(&self.text).ok() }
    }

    /// Adds literal text.
    fn literal(&mut self, text: impl IntoIterator<Item = u8>) {
        if !self.opaque {
            self.text.extend(text);
        }
    }

    /// Adds a part that is not known.
    fn unknown(&mut self, spread: bool) {
        self.opaque = true;
        self.spread |= spread;
    }
}

/// Bytes that mean themselves wherever they are in a word, whatever is next to them.
const fn is_ordinary(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'%' | b'@' | b'=' | b':' | b',')
}

impl Parser<'_> {
    /// Reads one word. Only a value may be empty.
    pub(super) fn word(&mut self, place: Place) -> Parsed<Draft> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_ordinary(**byte)).count();
        // Almost every word is of such bytes alone, and needs no second look at any of them.
        if length > 0
            && rest.get(length).is_none_or(|next| matches!(next, b' ' | b'\t' | b'\n' | b';' | b'|' | b')'))
        {
            self.at += length;
            let text = rest.get(..length).unwrap_or_default().to_vec();
            let number = if text.iter().all(u8::is_ascii_digit) { Number::Integer } else { Number::None };
            return Ok(Draft { text, number, ..Draft::default() });
        }
        let mut draft = Draft::default();
        let mut seen = Seen::default();
        while let Some(byte) = self.peek() {
            let substitution = matches!(byte, b'<' | b'>') && self.peek_at(1) == Some(b'(');
            if is_meta(byte) && !substitution {
                break;
            }
            self.part(byte, place, &mut draft, &mut seen)?;
            seen.parts += 1;
        }
        if self.at == start && place != Place::Value {
            return self.wrong();
        }
        // Where the body of a here-document begins within such a word does not matter.
        let breaks = self.text.get(start..self.at).is_some_and(|word| word.contains(&b'\n'));
        if breaks && !self.pending.is_empty() {
            return self.wrong();
        }
        // `{name}>file` and `{name[subscript]}>file` store a descriptor in a variable.
        let written = self.text.get(start..self.at).unwrap_or_default();
        let braced = written.first() == Some(&b'{') && written.last() == Some(&b'}');
        if braced && matches!(self.peek(), Some(b'<' | b'>')) {
            return self.wrong();
        }
        if !draft.opaque && !draft.text.is_empty() && draft.text.iter().all(u8::is_ascii_digit) {
            draft.number = Number::Integer;
        } else if seen.parts != 1 {
            draft.number = Number::None;
        }
        Ok(draft)
    }

    fn part(&mut self, byte: u8, place: Place, draft: &mut Draft, seen: &mut Seen) -> Parsed<()> {
        let previous = std::mem::replace(&mut seen.previous, 0);
        match byte {
            b'\\' => {
                let Some(next) = self.peek_at(1).filter(|next| *next != b'\n') else { return self.wrong() };
                draft.quoted = true;
                draft.literal([next]);
                self.at += 2;
            }
            b'\'' => {
                let text = self.single_quoted()?;
                draft.quoted = true;
                draft.literal(text);
            }
            b'"' => {
                self.at += 1;
                self.double_quoted(draft)?;
            }
            b'$' if self.peek_at(1) == Some(b'\'') => self.escaped(draft)?,
            // Translated by the locale, if it has a catalogue.
            b'$' if self.peek_at(1) == Some(b'"') => {
                self.at += 2;
                draft.unknown(false);
                self.double_quoted(draft)?;
            }
            b'$' => self.expand(place, draft)?,
            b'`' => {
                self.back_ticks(place)?;
                draft.quoted = true;
                draft.unknown(place == Place::Argument);
            }
            b'<' | b'>' => {
                self.at += 2;
                let before = self.state.len();
                self.substitution()?;
                draft.quoted = true;
                // Without a command in it, it is no word: `ls <()` is `ls`.
                draft.unknown(self.state.len() == before);
            }
            _ => {
                self.unquoted(byte, place, previous, draft, seen);
                self.at += 1;
            }
        }
        Ok(())
    }

    /// One byte without any quoting.
    fn unquoted(&self, byte: u8, place: Place, previous: u8, draft: &mut Draft, seen: &mut Seen) {
        let splits = place == Place::Argument;
        let braces = splits || place == Place::Declared;
        match byte {
            b'*' | b'?' if splits => draft.unknown(true),
            b'[' if splits => seen.bracket = true,
            b']' if splits && seen.bracket => draft.unknown(true),
            b'{' if braces => seen.brace = true,
            b',' if braces && seen.brace => draft.unknown(true),
            b'.' if braces && seen.brace && previous == b'.' => draft.unknown(true),
            b'~' if seen.parts == 0 || place != Place::Test && matches!(previous, b'=' | b':') => {
                draft.unknown(false);
            }
            _ => {}
        }
        draft.literal([byte]);
        seen.previous = byte;
    }

    fn single_quoted(&mut self) -> Parsed<Vec<u8>> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == b'\'') else { return self.wrong() };
        self.at += length + 2;
        Ok(rest.get(..length).unwrap_or_default().to_vec())
    }

    /// The rest of a double-quoted part, after its opening quote.
    pub(super) fn double_quoted(&mut self, draft: &mut Draft) -> Parsed<()> {
        draft.quoted = true;
        let (before, start) = (draft.opaque, self.at);
        let mut parts = 0;
        loop {
            match self.peek() {
                None => return self.wrong(),
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => match self.peek_at(1) {
                    Some(b'\n') => self.at += 2,
                    Some(next @ (b'$' | b'`' | b'"' | b'\\')) => {
                        draft.literal([next]);
                        self.at += 2;
                    }
                    _ => {
                        draft.literal(*b"\\");
                        self.at += 1;
                    }
                },
                Some(b'$') => self.expand(Place::Quoted, draft)?,
                Some(b'`') => {
                    self.back_ticks(Place::Quoted)?;
                    draft.unknown(false);
                }
                Some(byte) => {
                    draft.literal([byte]);
                    self.at += 1;
                }
            }
            parts += 1;
        }
        // `"$x"` has the value of x, as `$x` has; with anything next to it, it does not.
        if parts != 1 || before || self.at == start + 1 {
            draft.number = Number::None;
        }
        Ok(())
    }

    /// `$'…'`. An escape whose bytes depend on the locale, or that bash treats specially inside, makes the
    /// word opaque.
    fn escaped(&mut self, draft: &mut Draft) -> Parsed<()> {
        self.at += 2;
        draft.quoted = true;
        loop {
            match self.peek() {
                None => return self.wrong(),
                Some(b'\'') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(draft)?,
                Some(byte) => {
                    draft.literal([byte]);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, draft: &mut Draft) -> Parsed<()> {
        let Some(letter) = self.peek_at(1) else { return self.wrong() };
        self.at += 2;
        let plain = match letter {
            b'a' => 0x07,
            b'b' => 0x08,
            b'e' | b'E' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' | b'\'' | b'"' | b'?' => letter,
            b'0'..=b'7' => {
                self.at -= 1;
                return self.code(8, 3, draft);
            }
            b'x' => return self.code(16, 2, draft),
            b'u' => return self.code(16, 4, draft),
            b'U' => return self.code(16, 8, draft),
            _ => {
                draft.unknown(false);
                return Ok(());
            }
        };
        draft.literal([plain]);
        Ok(())
    }

    /// A character by its code: understood if it is ASCII, not NUL, and not one of the two that bash uses as
    /// marks.
    fn code(&mut self, radix: u32, most: usize, draft: &mut Draft) -> Parsed<()> {
        let mut value = 0_u32;
        let mut digits = 0;
        while digits < most {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) else { break };
            value = value.saturating_mul(radix).saturating_add(digit);
            digits += 1;
            self.at += 1;
        }
        match u8::try_from(value) {
            Ok(byte @ (0x02..=0x7e)) if digits > 0 => draft.literal([byte]),
            _ => draft.unknown(false),
        }
        Ok(())
    }

    /// `$…` in a word.
    fn expand(&mut self, place: Place, draft: &mut Draft) -> Parsed<()> {
        match self.dollar(place)? {
            None => draft.literal(*b"$"),
            Some(expansion) => {
                draft.quoted = true;
                let several = expansion.several && place != Place::Declared;
                draft.unknown(several || place == Place::Argument);
                draft.number = expansion.number;
            }
        }
        Ok(())
    }

    /// A text within back-ticks: its own line, after removing one layer of backslashes.
    pub(super) fn back_ticks(&mut self, place: Place) -> Parsed<()> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                None => return self.wrong(),
                Some(b'`') => break,
                Some(b'\\') => match self.peek_at(1) {
                    Some(b'\n') | None => return self.wrong(),
                    Some(next @ (b'`' | b'\\' | b'$')) => {
                        text.push(next);
                        self.at += 2;
                    }
                    Some(b'"') if place == Place::Quoted => {
                        text.push(b'"');
                        self.at += 2;
                    }
                    Some(next) => {
                        text.extend([b'\\', next]);
                        self.at += 2;
                    }
                },
                Some(byte) => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.state.substitutes();
        if self.depth >= super::MAX_DEPTH {
            return Err(Reason::TooDeep);
        }
        let mut inner = Parser::new(&text, self.depth + 1, self.state);
        inner.list(super::grammar::Stop::End)?;
        inner.finish()
    }
}
