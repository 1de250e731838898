//! A linear scan of CEL text before any parser sees it: makes tokens, and rejects what the parser could not
//! survive.
//!
//! The parser recurses, and a stack overflow kills the process: no handler can catch it. So everything that
//! deepens its recursion is counted here first, outside strings and comments. The tokens also serve to
//! rebuild spans (the parser gives only operator positions) and to rewrite text without touching strings.

use super::ast::Span;
use super::error::{CelError, CelErrorKind};

/// The longest accepted text. The parser's positions are 16 bits wide, too.
pub const MAX_SOURCE_BYTES: usize = 16 * 1024;
/// The deepest nesting of brackets of all kinds.
pub const MAX_NESTING: usize = 32;
/// How many `.field`, `[index]` and calls one expression may have.
pub const MAX_SELECTORS: usize = 512;
/// How many operators may follow each other without a bracket, comma, `&&`, `||`, `?` or `:` between them.
const MAX_CHAIN: usize = 128;
/// How many `? :` may be open at one place, including those outside the enclosing brackets. The parser gives
/// up at 96 nested expressions.
const MAX_CONDITIONS: usize = 64;
/// How many `!` or `-` may follow each other directly.
const MAX_UNARY: usize = 32;

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or keyword.
    Identifier,
    /// A name in back-ticks.
    Escaped,
    /// A number.
    Number,
    /// A string or bytes literal with its prefix and quotes.
    Text,
    /// An operator or a bracket.
    Symbol(&'static str),
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
    /// For a bracket: the index of its partner.
    pub(super) partner: Option<usize>,
}

impl Token {
    /// Whether it is this operator or bracket.
    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self.kind, TokenKind::Symbol(own) if own == symbol)
    }

    /// Its text.
    pub(super) fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.span.start..self.span.end).unwrap_or_default()
    }
}

/// Operators and brackets, longer ones first.
const SYMBOLS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%",
];

/// Splits the text into tokens, and rejects text that is too large, too deep, or not made of CEL's tokens.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Vec<CelError>> {
    if source.len() > MAX_SOURCE_BYTES {
        let message = format!("the expression has {} bytes, the limit is {MAX_SOURCE_BYTES}", source.len());
        return Err(vec![CelError::new(CelErrorKind::Limit, 0, 0, message)]);
    }
    let mut scan = Scan { source, bytes: source.as_bytes(), at: 0, tokens: Vec::new() };
    scan.run().map_err(|error| vec![error])?;
    let mut tokens = scan.tokens;
    if tokens.is_empty() {
        return Err(vec![CelError::new(CelErrorKind::Syntax, 0, source.len(), "the expression is empty")]);
    }
    pair_brackets(source, &mut tokens).map_err(|error| vec![error])?;
    count(source, &tokens).map_err(|error| vec![error])?;
    Ok(tokens)
}

struct Scan<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn run(&mut self) -> Result<(), CelError> {
        while self.at < self.bytes.len() {
            let start = self.at;
            match self.peek(0) {
                b' ' | b'\t' | b'\r' | b'\n' | 0x0c => {
                    self.at += 1;
                    continue;
                }
                b'/' if self.peek(1) == b'/' => {
                    self.skip_while(|byte| byte != b'\n');
                    continue;
                }
                _ => {}
            }
            let kind = self.token()?;
            self.tokens.push(Token { kind, span: Span { start, end: self.at }, partner: None });
        }
        Ok(())
    }

    fn token(&mut self) -> Result<TokenKind, CelError> {
        if let Some((prefix, raw)) = self.text_prefix() {
            self.at += prefix;
            self.text(raw)?;
            return Ok(TokenKind::Text);
        }
        let first = self.peek(0);
        if first.is_ascii_alphabetic() || first == b'_' {
            self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return Ok(TokenKind::Identifier);
        }
        if first.is_ascii_digit() || (first == b'.' && self.peek(1).is_ascii_digit()) {
            self.number();
            return Ok(TokenKind::Number);
        }
        if first == b'`' {
            return self.escaped();
        }
        let rest = self.source.get(self.at..).unwrap_or_default();
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.at += symbol.len();
            return Ok(TokenKind::Symbol(symbol));
        }
        let odd = rest.chars().next().unwrap_or_default();
        let error = CelError::new(
            CelErrorKind::Syntax,
            self.at,
            odd.len_utf8(),
            format!("character `{}` has no meaning in CEL", odd.escape_debug()),
        );
        Err(match odd {
            '=' => error.help("write `==` to compare"),
            '&' => error.help("write `&&`"),
            '|' => error.help("write `||`"),
            _ => error,
        })
    }

    /// Length of the prefix (`b`, `r`, `br`) before a quote that begins a string, and whether it is raw.
    fn text_prefix(&self) -> Option<(usize, bool)> {
        let bytes = usize::from(matches!(self.peek(0), b'b' | b'B'));
        let raw = usize::from(matches!(self.peek(bytes), b'r' | b'R'));
        matches!(self.peek(bytes + raw), b'"' | b'\'').then_some((bytes + raw, raw == 1))
    }

    /// Reads a string whose opening quote is next.
    fn text(&mut self, raw: bool) -> Result<(), CelError> {
        let start = self.at;
        let quote = self.peek(0);
        let triple = self.peek(1) == quote && self.peek(2) == quote;
        self.at += if triple { 3 } else { 1 };
        while self.at < self.bytes.len() {
            let byte = self.peek(0);
            if byte == b'\\' && !raw {
                self.escape()?;
            } else if byte == quote && (!triple || (self.peek(1) == quote && self.peek(2) == quote)) {
                self.at += if triple { 3 } else { 1 };
                return Ok(());
            } else if matches!(byte, b'\n' | b'\r') && !triple {
                break;
            } else {
                self.at += 1;
            }
        }
        let end = self.at.min(self.bytes.len());
        Err(CelError::new(CelErrorKind::Syntax, start, end - start, "string is not closed")
            .help("close it with the quote that opened it; only triple quotes may span lines"))
    }

    /// An escape in a string. Escapes that CEL does not know are rejected: its lexer would not see a string
    /// there, but tokens that were never counted.
    fn escape(&mut self) -> Result<(), CelError> {
        let (digits, radix): (usize, u32) = match self.peek(1) {
            b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' | b'?' | b'"' | b'\'' | b'`' => {
                self.at += 2;
                return Ok(());
            }
            b'x' | b'X' => (2, 16),
            b'u' => (4, 16),
            b'U' => (8, 16),
            b'0'..=b'3' => (2, 8),
            _ => (usize::MAX, 0),
        };
        if radix > 0 && (0..digits).all(|at| char::from(self.peek(2 + at)).is_digit(radix)) {
            self.at += 2 + digits;
            return Ok(());
        }
        let written = self.source.get(self.at + 1..).and_then(|rest| rest.chars().next());
        let message = match written {
            Some(char) => format!("`\\{}` is not an escape of CEL", char.escape_debug()),
            None => "a `\\` escapes nothing".to_owned(),
        };
        let length = 1 + written.map_or(0, char::len_utf8);
        Err(CelError::new(CelErrorKind::Syntax, self.at, length, message)
            .help("write `\\\\` for a backslash, or a raw string as `r'\\d+'`"))
    }

    fn number(&mut self) {
        if self.peek(0) == b'0' && self.peek(1) == b'x' && self.peek(2).is_ascii_hexdigit() {
            self.at += 2;
            self.skip_while(|byte| byte.is_ascii_hexdigit());
        } else {
            self.skip_while(|byte| byte.is_ascii_digit());
            if self.peek(0) == b'.' && self.peek(1).is_ascii_digit() {
                self.at += 1;
                self.skip_while(|byte| byte.is_ascii_digit());
            }
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if matches!(self.peek(0), b'e' | b'E') && self.peek(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                self.skip_while(|byte| byte.is_ascii_digit());
            }
        }
        if matches!(self.peek(0), b'u' | b'U') {
            self.at += 1;
        }
    }

    fn escaped(&mut self) -> Result<TokenKind, CelError> {
        let start = self.at;
        self.at += 1;
        self.skip_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b' ')
        });
        if self.peek(0) != b'`' || self.at == start + 1 {
            return Err(CelError::new(
                CelErrorKind::Syntax,
                start,
                self.at - start,
                "name in back-ticks is not closed",
            )
            .help("between back-ticks stand letters, digits, `_`, `.`, `-`, `/` and spaces"));
        }
        self.at += 1;
        Ok(TokenKind::Escaped)
    }

    fn skip_while(&mut self, holds: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && holds(self.peek(0)) {
            self.at += 1;
        }
    }
}

/// Finds the partner of every bracket.
fn pair_brackets(source: &str, tokens: &mut [Token]) -> Result<(), CelError> {
    let mut open: Vec<usize> = Vec::new();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let TokenKind::Symbol(symbol) = token.kind else { continue };
        let opener = match symbol {
            "(" | "[" | "{" => {
                open.push(index);
                if open.len() > MAX_NESTING {
                    let message = format!("brackets are nested deeper than {MAX_NESTING}");
                    return Err(limit(token, message).help("move a part of it into `variables`"));
                }
                continue;
            }
            ")" => "(",
            "]" => "[",
            "}" => "{",
            _ => continue,
        };
        let last = open.pop();
        if !last.and_then(|last| tokens.get(last)).is_some_and(|last| last.is(opener)) {
            let message = format!("`{symbol}` closes no `{opener}`");
            return Err(CelError::new(CelErrorKind::Syntax, token.span.start, 1, message));
        }
        pairs.extend(last.map(|last| (last, index)));
    }
    if let Some(token) = open.pop().and_then(|index| tokens.get(index)) {
        let message = format!("`{}` is not closed", token.text(source));
        return Err(CelError::new(CelErrorKind::Syntax, token.span.start, 1, message));
    }
    for (left, right) in pairs {
        if let Some(token) = tokens.get_mut(left) {
            token.partner = Some(right);
        }
        if let Some(token) = tokens.get_mut(right) {
            token.partner = Some(left);
        }
    }
    Ok(())
}

/// Counts what makes the parser recurse: operators in a row, conditions, selectors.
fn count(source: &str, tokens: &[Token]) -> Result<(), CelError> {
    let mut selectors = 0_usize;
    let mut unary = 0_usize;
    let mut before = "(";
    // For each open bracket: operators in the current chain, and conditions.
    let mut levels = vec![(0_usize, 0_usize)];
    for token in tokens {
        let symbol = match token.kind {
            // `.?`, `[?` and `{?` are selections and entries, not conditions.
            TokenKind::Symbol("?") if matches!(before, "." | "[" | "{" | ",") => "",
            TokenKind::Symbol(symbol) => symbol,
            TokenKind::Identifier if token.text(source) == "in" => "<",
            _ => "",
        };
        before = symbol;
        unary = if matches!(symbol, "!" | "-") { unary + 1 } else { 0 };
        if unary > MAX_UNARY {
            return Err(limit(token, format!("more than {MAX_UNARY} `!` or `-` in a row")));
        }
        if matches!(symbol, "." | "[" | "(") {
            selectors += 1;
            if selectors > MAX_SELECTORS {
                let message = format!("more than {MAX_SELECTORS} field selections, indexings and calls");
                return Err(
                    limit(token, message).help("split the expression, or move parts of it into `variables`")
                );
            }
        }
        let level = match levels.last_mut() {
            Some(level) => level,
            None => return Ok(()),
        };
        match symbol {
            "(" | "[" | "{" => levels.push((0, 0)),
            ")" | "]" | "}" => drop(levels.pop()),
            "," => *level = (0, 0),
            "&&" | "||" | ":" => level.0 = 0,
            "?" => *level = (0, level.1 + 1),
            "+" | "-" | "*" | "/" | "%" | "<" | ">" | "<=" | ">=" | "==" | "!=" => level.0 += 1,
            _ => {}
        }
        let deepest = levels.last().copied().unwrap_or_default();
        if deepest.0 > MAX_CHAIN {
            return Err(limit(token, format!("more than {MAX_CHAIN} operators in a row")));
        }
        if symbol == "?" && levels.len() + levels.iter().map(|level| level.1).sum::<usize>() > MAX_CONDITIONS
        {
            return Err(limit(token, format!("more than {MAX_CONDITIONS} nested conditions (`? :`)")));
        }
    }
    Ok(())
}

fn limit(token: &Token, message: String) -> CelError {
    CelError::new(CelErrorKind::Limit, token.span.start, token.span.end - token.span.start, message)
}
