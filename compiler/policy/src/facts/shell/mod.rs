//! What a command line runs, found by a grammar and not by patterns: `/bin/bash --noprofile --norc -c --
//! LINE`.
//!
//! Not a shell: nothing is expanded and no value is tracked. The oracle is bash 5.2; `tests/facts_bash.rs`
//! runs generated lines through it.
//!
//! Three things can be opaque. A *word* is opaque when it contains an expansion, a glob or braces. A *name*
//! is opaque when its word is, or when something in the line may have changed what the name means: an
//! assignment such as `PATH=…`, a function, `alias`, `eval`. The *whole line* is opaque when a command may
//! run that is not written as a command: syntax outside the grammar, or a construct by which bash evaluates a
//! value as code (`[[ $x -eq 1 ]]` runs the `$(…)` in the subscript in `$x`). What is run by a command whose
//! purpose that is, such as `eval`, `trap`, `env` or `xargs`, is an argument of that command and nothing
//! else: a rule that permits such a name permits whatever it runs.
//!
//! ```text
//! LINE ► grammar ► words ► expansion     where text becomes words
//!           └────► effects               what earlier commands do to the meaning of later ones
//! ```

mod arithmetic;
mod builtins;
mod compound;
mod effects;
mod expansion;
mod grammar;
mod here;
mod simple;
mod variables;
mod words;

#[cfg(test)]
mod tests;

use thiserror::Error;

use super::{Fact, MAX_BYTES};

/// How deep substitutions, groups and compound commands may nest: parsing is recursive.
pub const MAX_DEPTH: usize = 24;
/// The most commands of one line, and the most words of one command.
pub const MAX_COMMANDS: usize = 1_024;

/// One word of a command line after quote removal: exactly one argument if it is known.
pub type Word = Fact<String>;

/// Three-valued truth.
pub type Tri = Fact<bool>;

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Nothing is known about it, not even which commands it has.
    Opaque(Reason),
    /// Its commands.
    Parsed(Line),
}

/// Why a line is opaque as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// Too many bytes.
    #[error("the line is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A control character other than tab and line break.
    #[error("the line holds a control character")]
    ControlCharacter,
    /// Outside the grammar.
    #[error("the syntax at byte {at} is not understood")]
    Syntax {
        /// The position; in text within back-ticks, a byte of that text.
        at: usize,
    },
    /// Too much nesting.
    #[error("the line is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Too many commands or words.
    #[error("the line has more than {MAX_COMMANDS} commands, or one of them as many words")]
    TooMany,
    /// bash may run text as code that is not written as a command.
    #[error("the line makes bash evaluate a value as code")]
    Evaluates,
}

/// The commands of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Every command, including those in pipelines, lists, substitutions, groups, compound commands and
    /// function bodies. A substitution comes before the command that uses it. `[[`, `((` and `time` are
    /// commands of that name. Redirections of a group, and assignments or redirections alone, are a
    /// command with an empty name.
    pub commands: Vec<Command>,
    /// Whether it has a command or process substitution.
    pub substitutes: bool,
    /// Whether any variable is assigned, by whatever means.
    pub assigns: bool,
}

/// One simple command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is run, syntactically: a bare word, or a word with `/` as written; empty for assignments or
    /// redirections alone.
    pub name: Word,
    /// Its arguments.
    pub args: Args,
    /// Its redirections, in order.
    pub redirects: Vec<Redirect>,
    /// The assignments before its name, in order.
    pub assignments: Vec<Assignment>,
}

/// The arguments of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Args {
    /// Each word is one argument.
    Exact(Vec<Word>),
    /// A word may become no argument or several (a glob, braces, an expansion without quotes). Known words
    /// are among the arguments, and those before the first opaque word have their positions; neither the
    /// number nor other positions are known.
    Open(Vec<Word>),
}

impl Args {
    /// The words, whether or not each is one argument.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        match self {
            Args::Exact(words) | Args::Open(words) => words,
        }
    }
}

/// A redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The descriptor before the operator; `None`: the operator's own.
    pub descriptor: Option<u32>,
    /// What it does.
    pub kind: RedirectKind,
    /// The file, the descriptor, the text of a here-string, or the delimiter of a here-document.
    pub target: Word,
}

/// What a redirection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectKind {
    /// `<`.
    Read,
    /// `>`, `>|`, `&>` and `>&FILE`.
    Write,
    /// `>>`, `&>>`.
    Append,
    /// `<>`.
    ReadWrite,
    /// `<&N`, `>&N`, `>&-`.
    Duplicate,
    /// `<<`.
    HereDocument,
    /// `<<<`.
    HereString,
}

impl Redirect {
    /// Whether it may change something outside the shell: a file, or a connection through bash's `/dev/tcp`.
    /// `/dev/null` accepts everything and keeps nothing.
    #[must_use]
    pub fn writes(&self) -> Tri {
        match (self.kind, &self.target) {
            (RedirectKind::HereDocument | RedirectKind::HereString, _) => Fact::Known(false),
            (RedirectKind::Duplicate, Fact::Known(_)) => Fact::Known(false),
            (_, Fact::Opaque) if self.kind == RedirectKind::Read || self.kind == RedirectKind::Duplicate => {
                Fact::Opaque
            }
            (RedirectKind::Read, Fact::Known(file)) => {
                Fact::Known(file.starts_with("/dev/tcp/") || file.starts_with("/dev/udp/"))
            }
            (_, Fact::Known(file)) => Fact::Known(file != "/dev/null"),
            (_, Fact::Opaque) => Fact::Known(true),
        }
    }
}

/// An assignment of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The variable, without a subscript.
    pub name: String,
    /// Its value; opaque for arrays, appended values and expansions.
    pub value: Word,
}

/// Parses a command line.
#[must_use]
pub fn parse(line: &str) -> Shell {
    match grammar::parse(line) {
        Ok(line) => Shell::Parsed(line),
        Err(reason) => Shell::Opaque(reason),
    }
}

/// The fuzzing entry point: any bytes get an answer.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let shell = parse(&text);
    let _ = shell.only_runs(&["ls", "cat"]);
}

impl Shell {
    /// The commands; `None` for an opaque line.
    #[must_use]
    pub const fn line(&self) -> Option<&Line> {
        match self {
            Shell::Opaque(_) => None,
            Shell::Parsed(line) => Some(line),
        }
    }

    /// Whether the line runs at least one command and only bare names of a list, and neither writes by a
    /// redirection nor assigns nor substitutes.
    #[must_use]
    pub fn only_runs<S: AsRef<str>>(&self, names: &[S]) -> Tri {
        let Shell::Parsed(line) = self else {
            return Fact::Opaque;
        };
        if line.commands.is_empty() || line.assigns || line.substitutes {
            return Fact::Known(false);
        }
        let mut verdict = Fact::Known(true);
        for command in &line.commands {
            match &command.name {
                Fact::Known(name) => {
                    let bare = !name.is_empty() && !name.contains('/');
                    if !bare || !names.iter().any(|listed| listed.as_ref() == name) {
                        return Fact::Known(false);
                    }
                }
                Fact::Opaque => verdict = Fact::Opaque,
            }
            for redirect in &command.redirects {
                match redirect.writes() {
                    Fact::Known(true) => return Fact::Known(false),
                    Fact::Known(false) => {}
                    Fact::Opaque => verdict = Fact::Opaque,
                }
            }
        }
        verdict
    }
}
