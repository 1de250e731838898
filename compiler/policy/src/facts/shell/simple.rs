//! Simple commands: assignments, a name, arguments, and redirections anywhere among them.

use super::grammar::{Parsed, Parser, is_meta};
use super::here::Pending;
use super::variables::is_name;
use super::words::{Draft, Place};
use super::{Assignment, Fact, MAX_COMMANDS, Reason, Redirect, RedirectKind};

/// Redirection operators, longest first. `&>` and `&>>` are for both outputs.
const OPERATORS: &[(&str, RedirectKind)] = &[
    ("<<<", RedirectKind::HereString),
    ("<<", RedirectKind::HereDocument),
    ("<&", RedirectKind::Duplicate),
    ("<>", RedirectKind::ReadWrite),
    ("<", RedirectKind::Read),
    (">>", RedirectKind::Append),
    (">&", RedirectKind::Duplicate),
    (">|", RedirectKind::Write),
    (">", RedirectKind::Write),
    ("&>>", RedirectKind::Append),
    ("&>", RedirectKind::Write),
];

/// Room for the words of one command, which few exceed.
const WORDS: usize = 8;

impl Parser<'_> {
    pub(super) fn simple(&mut self) -> Parsed<()> {
        let mut words: Vec<Draft> = Vec::with_capacity(WORDS);
        let mut assignments: Vec<(Assignment, Draft)> = Vec::new();
        let mut redirects = Vec::new();
        let (first, before) = (self.state.len(), self.state.changes());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            match self.peek() {
                None | Some(b'\n' | b';' | b'&' | b'|' | b')' | b'#') => break,
                Some(b'(') if !self.looking_at("((") => {
                    return match words.as_slice() {
                        [name] if assignments.is_empty() && redirects.is_empty() => {
                            let name = name.plain().map(<[u8]>::to_vec);
                            self.function_after(name)
                        }
                        _ => self.wrong(),
                    };
                }
                Some(_) => {}
            }
            let begins = words.is_empty();
            if begins && let Some(assignment) = self.assignment()? {
                assignments.push(assignment);
                continue;
            }
            // Reserved words lose their meaning after an assignment or a redirection. That form is not used
            // in practice, so it is not understood.
            if begins && !(assignments.is_empty() && redirects.is_empty()) && self.reserved().is_some() {
                return self.wrong();
            }
            let declared = words.first().is_some_and(is_declaration) && self.looking_at_assignment();
            words.push(self.word(if declared { Place::Declared } else { Place::Argument })?);
            if words.len() + assignments.len() > MAX_COMMANDS {
                return Err(Reason::TooMany);
            }
        }
        if words.is_empty() && assignments.is_empty() && redirects.is_empty() {
            return self.wrong();
        }
        // bash expands words before redirections, and those before assignments.
        self.state.changes_reach_back(before, first);
        self.state.simple(words, assignments, redirects)
    }

    /// `name ()` and the body.
    fn function_after(&mut self, name: Option<Vec<u8>>) -> Parsed<()> {
        self.expect("(")?;
        self.blanks();
        self.expect(")")?;
        match name {
            Some(name) => self.nested(|this| this.function(&name)),
            None => self.wrong(),
        }
    }

    /// Whether `NAME=` or `NAME+=` comes next, without quotes.
    fn looking_at_assignment(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let (name, after) = rest.split_at_checked(length).unwrap_or_default();
        is_name(name) && (after.starts_with(b"=") || after.starts_with(b"+="))
    }

    /// `NAME=value` or `NAME+=value` where a command may begin.
    fn assignment(&mut self) -> Parsed<Option<(Assignment, Draft)>> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let name = rest.get(..length).unwrap_or_default();
        if name.first().is_none_or(u8::is_ascii_digit) {
            return Ok(None);
        }
        let after = rest.get(length..).unwrap_or_default();
        // A subscript is evaluated, and may span several words.
        if after.first() == Some(&b'[') {
            return Err(Reason::Evaluates);
        }
        let appends = after.starts_with(b"+=");
        if !appends && after.first() != Some(&b'=') {
            return Ok(None);
        }
        let name = String::from_utf8_lossy(name).into_owned();
        self.at += length + if appends { 2 } else { 1 };
        if self.peek() == Some(b'(') {
            return self.array(name).map(Some);
        }
        let value = self.word(Place::Value)?;
        let known = if appends { Fact::Opaque } else { value.to_word() };
        Ok(Some((Assignment { name, value: known }, value)))
    }

    /// `NAME=(…)`.
    fn array(&mut self, name: String) -> Parsed<(Assignment, Draft)> {
        self.expect("(")?;
        loop {
            self.newlines()?;
            if self.eat(")") {
                break;
            }
            // `[subscript]=value`: evaluated.
            if self.peek() == Some(b'[') {
                return Err(Reason::Evaluates);
            }
            let _ = self.word(Place::Argument)?;
        }
        // `a=(b)c` and `a=(b)#c` are words.
        if self.peek().is_some_and(|byte| !is_meta(byte)) {
            return self.wrong();
        }
        let value = Draft { opaque: true, array: true, ..Draft::default() };
        Ok((Assignment { name, value: Fact::Opaque }, value))
    }

    /// A redirection, if one comes next.
    pub(super) fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        if !matches!(self.peek(), Some(b'0'..=b'9' | b'<' | b'>' | b'&')) {
            return Ok(None);
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let operator = rest.get(digits..).unwrap_or_default();
        let found = OPERATORS.iter().find(|(text, _)| operator.starts_with(text.as_bytes()));
        let Some((text, kind)) = found.copied() else {
            return Ok(None);
        };
        // `<(` and `>(` are words; so are digits before `&>`.
        let substitution = matches!(operator, [b'<' | b'>', b'(', ..]);
        if substitution || digits > 0 && text.starts_with('&') {
            return Ok(None);
        }
        let descriptor = match digits {
            0 => None,
            _ => {
                let number = std::str::from_utf8(rest.get(..digits).unwrap_or_default()).unwrap_or_default();
                let Ok(number) = number.parse() else { return self.wrong() };
                Some(number)
            }
        };
        self.at += digits + text.len();
        if kind == RedirectKind::HereDocument {
            return self.here_delimiter(descriptor).map(Some);
        }
        self.blanks();
        // bash reads the `-` that closes a descriptor as a word of its own: in `>&-f` the rest is an
        // argument.
        if kind == RedirectKind::Duplicate && self.eat("-") {
            return Ok(Some(Redirect { descriptor, kind, target: Fact::Known("-".to_owned()) }));
        }
        let word = self.word(Place::Argument)?;
        if word.array {
            return self.wrong();
        }
        let target = if word.spread { Fact::Opaque } else { word.to_word() };
        if text == ">&"
            && descriptor.is_none_or(|at| at == 1)
            && !target.known().is_some_and(|word| is_plain(word))
        {
            return Err(Reason::Evaluates);
        }
        let kind = duplication(kind, text, descriptor, &target);
        Ok(Some(Redirect { descriptor, kind, target }))
    }

    /// `<<WORD` or `<<-WORD`: notes that a body follows on the next line.
    fn here_delimiter(&mut self, descriptor: Option<u32>) -> Parsed<Redirect> {
        let strips_tabs = self.eat("-");
        self.blanks();
        let start = self.at;
        let mut delimiter = Vec::new();
        let mut quoted = false;
        while let Some(byte) = self.peek().filter(|byte| !is_meta(*byte)) {
            match byte {
                b'\'' | b'"' => {
                    quoted = true;
                    self.at += 1;
                    while self.peek() != Some(byte) {
                        match self.peek() {
                            None | Some(b'\n' | b'\\' | b'$' | b'`') => return self.wrong(),
                            Some(inner) => delimiter.push(inner),
                        }
                        self.at += 1;
                    }
                }
                b'\\' if self.peek_at(1).is_some_and(|next| next != b'\n') => {
                    quoted = true;
                    self.at += 1;
                    delimiter.extend(self.peek());
                }
                b'\\' | b'$' | b'`' => return self.wrong(),
                byte => delimiter.push(byte),
            }
            self.at += 1;
        }
        if self.at == start || delimiter.is_empty() {
            return self.wrong();
        }
        let Ok(text) = String::from_utf8(delimiter.clone()) else { return self.wrong() };
        self.pending.push(Pending { delimiter, quoted, strips_tabs });
        Ok(Redirect { descriptor, kind: RedirectKind::HereDocument, target: Fact::Known(text) })
    }
}

/// Whether a name, as written, is one of those whose operands bash reads as assignments. With a quote, or
/// after `command`, they are words like others, which are split.
fn is_declaration(name: &Draft) -> bool {
    let names: [&[u8]; 5] = [b"export", b"readonly", b"declare", b"typeset", b"local"];
    name.plain().is_some_and(|name| names.contains(&name))
}

/// Whether a text means only itself to bash, which expands the word of `>&WORD` twice: it runs the `$(…)` in
/// `>&'$(…)'`.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./-+,:@%^=".contains(&byte))
}

/// `>&WORD` without a descriptor before it writes a file, unless the word is a descriptor.
fn duplication(
    kind: RedirectKind,
    operator: &str,
    descriptor: Option<u32>,
    target: &Fact<String>,
) -> RedirectKind {
    let Fact::Known(word) = target else { return kind };
    let digits = word.strip_suffix('-').unwrap_or(word);
    let is_descriptor = word == "-" || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        RedirectKind::Duplicate
            if !is_descriptor && operator == ">&" && descriptor.is_none_or(|at| at == 1) =>
        {
            RedirectKind::Write
        }
        kind => kind,
    }
}
