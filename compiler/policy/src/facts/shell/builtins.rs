//! bash's own commands that change what names mean, set variables, or treat text as code. Every other command
//! runs in a process of its own and changes nothing here.

use super::Reason;
use super::arithmetic;
use super::effects::State;
use super::grammar::Parsed;
use super::variables::is_name;
use super::words::{Draft, Number};

/// The operands of one of bash's commands, each of them one word. A word that may become several, such as
/// `$x`, could bring names and options of its own, which bash would evaluate; so it is an error to read one.
#[derive(Clone)]
struct Operands<'w>(std::slice::Iter<'w, Draft>);

impl<'w> Iterator for Operands<'w> {
    type Item = Parsed<&'w Draft>;

    fn next(&mut self) -> Option<Self::Item> {
        let word = self.0.next()?;
        Some(if word.spread { Err(Reason::Evaluates) } else { Ok(word) })
    }
}

impl<'w> Operands<'w> {
    /// The rest, with words that may become several: for a command that judges those itself.
    fn as_written(&self) -> &'w [Draft] {
        self.0.as_slice()
    }
}

impl State {
    /// How a command affects those after it.
    pub(super) fn builtin(&mut self, name: &str, operands: &[Draft]) -> Parsed<()> {
        let (mut name, mut operands) = (name, operands);
        loop {
            match name {
                "command" | "builtin" => {}
                _ => return self.one_builtin(name, &Operands(operands.iter())),
            }
            // `command -v NAME` only reports; otherwise the next word is in turn a command.
            let Some((first, rest)) = operands.split_first() else { return Ok(()) };
            match first.known() {
                Some("-v" | "-V") if name == "command" => return Ok(()),
                Some("-p" | "--") => operands = rest,
                Some(inner) if !inner.starts_with('-') => {
                    operands = rest;
                    name = inner;
                }
                _ => {
                    self.change();
                    return Ok(());
                }
            }
        }
    }

    fn one_builtin(&mut self, name: &str, operands: &Operands<'_>) -> Parsed<()> {
        match name {
            "set" if ends_on_errors(operands.as_written()) => Ok(()),
            "eval" | "source" | "." | "trap" | "alias" | "unalias" | "set" | "shopt" | "enable" | "bind"
            | "complete" | "compgen" | "compopt" | "fc" | "history" => {
                self.change();
                Ok(())
            }
            "hash" if !operands.as_written().is_empty() => {
                self.change();
                Ok(())
            }
            "export" | "readonly" | "declare" | "typeset" | "local" => self.declaration(operands.clone()),
            "read" => self.read(operands.clone()),
            "unset" => self.unset(operands.clone()),
            "let" => self.let_expressions(operands.clone()),
            "printf" => self.printf(operands.as_written()),
            "test" | "[" => self.test(operands.as_written()),
            "getopts" => self.getopts(operands.clone()),
            "mapfile" | "readarray" => self.mapfile(operands.clone()),
            "wait" => wait(operands.as_written()),
            _ => Ok(()),
        }
    }

    /// A word that names a variable to be set. Anything except a plain name may be a subscript, which is
    /// evaluated.
    fn target(&mut self, word: &Draft) -> Parsed<()> {
        match word.known().filter(|name| is_name(name.as_bytes())) {
            Some(name) => self.assign_unknown(name.as_bytes()),
            None => Err(Reason::Evaluates),
        }
    }

    fn declaration(&mut self, operands: Operands<'_>) -> Parsed<()> {
        for word in operands {
            let word = word?;
            let text = std::str::from_utf8(&word.text).unwrap_or_default();
            if !word.opaque && matches!(text, "-p" | "-x" | "-r" | "-g" | "-gx" | "-rx" | "--") {
                continue;
            }
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => {
                    (name.strip_suffix('+').unwrap_or(name), (!word.opaque).then_some(value))
                }
                None if word.opaque => return Err(Reason::Evaluates),
                None => (text, Some("")),
            };
            // Other options give a variable the integer or name attribute, or name functions.
            if !is_name(name.as_bytes()) || value.is_some_and(|value| value.starts_with('(')) {
                return Err(Reason::Evaluates);
            }
            // An unknown value is never harmless.
            self.assign_as(name.as_bytes(), false, Some(value.unwrap_or("/")))?;
        }
        Ok(())
    }

    fn read(&mut self, mut operands: Operands<'_>) -> Parsed<()> {
        let mut named = false;
        while let Some(word) = operands.next().transpose()? {
            match word.known() {
                Some("-d" | "-n" | "-N" | "-t" | "-p" | "-u" | "-i") => drop(operands.next().transpose()?),
                Some("-a" | "--") => {}
                Some(flags) if flags.len() > 1 && flags.starts_with('-') => {
                    if !flags.bytes().skip(1).all(|flag| matches!(flag, b'r' | b's' | b'e')) {
                        return Err(Reason::Evaluates);
                    }
                }
                _ => {
                    self.target(word)?;
                    named = true;
                }
            }
        }
        if named { Ok(()) } else { self.assign_unknown(b"REPLY") }
    }

    fn unset(&mut self, operands: Operands<'_>) -> Parsed<()> {
        for word in operands {
            let word = word?;
            match word.known() {
                // Removing a function exposes a program.
                Some("-f") => self.change(),
                Some("-v" | "--") => {}
                _ => self.target(word)?,
            }
        }
        Ok(())
    }

    fn let_expressions(&mut self, operands: Operands<'_>) -> Parsed<()> {
        for word in operands {
            let names = word?.known().and_then(|text| arithmetic::names(text.as_bytes()));
            for name in names.ok_or(Reason::Evaluates)? {
                self.assign_integer(&name)?;
                self.reads_number(&name);
            }
        }
        Ok(())
    }

    /// `-v` sets a variable, whose subscript is evaluated. An opaque first word may be that option unless it
    /// begins differently.
    fn printf(&mut self, operands: &[Draft]) -> Parsed<()> {
        let mut operands = operands;
        // bash continues to read options after it.
        while let [first, variable, rest @ ..] = operands
            && first.known() == Some("-v")
        {
            self.target(variable)?;
            operands = rest;
        }
        match operands {
            [first, format @ ..] if first.known() == Some("--") => self.counted(format),
            [first, ..] => {
                let begins = first.text.first();
                let option = first.opaque && (begins.is_none() || first.spread) || begins == Some(&b'-');
                if option && first.known() != Some("-") {
                    return Err(Reason::Evaluates);
                }
                self.counted(operands)
            }
            [] => Ok(()),
        }
    }

    /// A format and its operands: `%n` stores the number of bytes so far in the variable that the operand
    /// names.
    fn counted(&mut self, operands: &[Draft]) -> Parsed<()> {
        let Some((format, operands)) = operands.split_first() else { return Ok(()) };
        if format.known().is_some_and(|format| !counts(format)) {
            return Ok(());
        }
        // It may expand to a format and operands of its own.
        if format.spread {
            self.assign_somewhere();
        }
        for operand in operands {
            match operand.known() {
                Some(name) if is_name(name.as_bytes()) => self.assign_integer(name)?,
                Some(text) if text.contains('[') => return Err(Reason::Evaluates),
                Some(_) => {}
                None => self.assign_somewhere(),
            }
        }
        Ok(())
    }

    /// `test -v 'a[$(x)]'` runs x: no word that may be `-v` may come before one that may have a subscript.
    fn test(&mut self, operands: &[Draft]) -> Parsed<()> {
        for word in operands.iter().filter(|word| word.spread) {
            match &word.number {
                Number::Integer => {}
                Number::Variable(name) => self.reads_number(name),
                Number::None => return Err(Reason::Evaluates),
            }
        }
        let digits = |word: &Draft| word.number == Number::Integer || word.spread;
        for pair in operands.windows(2) {
            let [left, right] = pair else { continue };
            let option = match left.known() {
                Some(text) => matches!(text, "-v" | "-R"),
                None => !digits(left) && left.text.first().is_none_or(|byte| *byte == b'-'),
            };
            let subscript = match right.known() {
                Some(text) => text.contains('['),
                None => !digits(right),
            };
            if option && subscript {
                return Err(Reason::Evaluates);
            }
        }
        Ok(())
    }

    /// `getopts OPTSTRING NAME [ARGUMENT]…`; only the name is set, whatever the arguments hold.
    fn getopts(&mut self, mut operands: Operands<'_>) -> Parsed<()> {
        let Some(options) = operands.next().transpose()? else { return Err(Reason::Evaluates) };
        let Some(variable) = operands.next().transpose()? else { return Err(Reason::Evaluates) };
        // After `--` the name is the third word.
        if options.known().is_none_or(|options| options.starts_with('-')) {
            return Err(Reason::Evaluates);
        }
        self.target(variable)
    }

    /// `-C` names a command to run; only the options that take text are allowed.
    fn mapfile(&mut self, mut operands: Operands<'_>) -> Parsed<()> {
        while let Some(word) = operands.next().transpose()? {
            match word.known() {
                Some("-t") => {}
                Some("-d" | "-n" | "-s") => drop(operands.next().transpose()?),
                _ => self.target(word)?,
            }
        }
        self.assign_unknown(b"MAPFILE")
    }
}

/// `-p` sets a variable, whose subscript is evaluated, and may be inside `-np`.
fn wait(operands: &[Draft]) -> Parsed<()> {
    for word in operands {
        let harmless = match word.known() {
            Some(text) => !may_set(text),
            None => word.number == Number::Integer,
        };
        if !harmless {
            return Err(Reason::Evaluates);
        }
    }
    Ok(())
}

/// Whether operands of `set` only end a line early, as in `set -euo pipefail`: names keep their meaning.
fn ends_on_errors(operands: &[Draft]) -> bool {
    let mut operands = operands.iter();
    let mut any = false;
    while let Some(flags) = operands.next() {
        let Some(letters) = flags.known().and_then(|flags| flags.strip_prefix(['-', '+'])) else {
            return false;
        };
        let (letters, named) = letters.strip_suffix('o').map_or((letters, false), |letters| (letters, true));
        let option = if named { operands.next().and_then(Draft::known) } else { None };
        any = !letters.is_empty() || named;
        if !letters.bytes().all(|letter| matches!(letter, b'e' | b'u'))
            || named && !option.is_some_and(|option| matches!(option, "errexit" | "nounset" | "pipefail"))
        {
            return false;
        }
    }
    any
}

/// Whether an operand of `wait` is an option that may name a variable.
fn may_set(word: &str) -> bool {
    word.starts_with('-') && !matches!(word, "-n" | "-f" | "-nf" | "-fn" | "--")
}

/// Whether a format of `printf` has a conversion `%n`.
fn counts(format: &str) -> bool {
    let mut rest = format;
    while let Some((_, conversion)) = rest.split_once('%') {
        let letters = conversion
            .trim_start_matches(|letter: char| letter.is_ascii_digit() || "#0- +'*.hlLjtz".contains(letter));
        if letters.starts_with('n') {
            return true;
        }
        let letter = letters.chars().next().map_or(0, char::len_utf8);
        rest = letters.get(letter..).unwrap_or_default();
    }
    false
}
