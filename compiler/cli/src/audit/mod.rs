//! `bailiwick audit`: what an audit log says, and whether it is what was written.

mod inspect;
mod prove;
mod replay;
mod verify;

use anyhow::Result;

use crate::args::audit::AuditCommand;
use crate::outcome::Outcome;

pub(crate) fn run(command: &AuditCommand) -> Result<Outcome> {
    match command {
        AuditCommand::Verify(options) => verify::run(options),
        AuditCommand::Inspect(options) => inspect::run(options),
        AuditCommand::Replay(options) => replay::run(options),
        AuditCommand::Prove(options) => prove::prove(options),
        AuditCommand::CheckProof(options) => prove::check(options),
    }
}

pub(crate) use verify::known_key;

/// Whether a character could move the cursor, change colours or reorder letters.
fn steers(c: char) -> bool {
    let reorders =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c.is_control() || reorders
}

/// Text from the log, for a terminal: what steers it is escaped.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// JSON in one line, for a program or a terminal: what steers that is escaped, which makes no other value.
fn json_line(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string(value)?;
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            line.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            line.push(c);
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::{json_line, shown};

    #[test]
    fn json_that_is_shown_is_the_same_value_and_steers_nothing() {
        let value = serde_json::json!({ "a\u{1b}\u{9b}": "\u{202e}x\u{7f}\u{feff} \u{1f600}é\"" });
        let line = json_line(&value).unwrap();
        assert_eq!(line, "{\"a\\u001b\\u009b\":\"\\u202ex\\u007f\\ufeff \u{1f600}é\\\"\"}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        assert_eq!(
            shown("a\u{1b}[2Jb\r\n\u{9b}c\u{202e}d é"),
            "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{9b}c\\u{202e}d é"
        );
    }
}
