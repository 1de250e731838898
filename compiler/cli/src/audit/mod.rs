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

/// Text from the log, for a terminal: characters that could move the cursor, change colours or reorder
/// letters are escaped.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || reorders {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        assert_eq!(
            shown("a\u{1b}[2Jb\r\n\u{9b}c\u{202e}d é"),
            "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{9b}c\\u{202e}d é"
        );
    }
}
