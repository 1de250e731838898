//! The reader of ordinary JSON: what an API server sends, in one pass over the bytes.
//!
//! It gives only what the general reader (`serde_json`, with the rules of [`Json`]) gives for the same text,
//! and gives up (`None`) on whatever it is not sure of: malformed text, a duplicate key, a number that is not
//! a plain integer, deep nesting. The general reader then decides, and words the error. So this file can make
//! reading faster, never looser; a test compares the two.
//!
//! Three things make it fast. Members and elements are collected on two stacks and then copied once into
//! lists of the right size. Strings are searched eight bytes at a time. A value that is never read is checked
//! and not built.

use std::borrow::Cow;

use super::map::Member;
use super::{Json, Map};

/// How deep values may nest here; the general reader allows 127. Objects of Kubernetes nest a dozen deep.
const MAX_DEPTH: u32 = 100;

/// Digits of an integer that certainly fits in `i64`.
const SURE_DIGITS: usize = 18;

/// A text that is being read.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    members: Vec<Member<'a>>,
    items: Vec<Json<'a>>,
    /// Keys of the objects that are being skipped.
    skipped: Vec<&'a str>,
}

/// How many keys of a skipped object are compared with each other; the general reader reads an object with
/// more.
const MAX_SKIPPED_KEYS: usize = 32;

/// Whether a skipped value must be one that could have been read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Yes: it has no duplicate key.
    Readable,
    /// Well-formed is enough, as for `IgnoredAny`.
    WellFormed,
}

/// Whether a string has escapes.
enum Escapes {
    None,
    Some,
}

/// What happens to a member whose key was read.
pub(crate) enum Found<'a> {
    Kept(Json<'a>),
    Skipped,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: MAX_DEPTH, members: Vec::new(), items: Vec::new(), skipped: Vec::new() }
    }

    /// Only white space is left.
    pub(crate) fn end(mut self) -> Option<()> {
        self.token().is_none().then_some(())
    }

    /// The next byte that is not white space, without consuming it.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        if byte > b' ' { Some(byte) } else { self.token_after_blanks() }
    }

    fn token_after_blanks(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blanks = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r'))?;
        self.at += blanks;
        rest.get(blanks).copied()
    }

    /// Whether the next value is an object.
    pub(crate) fn at_object(&mut self) -> bool {
        self.token() == Some(b'{')
    }

    /// Consumes the next token, which must be this byte.
    fn take(&mut self, wanted: u8) -> Option<()> {
        if self.token()? != wanted {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Reads a value.
    pub(crate) fn value(&mut self) -> Option<Json<'a>> {
        match self.token()? {
            b'"' => self.string().map(Json::Str),
            b'{' => self.object(&mut |reader, _| reader.value().map(Found::Kept)).map(Json::Map),
            b'[' => self.list(&mut Self::value),
            b't' => self.literal("true", Json::Bool(true)),
            b'f' => self.literal("false", Json::Bool(false)),
            b'n' => self.literal("null", Json::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    /// Whether the next value is a list.
    pub(crate) fn at_list(&mut self) -> bool {
        self.token() == Some(b'[')
    }

    /// Whether the next value is `null`, which is then consumed.
    pub(crate) fn null(&mut self) -> Option<bool> {
        if self.token()? != b'n' {
            return Some(false);
        }
        self.literal("null", true)
    }

    fn literal<T>(&mut self, word: &str, value: T) -> Option<T> {
        let end = self.at + word.len();
        if self.text.as_bytes().get(self.at..end)? != word.as_bytes() {
            return None;
        }
        self.at = end;
        Some(value)
    }

    /// Reads an object; `member` reads the value of each key.
    pub(crate) fn object(
        &mut self,
        member: &mut impl FnMut(&mut Self, &str) -> Option<Found<'a>>,
    ) -> Option<Map<'a>> {
        self.take(b'{')?;
        self.depth = self.depth.checked_sub(1)?;
        let start = self.members.len();
        if self.token()? == b'}' {
            self.at += 1;
        } else {
            loop {
                self.token().filter(|byte| *byte == b'"')?;
                let key = self.string()?;
                self.take(b':')?;
                if let Found::Kept(value) = member(self, &key)? {
                    self.members.push((key, value));
                }
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        self.depth += 1;
        Map::of_read(self.members.split_off(start)).ok()
    }

    /// Reads a list; `element` reads each of its elements.
    pub(crate) fn list(
        &mut self,
        element: &mut impl FnMut(&mut Self) -> Option<Json<'a>>,
    ) -> Option<Json<'a>> {
        self.take(b'[')?;
        self.depth = self.depth.checked_sub(1)?;
        let start = self.items.len();
        if self.token()? == b']' {
            self.at += 1;
        } else {
            loop {
                let item = element(self)?;
                self.items.push(item);
                if self.ends(b']')? {
                    break;
                }
            }
        }
        self.depth += 1;
        Some(Json::List(self.items.split_off(start)))
    }

    /// After a member or an element: whether the object or list ends here.
    fn ends(&mut self, close: u8) -> Option<bool> {
        let byte = self.token()?;
        self.at += 1;
        match byte {
            b',' => Some(false),
            byte if byte == close => Some(true),
            _ => None,
        }
    }

    /// Reads a value and forgets it.
    pub(crate) fn skip(&mut self, how: Skip) -> Option<()> {
        match self.token()? {
            b'"' => self.skip_string(),
            b'{' => self.skip_object(how),
            b'[' => self.skip_list(how),
            b't' => self.literal("true", ()),
            b'f' => self.literal("false", ()),
            b'n' => self.literal("null", ()),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ => None,
        }
    }

    fn skip_object(&mut self, how: Skip) -> Option<()> {
        self.take(b'{')?;
        self.depth = self.depth.checked_sub(1)?;
        let start = self.skipped.len();
        if self.token()? == b'}' {
            self.at += 1;
        } else {
            loop {
                self.token().filter(|byte| *byte == b'"')?;
                match how {
                    Skip::Readable => self.skip_key(start)?,
                    Skip::WellFormed => self.skip_string()?,
                }
                self.take(b':')?;
                self.skip(how)?;
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        self.skipped.truncate(start);
        self.depth += 1;
        Some(())
    }

    /// Consumes a key that differs from all earlier keys of the object.
    fn skip_key(&mut self, start: usize) -> Option<()> {
        let (key, Escapes::None) = self.quoted()? else { return None };
        let known = self.skipped.get(start..)?;
        if known.contains(&key) || known.len() == MAX_SKIPPED_KEYS {
            return None;
        }
        self.skipped.push(key);
        Some(())
    }

    fn skip_list(&mut self, how: Skip) -> Option<()> {
        self.take(b'[')?;
        self.depth = self.depth.checked_sub(1)?;
        if self.token()? == b']' {
            self.at += 1;
        } else {
            loop {
                self.skip(how)?;
                if self.ends(b']')? {
                    break;
                }
            }
        }
        self.depth += 1;
        Some(())
    }

    #[inline]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        match self.quoted()? {
            (text, Escapes::None) => Some(Cow::Borrowed(text)),
            (quoted, Escapes::Some) => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        match self.quoted()? {
            (_, Escapes::None) => Some(()),
            (quoted, Escapes::Some) => serde_json::from_str::<String>(quoted).ok().map(drop),
        }
    }

    /// Consumes a string: the text between its quotes, or including them if it has escapes.
    #[inline]
    fn quoted(&mut self) -> Option<(&'a str, Escapes)> {
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..)?;
        let length = special(rest)?;
        if rest.get(length) != Some(&b'"') {
            return self.escaped();
        }
        let end = start + length;
        self.at = end + 1;
        Some((self.text.get(start..end)?, Escapes::None))
    }

    /// Consumes a string with escapes. Which of them are allowed is up to the general reader, which is called
    /// for this string alone.
    #[cold]
    fn escaped(&mut self) -> Option<(&'a str, Escapes)> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + 1;
        loop {
            at += special(bytes.get(at..)?)?;
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => return None,
            }
        }
        self.at = at + 1;
        Some((self.text.get(start..self.at)?, Escapes::Some))
    }

    /// Reads a number. A plain integer is read here, any other number by the general reader.
    fn number(&mut self) -> Option<Json<'a>> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let length =
            rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let number = rest.get(..length.unwrap_or(rest.len()))?;
        self.at += number.len();
        let (negative, digits) = match number.split_first()? {
            (b'-', digits) => (true, digits),
            _ => (false, number),
        };
        let plain = digits.iter().all(u8::is_ascii_digit) && digits.len() <= SURE_DIGITS;
        let canonical = match digits {
            [b'0'] => !negative,
            [first, ..] => *first != b'0',
            [] => false,
        };
        if !plain || !canonical {
            return Json::parse_generally(number).ok();
        }
        let value = digits.iter().fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
        Some(Json::Int(if negative { -value } else { value }))
    }
}

/// The position of the first special byte of a string: a quote, a backslash or a control character.
#[inline]
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest set bit marks the first byte below `limit`; marks above it may be wrong.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * b'"' as u64), 1);
        let backslash = below(word ^ (ONES * b'\\' as u64), 1);
        let found = quote | backslash | below(word, 0x20);
        if found != 0 {
            return Some(at * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    Some(words.len() * 8 + found)
}
