//! Arithmetic. bash evaluates the *values* of variables in it as expressions, and runs the substitutions in
//! their subscripts. An expression is understood only if every variable in it holds an integer, whatever the
//! line does.

use super::Reason;
use super::grammar::{Parsed, Parser};
use super::variables::is_name;

impl<'s> Parser<'s> {
    /// The text up to `))`, after `((`. Text that bash would continue to read as a nested group is not
    /// understood.
    pub(super) fn arithmetic_text(&mut self) -> Parsed<&'s [u8]> {
        let start = self.at;
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => open += 1,
                b')' if open > 0 => open -= 1,
                b')' if self.peek_at(1) == Some(b')') => {
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 2;
                    return Ok(text);
                }
                b')' | b'\'' | b'"' | b'`' | b'\\' | b'[' | b']' => return self.wrong(),
                _ => {}
            }
            self.at += 1;
        }
        self.wrong()
    }

    /// Checks an expression and notes the variables that it reads and assigns.
    pub(super) fn arithmetic(&mut self, text: &[u8]) -> Parsed<()> {
        let Some(names) = names(text) else { return Err(Reason::Evaluates) };
        let assigns = assigns(text);
        for name in names {
            if assigns {
                self.state.assign_integer(&name)?;
            }
            self.state.reads_number(&name);
        }
        Ok(())
    }
}

/// Whether an expression may assign: a `=` that is not part of a comparison, `++` or `--`.
pub(super) fn assigns(text: &[u8]) -> bool {
    let at = |index: usize| text.get(index).copied().unwrap_or(0);
    text.iter().enumerate().any(|(index, byte)| {
        let (before, after) = (if index == 0 { 0 } else { at(index - 1) }, at(index + 1));
        match byte {
            b'+' | b'-' => after == *byte,
            b'=' => {
                let shifts = matches!(before, b'<' | b'>') && index >= 2 && at(index - 2) == before;
                after != b'=' && (!matches!(before, b'=' | b'!' | b'<' | b'>') || shifts)
            }
            _ => false,
        }
    })
}

/// The variables of an expression; `None` if it is not understood.
pub(super) fn names(text: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    let mut in_word = false;
    while let Some(byte) = rest.first() {
        let after_word = std::mem::replace(&mut in_word, byte.is_ascii_alphanumeric() || *byte == b'_');
        let length = match byte {
            // `a$x` is the variable `a5` where x is 5.
            b'$' if after_word => return None,
            b'$' => {
                let (name, length) = variable(rest)?;
                names.extend(name);
                length
            }
            b'0'..=b'9' => word_length(rest, b"@#_"),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let length = word_length(rest, b"_");
                names.push(String::from_utf8_lossy(rest.get(..length)?).into_owned());
                length
            }
            b' ' | b'\t' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' | b'&' | b'|'
            | b'^' | b'~' | b'?' | b':' | b',' | b'(' | b')' => 1,
            _ => return None,
        };
        rest = rest.get(length..)?;
    }
    Some(names)
}

/// `$name`, `${name}`, `${#name}`, `$#` or `$?`: the variable, if its value matters, and the length of the
/// text.
fn variable(text: &[u8]) -> Option<(Option<String>, usize)> {
    let rest = text.get(1..)?;
    match rest.first()? {
        b'#' | b'?' => Some((None, 2)),
        b'{' => {
            let end = rest.iter().position(|byte| *byte == b'}')?;
            let inner = rest.get(1..end)?;
            match inner.strip_prefix(b"#") {
                Some(counted) => is_name(counted).then_some((None, end + 2)),
                None => is_name(inner).then(|| (Some(String::from_utf8_lossy(inner).into_owned()), end + 2)),
            }
        }
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
            let length = word_length(rest, b"_");
            Some((Some(String::from_utf8_lossy(rest.get(..length)?).into_owned()), length + 1))
        }
        _ => None,
    }
}

fn word_length(text: &[u8], more: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || more.contains(byte)).count()
}
