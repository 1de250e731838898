//! Regular expressions: `matches` with a computed pattern, `find`, `findAll`, and the translation of RE2
//! syntax.
//!
//! CEL's patterns are RE2's. The `regex` crate is also linear, but reads some syntax differently: `\d`, `\w`,
//! `\s` and `\b` are Unicode there and ASCII in RE2, and within a class it has nested classes and set
//! operations that are plain characters in RE2. A pattern that would have another meaning is translated; one
//! that cannot be translated is refused.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 4_096;
/// The largest compiled automaton, in bytes.
const MAX_AUTOMATON: usize = 1 << 20;
/// The largest automaton of a pattern that is compiled while a rule is evaluated. A short pattern (`\pL{20}`)
/// can take milliseconds to compile; this bounds them to a fraction of one.
const MAX_COMPUTED_AUTOMATON: usize = 128 << 10;
/// The largest automaton whose search costs what [`Pattern::charge`] says, without a factor. Most patterns
/// are smaller.
const LIGHT_AUTOMATON: usize = 4 << 10;
/// How much larger each class of automata may be than the one before. A failed attempt costs less than the
/// next one, so all of them together cost little more than the last.
const CLASS_FACTOR: usize = 4;
/// The cost of compiling any pattern: [`Fuel::DEFAULT`] is enough for some hundred in an evaluation.
const COMPILE_UNITS: u64 = 2_000;
/// The additional cost of each byte of a pattern.
const COMPILE_UNITS_PER_BYTE: u64 = 50;

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// The text is too long.
    #[error("the pattern is longer than {MAX_PATTERN} bytes")]
    TooLong,
    /// A valid pattern whose automaton would be too large.
    #[error("the compiled pattern would be larger than {0} bytes")]
    TooLarge(usize),
    /// An escape that RE2 does not have.
    #[error("unknown escape `\\{0}`")]
    Escape(char),
    /// A flag that RE2 does not have.
    #[error("unknown flag `{0}`")]
    Flag(char),
    /// Not a pattern.
    #[error("invalid pattern: {0}")]
    Syntax(String),
}

/// A compiled pattern, and what a search with it costs.
#[derive(Debug)]
pub(in crate::cel) struct Pattern {
    regex: Regex,
    /// The size of the automaton as a multiple of the smallest class. A search is linear in the text, but
    /// each byte may have to advance every state: for some patterns (`[01]*1[01]{1000}`) no table of a
    /// bearable size avoids that.
    weight: u64,
}

impl Pattern {
    /// Compiles a pattern that is known before a rule is evaluated.
    pub(in crate::cel) fn new(pattern: &str) -> Result<Self, PatternError> {
        compile_within(pattern, MAX_AUTOMATON)
    }

    /// Whether it is found in the text.
    pub(in crate::cel) fn is_match(&self, text: &str, fuel: &mut Fuel) -> Result<bool, EvalError> {
        self.charge(text, fuel)?;
        Ok(self.regex.is_match(text))
    }

    /// Charges for a search through a text: linear, a few units more expensive than a comparison, and by the
    /// size of the automaton.
    fn charge(&self, text: &str, fuel: &mut Fuel) -> Result<(), EvalError> {
        fuel.spend(1 + (text.len() as u64).saturating_mul(self.weight) / 4)
    }
}

/// Compiles a pattern in RE2 syntax.
///
/// # Errors
/// A pattern that is not valid, too long, or whose automaton would be too large.
pub fn compile_pattern(pattern: &str) -> Result<Regex, PatternError> {
    Pattern::new(pattern).map(|compiled| compiled.regex)
}

/// Compiles a pattern that is computed while a rule is evaluated.
///
/// # Errors
/// As for [`compile_pattern`], with a smaller automaton.
pub fn compile_computed(pattern: &str) -> Result<Regex, PatternError> {
    compile_within(pattern, MAX_COMPUTED_AUTOMATON).map(|compiled| compiled.regex)
}

/// Compiles into the smallest class of automata that holds the pattern.
fn compile_within(pattern: &str, largest: usize) -> Result<Pattern, PatternError> {
    if pattern.len() > MAX_PATTERN {
        return Err(PatternError::TooLong);
    }
    let translated = translate(pattern)?;
    let mut size = LIGHT_AUTOMATON;
    loop {
        let built = RegexBuilder::new(&translated)
            .size_limit(size)
            .dfa_size_limit(MAX_AUTOMATON)
            .nest_limit(100)
            .build();
        match built {
            Ok(regex) => return Ok(Pattern { regex, weight: (size / LIGHT_AUTOMATON) as u64 }),
            Err(regex::Error::CompiledTooBig(_)) if size < largest => {
                size = size.saturating_mul(CLASS_FACTOR).min(largest);
            }
            Err(regex::Error::CompiledTooBig(_)) => return Err(PatternError::TooLarge(largest)),
            Err(error) => {
                let text = error.to_string();
                // The last line says why; those before it draw the pattern.
                let why = text.lines().last().unwrap_or(&text).trim_start_matches("error: ").to_owned();
                return Err(PatternError::Syntax(why));
            }
        }
    }
}

/// `matches` with a computed pattern, `find`, `findAll`.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    let (text, pattern, limit) = match args {
        [text, pattern] => (text, pattern, -1),
        [text, pattern, Value::Int(limit)] if function == Func::FindAll => (text, pattern, *limit),
        _ => return no_overload(function),
    };
    let (Some(text), Some(pattern)) = (text.as_str(), pattern.as_str()) else {
        return no_overload(function);
    };
    fuel.spend(COMPILE_UNITS + COMPILE_UNITS_PER_BYTE.saturating_mul(pattern.len() as u64))?;
    let compiled = compile_within(pattern, MAX_COMPUTED_AUTOMATON)
        .map_err(|error| EvalError::invalid(error.to_string()))?;
    compiled.charge(text, fuel)?;
    let regex = &compiled.regex;
    Ok(match function {
        Func::MatchesDynamic => Value::Bool(regex.is_match(text)),
        Func::Find => Value::string(regex.find(text).map_or("", |found| found.as_str())),
        _ => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let mut found = Vec::new();
            for part in regex.find_iter(text).take(limit) {
                fuel.spend(1)?;
                fuel.spend_bytes(part.as_str().len())?;
                // Each search may read to the end of the text before it knows.
                compiled.charge(text.get(part.start()..).unwrap_or_default(), fuel)?;
                found.push(Value::string(part.as_str()));
            }
            Value::list(found)
        }
    })
}

/// A pattern in RE2 syntax, rewritten as the `regex` crate's; not yet compiled.
///
/// # Errors
/// What RE2 does not have and the crate would take in another meaning.
pub fn as_crate_pattern(pattern: &str) -> Result<String, PatternError> {
    translate(pattern)
}

/// Rewrites RE2 syntax as the `regex` crate's.
fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(char) = rest.chars().next() {
        let after = rest.get(char.len_utf8()..).unwrap_or_default();
        rest = match char {
            '\\' => escape(after, in_class, &mut out)?,
            '[' if !in_class => {
                in_class = true;
                open_class(after, &mut out)
            }
            // Within a class: a named class stays, any other bracket is a character.
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = after.find(":]").map_or(0, |at| at + 2);
                out.push('[');
                out.push_str(after.get(..end).unwrap_or_default());
                after.get(end..).unwrap_or_default()
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(char);
                after
            }
            // Behind a class or at the start it is a character; elsewhere it would be a range to a class, which is none.
            '-' if in_class && is_class_escape(after) => {
                let begins_range =
                    !["[", "[^", "]"].iter().any(|end| out.ends_with(end)) || out.ends_with("\\]");
                if begins_range {
                    return Err(PatternError::Escape('-'));
                }
                out.push_str("\\-");
                after
            }
            // `a--b` is a set difference to the crate; RE2 reads a range that starts at `-`.
            '-' if in_class && after.starts_with('-') => {
                out.push_str("\\-");
                after
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
                after
            }
            '(' if !in_class => {
                check_flags(after)?;
                out.push('(');
                after
            }
            char => {
                out.push(char);
                after
            }
        };
    }
    Ok(out)
}

/// Whether an escape that stands for a class is next.
fn is_class_escape(rest: &str) -> bool {
    rest.strip_prefix('\\').is_some_and(|letter| letter.starts_with(['d', 'w', 's', 'D', 'W', 'S']))
}

/// The start of a class: `^` negates, and a leading `]` is a character.
fn open_class<'p>(after: &'p str, out: &mut String) -> &'p str {
    out.push('[');
    let after = match after.strip_prefix('^') {
        Some(after) => {
            out.push('^');
            after
        }
        None => after,
    };
    match after.strip_prefix(']') {
        Some(after) => {
            out.push_str("\\]");
            after
        }
        None => after,
    }
}

/// The escape after a backslash. Returns the text after it.
fn escape<'p>(after: &'p str, in_class: bool, out: &mut String) -> Result<&'p str, PatternError> {
    let Some(char) = after.chars().next() else {
        out.push('\\');
        return Ok(after);
    };
    let rest = after.get(char.len_utf8()..).unwrap_or_default();
    let ascii = match (char, in_class) {
        // In a class as well a class of their own: a `-` behind them makes no range.
        ('d', _) => "[0-9]",
        ('w', _) => "[0-9A-Za-z_]",
        ('s', _) => r"[\t\n\f\r ]",
        ('D', _) => "[^0-9]",
        ('W', _) => "[^0-9A-Za-z_]",
        ('S', _) => r"[^\t\n\f\r ]",
        ('b', false) => r"(?-u:\b)",
        ('B', false) => r"(?-u:\B)",
        // In the crate these match the start and end of a word.
        ('<', _) => "<",
        ('>', _) => ">",
        ('Q', false) => {
            let (quoted, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return Ok(rest);
        }
        (letter, _) if letter.is_ascii_alphanumeric() && !"aftnrvxpPAz01234567".contains(letter) => {
            return Err(PatternError::Escape(letter));
        }
        _ => {
            out.push('\\');
            out.push(char);
            return Ok(rest);
        }
    };
    out.push_str(ascii);
    Ok(rest)
}

/// Rejects flags of the crate that RE2 does not have: they would change the meaning of the rest of the
/// pattern.
fn check_flags(after: &str) -> Result<(), PatternError> {
    let Some(flags) = after.strip_prefix('?') else {
        return Ok(());
    };
    for char in flags.chars() {
        match char {
            'i' | 'm' | 's' | 'U' | '-' => {}
            ':' | ')' | 'P' | '<' => return Ok(()),
            other => return Err(PatternError::Flag(other)),
        }
    }
    Ok(())
}
