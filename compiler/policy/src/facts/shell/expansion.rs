//! What a dollar starts: variables, `${…}`, `$(…)` and `$((…))`. Their results are never known; this module
//! reports which commands run in them, and whether bash would treat a value as code.

use super::grammar::{Parsed, Parser, Stop};
use super::variables::is_name;
use super::words::{Draft, Number, Place};
use super::{MAX_DEPTH, Reason};

/// An expansion whose result is not known.
pub(super) struct Expansion {
    /// It becomes several words even within double quotes.
    pub(super) several: bool,
    pub(super) number: Number,
}

impl Expansion {
    const fn one(number: Number) -> Self {
        Self { several: false, number }
    }
}

impl Parser<'_> {
    /// Reads what a dollar starts; `None`: the dollar is literal.
    pub(super) fn dollar(&mut self, place: Place) -> Parsed<Option<Expansion>> {
        self.at += 1;
        let Some(byte) = self.peek() else { return Ok(None) };
        Ok(Some(match byte {
            b'(' if self.peek_at(1) == Some(b'(') => {
                self.at += 2;
                let text = self.arithmetic_text()?;
                self.arithmetic(text)?;
                Expansion::one(Number::Integer)
            }
            b'(' => {
                self.at += 1;
                self.substitution()?;
                Expansion::one(Number::None)
            }
            b'{' => {
                self.at += 1;
                self.nested(|this| this.braced(place))?
            }
            // The old form of arithmetic; a joined line.
            b'[' | b'\\' => return self.wrong(),
            b'@' | b'*' => {
                self.at += 1;
                Expansion { several: true, number: Number::None }
            }
            b'#' | b'?' | b'$' | b'!' => {
                self.at += 1;
                Expansion::one(Number::Integer)
            }
            b'-' | b'0'..=b'9' => {
                self.at += 1;
                Expansion::one(Number::None)
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let name = self.name();
                Expansion::one(Number::Variable(name))
            }
            _ => return Ok(None),
        }))
    }

    /// Letters, digits and underscores from here.
    fn name(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default()).into_owned()
    }

    /// The commands of `$(…)`, `<(…)` or `>(…)`, after the opening parenthesis.
    pub(super) fn substitution(&mut self) -> Parsed<()> {
        self.state.substitutes();
        let outer = std::mem::take(&mut self.pending);
        self.nested(|this| this.list(Stop::Paren))?;
        // bash ends an unfinished here-document here with a warning.
        if !self.pending.is_empty() {
            return self.wrong();
        }
        self.pending = outer;
        self.expect(")")
    }

    /// `${…}`, after the opening brace.
    fn braced(&mut self, place: Place) -> Parsed<Expansion> {
        let counts = self.peek() == Some(b'#') && self.peek_at(1) != Some(b'}');
        if counts {
            self.at += 1;
        }
        let (name, mut several) = match self.peek() {
            Some(b'@' | b'*') => {
                self.at += 1;
                (String::new(), true)
            }
            Some(b'#' | b'?' | b'$' | b'-') => {
                self.at += 1;
                (String::new(), false)
            }
            Some(byte) if byte.is_ascii_digit() => {
                let digits = self.name();
                if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return self.wrong();
                }
                (String::new(), false)
            }
            // An indirect name is a value treated as code, as with some of the operators below.
            Some(b'!') => return Err(Reason::Evaluates),
            _ => {
                let name = self.name();
                if !is_name(name.as_bytes()) {
                    return self.wrong();
                }
                (name, false)
            }
        };
        if self.peek() == Some(b'[') {
            several |= self.subscript()?;
            return self.operator(&name, Expansion { several, number: Number::None }, place);
        }
        if counts {
            self.expect("}")?;
            return Ok(Expansion::one(Number::Integer));
        }
        if self.peek() == Some(b'}') {
            self.at += 1;
            let number = if name.is_empty() { Number::None } else { Number::Variable(name) };
            return Ok(Expansion { several, number });
        }
        self.operator(&name, Expansion { several, number: Number::None }, place)
    }

    /// A subscript: all elements, or a number. Everything else is evaluated. Returns whether it means all
    /// elements.
    fn subscript(&mut self) -> Parsed<bool> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == b']') else { return self.wrong() };
        let inner = rest.get(..length).unwrap_or_default();
        self.at += length + 2;
        match inner {
            b"@" | b"*" => Ok(true),
            digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => Ok(false),
            _ => Err(Reason::Evaluates),
        }
    }

    /// What follows the name within `${…}`, and the closing brace.
    fn operator(&mut self, name: &str, expansion: Expansion, place: Place) -> Parsed<Expansion> {
        let assigns = self.looking_at("=") || self.looking_at(":=");
        match (self.peek(), self.peek_at(1)) {
            (Some(b'}'), _) => {}
            (Some(b':'), Some(b'-' | b'=' | b'+' | b'?')) => {
                self.at += 2;
                self.operand(place)?;
            }
            (Some(b':'), _) => self.substring()?,
            (Some(b'-' | b'=' | b'+' | b'?' | b'#' | b'%' | b'/' | b'^' | b','), _) => {
                self.at += 1;
                self.operand(place)?;
            }
            // Of the `@` operators only these leave the value alone; `@P` runs the substitutions in it.
            (Some(b'@'), Some(b'Q' | b'U' | b'u' | b'L')) => self.at += 2,
            (Some(b'@'), _) => return Err(Reason::Evaluates),
            _ => return self.wrong(),
        }
        self.expect("}")?;
        if assigns {
            self.state.assign_unknown(name.as_bytes())?;
        }
        Ok(expansion)
    }

    /// `:offset` or `:offset:length`: arithmetic, understood when it is numbers.
    fn substring(&mut self) -> Parsed<()> {
        while let Some(byte) = self.peek().filter(|byte| *byte != b'}') {
            if !matches!(byte, b':' | b'-' | b' ' | b'0'..=b'9') {
                return Err(Reason::Evaluates);
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A word within `${…}`. Quotes have their own rules there, so none are understood within double quotes.
    fn operand(&mut self, place: Place) -> Parsed<()> {
        if self.depth > MAX_DEPTH {
            return Err(Reason::TooDeep);
        }
        let mut draft = Draft::default();
        loop {
            match self.peek() {
                None | Some(b'{' | b'\n') => return self.wrong(),
                Some(b'}') => return Ok(()),
                Some(b'<' | b'>') if self.peek_at(1) == Some(b'(') => return self.wrong(),
                Some(b'$') if matches!(self.peek_at(1), Some(b'\'' | b'"')) => return self.wrong(),
                Some(b'$') => drop(self.dollar(place)?),
                Some(b'`') => self.back_ticks(place)?,
                Some(b'\'' | b'"' | b'\\') if place == Place::Quoted => return self.wrong(),
                Some(b'\\') if self.peek_at(1).is_some_and(|next| next != b'\n') => self.at += 2,
                Some(b'\\') => return self.wrong(),
                Some(b'\'') => {
                    let rest = self.text.get(self.at + 1..).unwrap_or_default();
                    let Some(length) = rest.iter().position(|byte| *byte == b'\'') else {
                        return self.wrong();
                    };
                    self.at += length + 2;
                }
                Some(b'"') => {
                    self.at += 1;
                    self.double_quoted(&mut draft)?;
                }
                Some(_) => self.at += 1,
            }
        }
    }
}
