//! A linear scan of the text before the parser sees it. The parser recurses at every bracket and sign. It
//! tries a bracketed literal first as a comprehension and then again as a list, at every depth, so what is
//! nested `n` deep is read up to `4^n` times.

use bailiwick_policy::policy::MAX_MODULE_BYTES;

use super::guarded::is_modest;
use super::{Fault, RegoError};

/// Deepest nesting of brackets of all kinds.
const MAX_NESTING: usize = 32;
/// Deepest nesting of lists, sets, objects and comprehensions, including the rule's body; deeper ones read
/// better as rules of their own.
const MAX_LITERALS: usize = 8;
/// Most `-` in a row.
const MAX_SIGNS: usize = 8;
/// Most lines; the parser's own limit is 20,000.
const MAX_LINES: usize = 10_000;
/// Longest line, bytes. The parser's own limit is 1,024 columns, beyond which it miscounts.
const MAX_LINE_BYTES: usize = 1_000;

/// Rejects what the parser could not survive.
pub(super) fn guard(text: &str) -> Result<(), RegoError> {
    if text.len() > MAX_MODULE_BYTES {
        let message = format!("the module has {} bytes, the limit is {MAX_MODULE_BYTES}", text.len());
        return Err(RegoError::new(Fault::Limit, 0..0, message));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        let message = format!("the module has {lines} lines, the limit is {MAX_LINES}");
        return Err(RegoError::new(Fault::Limit, 0..0, message));
    }
    long_lines(text)?;
    Scan { bytes: text.as_bytes(), at: 0, open: Vec::new(), signs: 0, adjacent: false }.run()
}

/// Rejects lines that the parser would miscount.
pub(super) fn long_lines(text: &str) -> Result<(), RegoError> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.len() > MAX_LINE_BYTES {
            let message = format!("the line has {} bytes, the limit is {MAX_LINE_BYTES}", line.len());
            return Err(RegoError::new(Fault::Limit, start..start, message));
        }
        start += line.len();
    }
    Ok(())
}

/// Whether the text contains the word `if` outside strings and comments.
pub(super) fn says_if(text: &str) -> bool {
    let mut within = None;
    let mut is_escaped = false;
    let code = text.chars().map(|char| {
        match within {
            None if matches!(char, '"' | '`' | '#') => within = Some(char),
            Some('#') if char == '\n' => within = None,
            Some('#') => {}
            Some('"') if is_escaped => is_escaped = false,
            Some('"') if char == '\\' => is_escaped = true,
            Some(end) if char == end => within = None,
            None => return char,
            Some(_) => {}
        }
        ' '
    });
    let code: String = code.collect();
    code.split(|char: char| !char.is_alphanumeric() && char != '_').any(|word| word == "if")
}

/// Words after which a bracket begins a value.
const KEYWORDS: [&[u8]; 9] = [b"as", b"contains", b"else", b"every", b"if", b"in", b"not", b"some", b"with"];

/// What a bracket opens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// `(`, and `[` after a name: `x[0]`.
    Other,
    Literal,
}

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    open: Vec<Bracket>,
    signs: usize,
    /// Whether a name or a closing bracket comes directly before.
    adjacent: bool,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), RegoError> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'#' => self.skip_until(b'\n'),
                b'"' => self.string(),
                b'`' => {
                    self.at += 1;
                    self.skip_until(b'`');
                }
                b'(' | b'[' | b'{' => self.opens(byte)?,
                b')' | b']' | b'}' => {
                    self.open.pop();
                }
                b'0'..=b'9' if !self.adjacent => self.number()?,
                _ => {}
            }
            match byte {
                b'-' => self.signs += 1,
                b' ' | b'\t' | b'\r' | b'\n' | b'#' => {}
                _ => self.signs = 0,
            }
            if self.signs > MAX_SIGNS {
                return Err(self.limit(format!("more than {MAX_SIGNS} `-` in a row")));
            }
            self.adjacent =
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b')' | b']' | b'}' | b'"' | b'`');
            self.at += 1;
        }
        Ok(())
    }

    /// Whether a keyword comes directly before: `not[` begins a list, and `names[` does not.
    fn behind_keyword(&self) -> bool {
        let before = self.bytes.get(..self.at).unwrap_or_default();
        let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let start = before.iter().rposition(|byte| !of_word(byte)).map_or(0, |at| at + 1);
        KEYWORDS.contains(&before.get(start..).unwrap_or_default())
    }

    fn opens(&mut self, byte: u8) -> Result<(), RegoError> {
        let literal = byte == b'{' || (byte == b'[' && (!self.adjacent || self.behind_keyword()));
        self.open.push(if literal { Bracket::Literal } else { Bracket::Other });
        if self.open.len() > MAX_NESTING {
            return Err(self.limit(format!("brackets are nested deeper than {MAX_NESTING}")));
        }
        if self.open.iter().filter(|one| **one == Bracket::Literal).count() > MAX_LITERALS {
            let what = "lists, sets, objects and comprehensions";
            return Err(self.limit(format!("{what} are nested deeper than {MAX_LITERALS}")));
        }
        Ok(())
    }

    /// A number that the parser would write out in full.
    fn number(&self) -> Result<(), RegoError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let of_number = |byte: u8, before: u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'_' | b'+')
                || byte == b'-' && matches!(before, b'e' | b'E')
        };
        let end = rest
            .iter()
            .zip(std::iter::once(&b' ').chain(rest))
            .position(|(byte, before)| !of_number(*byte, *before));
        let text = rest.get(..end.unwrap_or(rest.len())).and_then(|bytes| str::from_utf8(bytes).ok());
        match text.is_some_and(is_modest) {
            true => Ok(()),
            false => Err(self.limit("the number is too large".to_owned())),
        }
    }

    fn limit(&self, message: String) -> RegoError {
        RegoError::new(Fault::Limit, self.at..self.at + 1, message)
            .with_help("move a part of it into a rule or function of its own")
    }

    /// Moves to `end`; the loop then moves past it.
    fn skip_until(&mut self, end: u8) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| *byte == end).unwrap_or(rest.len());
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 2,
                b'"' | b'\n' => return,
                _ => self.at += 1,
            }
        }
    }
}
