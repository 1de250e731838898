//! Lists and pipelines, and the cursor that every part of the grammar moves. After bash's `parse.y` and POSIX
//! 2024, 2.10.

use super::effects::State;
use super::here::Pending;
use super::{Line, MAX_DEPTH, Reason};
use crate::facts::MAX_BYTES;

pub(super) type Parsed<T> = Result<T, Reason>;

/// A cursor over one text: the line, or the text within back-ticks. All cursors share what was found.
pub(super) struct Parser<'s> {
    pub(super) text: &'s [u8],
    pub(super) at: usize,
    pub(super) depth: usize,
    /// Here-documents whose body begins on the next line.
    pub(super) pending: Vec<Pending>,
    pub(super) state: &'s mut State,
}

/// What ends a list other than the end of the text.
#[derive(Clone, Copy)]
pub(super) enum Stop {
    /// Nothing: the list is the whole text.
    End,
    /// `)`.
    Paren,
    /// `;;`, `;&` or `;;&`, or `esac`.
    Clause,
    /// One of these reserved words.
    Words(&'static [&'static str]),
}

/// Words that have a meaning at the start of a command.
const RESERVED: &[&str] = &[
    "if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do", "done", "{",
    "}", "!", "[[", "function", "time", "coproc",
];

pub(super) fn parse(line: &str) -> Parsed<Line> {
    if line.len() > MAX_BYTES {
        return Err(Reason::TooLong);
    }
    if has_control(line) {
        return Err(Reason::ControlCharacter);
    }
    let mut state = State::default();
    let mut parser = Parser::new(line.as_bytes(), 0, &mut state);
    parser.list(Stop::End)?;
    parser.finish()?;
    state.into_line()
}

/// Whether a line has a control character other than tab and line break.
fn has_control(line: &str) -> bool {
    if line.is_ascii() {
        return line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t' && byte != b'\n');
    }
    line.chars().any(|char| char.is_control() && char != '\t' && char != '\n')
}

pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The bytes that end a word.
pub(super) const fn is_meta(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}

impl<'s> Parser<'s> {
    pub(super) const fn new(text: &'s [u8], depth: usize, state: &'s mut State) -> Self {
        Self { text, at: 0, depth, pending: Vec::new(), state }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    /// Moves past a text if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn expect(&mut self, text: &str) -> Parsed<()> {
        if self.eat(text) { Ok(()) } else { self.wrong() }
    }

    pub(super) const fn wrong<T>(&self) -> Parsed<T> {
        Err(Reason::Syntax { at: self.at })
    }

    /// Runs a part of the grammar one level deeper.
    pub(super) fn nested<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Reason::TooDeep);
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    /// The text ends here: no here-document may still wait for its body.
    pub(super) fn finish(&self) -> Parsed<()> {
        if self.at == self.text.len() && self.pending.is_empty() { Ok(()) } else { self.wrong() }
    }

    /// Moves past blanks and joined lines.
    pub(super) fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(byte) if is_blank(byte) => self.at += 1,
                Some(b'\\') if self.joins() => self.at += 2,
                _ => return,
            }
        }
    }

    /// Whether two lines are joined here, where no word or operator can go on. Anywhere else bash joins them
    /// before it looks for the next character: `<<\`, a line break and `-` are the operator `<<-`. No part of
    /// the grammar moves past such a join, so that the line is not understood; only after `&&` and `||` it does.
    fn joins(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        self.looking_at("\\\n") && before.is_none_or(|byte| is_blank(*byte) || *byte == b'\n')
    }

    /// Moves past blanks, comments and line breaks, reading the here-documents that begin there.
    pub(super) fn newlines(&mut self) -> Parsed<()> {
        loop {
            self.blanks();
            match self.peek() {
                Some(b'#') => self.comment(),
                Some(b'\n') => {
                    self.at += 1;
                    self.here_documents()?;
                }
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    /// Whether this word comes next, whole and unquoted.
    pub(super) fn looking_at_word(&self, word: &str) -> bool {
        self.looking_at(word) && self.peek_at(word.len()).is_none_or(is_meta)
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.looking_at_word(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        self.newlines()?;
        if self.eat_word(word) { Ok(()) } else { self.wrong() }
    }

    /// The reserved word that comes next.
    pub(super) fn reserved(&self) -> Option<&'static str> {
        let may_begin =
            matches!(self.peek(), Some(b'c'..=b'f' | b'i' | b's'..=b'u' | b'w' | b'{' | b'}' | b'!' | b'['));
        if !may_begin {
            return None;
        }
        RESERVED.iter().copied().find(|word| self.looking_at_word(word))
    }

    fn stops(&self, stop: Stop) -> bool {
        match stop {
            Stop::End => self.at == self.text.len(),
            Stop::Paren => self.peek() == Some(b')'),
            Stop::Clause => self.looking_at(";;") || self.looking_at(";&") || self.looking_at_word("esac"),
            Stop::Words(words) => words.iter().any(|word| self.looking_at_word(word)),
        }
    }

    /// Commands joined by `;`, `&`, line breaks, `&&` and `||`. The caller handles what stops the list.
    pub(super) fn list(&mut self, stop: Stop) -> Parsed<()> {
        let mut commands = false;
        loop {
            self.newlines()?;
            if self.stops(stop) {
                break;
            }
            self.and_or()?;
            commands = true;
            self.blanks();
            match (self.peek(), self.peek_at(1)) {
                (Some(b';'), next) if !matches!(next, Some(b';' | b'&')) => self.at += 1,
                (Some(b'&'), next) if !matches!(next, Some(b'&' | b'>')) => self.at += 1,
                (Some(b'\n' | b'#'), _) => {}
                _ if self.stops(stop) => break,
                _ => return self.wrong(),
            }
        }
        // Only a text, a substitution and a clause of `case` may be empty.
        if commands || !matches!(stop, Stop::Words(_)) { Ok(()) } else { self.wrong() }
    }

    fn and_or(&mut self) -> Parsed<()> {
        loop {
            self.pipeline()?;
            self.blanks();
            if !self.eat("&&") && !self.eat("||") {
                return Ok(());
            }
            // No further character makes another operator of these two, so a join right after them joins nothing.
            let _ = self.eat("\\\n");
            self.newlines()?;
        }
    }

    fn pipeline(&mut self) -> Parsed<()> {
        loop {
            self.blanks();
            if self.eat_word("time") {
                self.state.keyword("time")?;
                self.blanks();
                let _ = self.eat_word("-p");
                self.blanks();
                if self.peek() == Some(b'-') {
                    return self.wrong();
                }
            } else if !self.eat_word("!") {
                break;
            }
        }
        self.command()?;
        loop {
            self.blanks();
            if self.looking_at("||") || !self.eat("|") {
                return Ok(());
            }
            let _ = self.eat("&");
            self.newlines()?;
            // After a bar, `time` is an ordinary command.
            if self.looking_at_word("time") { self.simple()? } else { self.command()? }
        }
    }

    fn command(&mut self) -> Parsed<()> {
        match self.reserved() {
            None if self.peek() == Some(b'(') => self.nested(Self::parenthesis),
            None => self.simple(),
            Some(word) => self.nested(|this| this.compound(word)),
        }
    }
}
