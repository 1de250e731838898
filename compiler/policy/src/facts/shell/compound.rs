//! Groups, conditionals, loops, functions, and the two commands that are expressions.

use super::Reason;
use super::grammar::{Parsed, Parser, Stop, is_blank, is_meta};
use super::variables::is_name;
use super::words::{Number, Place};

impl Parser<'_> {
    /// A command that begins with a reserved word.
    pub(super) fn compound(&mut self, word: &'static str) -> Parsed<()> {
        self.at += word.len();
        let first = self.state.len();
        match word {
            "{" => {
                self.list(Stop::Words(&["}"]))?;
                self.expect_word("}")?;
            }
            "if" => self.conditional()?,
            "while" | "until" => {
                self.state.repeats();
                self.list(Stop::Words(&["do"]))?;
                self.body()?;
            }
            "for" => self.for_loop()?,
            "case" => self.case()?,
            "[[" => self.test_expression()?,
            "function" => return self.function_keyword(),
            // It sets an array of bash's own, and its name may be any word.
            "coproc" => return Err(Reason::Evaluates),
            // `select` prompts a user; the others do not begin a command.
            _ => return self.wrong(),
        }
        self.group_redirects(first)
    }

    /// `( … )` or `(( … ))`.
    pub(super) fn parenthesis(&mut self) -> Parsed<()> {
        let first = self.state.len();
        if self.looking_at("((") {
            self.at += 2;
            let text = self.arithmetic_text()?;
            self.arithmetic(text)?;
            self.state.keyword("((")?;
        } else {
            self.expect("(")?;
            self.list(Stop::Paren)?;
            if self.state.len() == first {
                return self.wrong();
            }
            self.expect(")")?;
        }
        self.group_redirects(first)
    }

    /// Redirections of a whole group. bash expands them before it runs the group, whose first command is
    /// `first`.
    fn group_redirects(&mut self, first: usize) -> Parsed<()> {
        let before = self.state.changes();
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => break,
            }
        }
        self.state.changes_reach_back(before, first);
        if redirects.is_empty() { Ok(()) } else { self.state.nameless(redirects) }
    }

    fn conditional(&mut self) -> Parsed<()> {
        self.list(Stop::Words(&["then"]))?;
        self.expect_word("then")?;
        loop {
            self.list(Stop::Words(&["elif", "else", "fi"]))?;
            if self.eat_word("elif") {
                self.list(Stop::Words(&["then"]))?;
                self.expect_word("then")?;
                continue;
            }
            if self.eat_word("else") {
                self.list(Stop::Words(&["fi"]))?;
            }
            return self.expect_word("fi");
        }
    }

    fn body(&mut self) -> Parsed<()> {
        self.expect_word("do")?;
        self.list(Stop::Words(&["done"]))?;
        self.expect_word("done")
    }

    fn for_loop(&mut self) -> Parsed<()> {
        self.state.repeats();
        self.blanks();
        if self.eat("((") {
            let text = self.arithmetic_text()?;
            for part in text.split(|byte| *byte == b';') {
                self.arithmetic(part)?;
            }
            self.blanks();
            let _ = self.eat(";");
            return self.body();
        }
        let name = self.plain_word()?;
        if !is_name(&name) {
            return self.wrong();
        }
        self.newlines()?;
        if self.eat_word("in") {
            loop {
                self.blanks();
                if self.peek().is_none_or(|byte| matches!(byte, b';' | b'\n' | b'#')) {
                    break;
                }
                let value = self.word(Place::Argument)?;
                self.state.assign(&name, &value)?;
            }
        } else {
            // Over the arguments of the shell or the function.
            self.state.assign_unknown(&name)?;
        }
        self.blanks();
        let _ = self.eat(";");
        self.body()
    }

    fn case(&mut self) -> Parsed<()> {
        self.blanks();
        let _ = self.word(Place::Argument)?;
        self.newlines()?;
        if !self.eat_word("in") {
            return self.wrong();
        }
        loop {
            self.newlines()?;
            if self.eat_word("esac") {
                return Ok(());
            }
            let _ = self.eat("(");
            loop {
                self.blanks();
                let _ = self.word(Place::Argument)?;
                self.blanks();
                if !self.eat("|") {
                    break;
                }
            }
            self.expect(")")?;
            self.list(Stop::Clause)?;
            let _ = self.eat(";;&") || self.eat(";;") || self.eat(";&");
        }
    }

    fn function_keyword(&mut self) -> Parsed<()> {
        self.blanks();
        let name = self.plain_word()?;
        self.blanks();
        if self.eat("(") {
            self.blanks();
            self.expect(")")?;
        }
        self.function(&name)
    }

    /// The body of a function whose name, and parentheses if any, were read.
    pub(super) fn function(&mut self, name: &[u8]) -> Parsed<()> {
        self.state.function(name)?;
        self.newlines()?;
        match self.reserved() {
            Some(word @ ("{" | "if" | "while" | "until" | "for" | "case" | "[[")) => {
                self.nested(|this| this.compound(word))
            }
            None if self.peek() == Some(b'(') => self.nested(Self::parenthesis),
            _ => self.wrong(),
        }
    }

    /// A literal word without quotes: the name of a variable or a function.
    fn plain_word(&mut self) -> Parsed<Vec<u8>> {
        let start = self.at;
        while self.peek().is_some_and(|byte| !is_meta(byte)) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        if word.is_empty() || !word.iter().all(plain) { self.wrong() } else { Ok(word.to_vec()) }
    }

    /// `[[ … ]]`: its operands as words, its operators checked for those that evaluate.
    fn test_expression(&mut self) -> Parsed<()> {
        let mut words = Vec::new();
        let mut end_of_word = self.at;
        loop {
            self.newlines()?;
            if self.eat_word("]]") {
                break;
            }
            // After a word it belongs to a pattern, in which `#` begins no comment: `@(#)`.
            if self.peek() == Some(b'(') && self.at == end_of_word {
                return self.wrong();
            }
            if self.eat("&&") || self.eat("||") || self.eat("(") || self.eat(")") {
                continue;
            }
            if (self.looking_at("<") || self.looking_at(">")) && self.peek_at(1) != Some(b'(') {
                self.at += 1;
                continue;
            }
            let word = if words.last().is_some_and(|last| super::words::Draft::is_bare(last, "=~")) {
                self.regex()?
            } else {
                self.word(Place::Test)?
            };
            end_of_word = self.at;
            words.push(word);
        }
        self.state.test_expression(words)
    }

    /// The pattern after `=~`, in which parentheses and bars are plain. A pattern with white space or
    /// expansions is not understood.
    fn regex(&mut self) -> Parsed<super::words::Draft> {
        let start = self.at;
        if matches!(self.peek(), Some(b'"' | b'\'' | b'$')) {
            let word = self.word(Place::Test)?;
            // `"a"||#b` and `$x(#)` are one pattern.
            let ends = self.peek().is_none_or(|byte| is_blank(byte) || byte == b'\n');
            return if ends { Ok(word) } else { self.wrong() };
        }
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' if open == 0 => break,
                b'(' => open += 1,
                b')' if open > 0 => open -= 1,
                b'$' if self.peek_at(1).is_some_and(|next| !matches!(next, b' ' | b'|' | b')' | b'\n')) => {
                    return self.wrong();
                }
                b' ' | b'\t' | b'\n' | b')' | b';' | b'&' | b'<' | b'>' | b'`' | b'\'' | b'"' | b'\\' => {
                    return self.wrong();
                }
                _ => {}
            }
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default().to_vec();
        if text.is_empty() {
            return self.wrong();
        }
        Ok(super::words::Draft { text, number: Number::None, ..super::words::Draft::default() })
    }
}
