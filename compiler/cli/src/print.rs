//! What the commands print. Colours are written always and taken out where the output is no terminal; a reader that has gone away
//! (`bailiwick check … | head`) ends the program without a word, as it ends others, and never with 0.
//!
//! Also the spinner: it is drawn on a terminal alone, on standard error, and is gone before anything else is printed.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::time::Duration;

use indicatif::ProgressBar;

use crate::outcome::Outcome;

/// One line on standard output.
macro_rules! out {
    ($($words:tt)*) => { $crate::print::line(format_args!($($words)*)) };
}

/// One line on standard error.
macro_rules! note {
    ($($words:tt)*) => { $crate::print::note_line(format_args!($($words)*)) };
}

pub(crate) use {note, out};

pub(crate) fn line(words: Arguments<'_>) {
    text(&format!("{words}\n"));
}

/// Text on standard output as it is.
pub(crate) fn text(text: &str) {
    let mut stdout = anstream::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            note_line(format_args!("{}: cannot write: {error}", crate::render::error_word()));
        }
        // What was asked for could not be said.
        std::process::exit(Outcome::CouldNotRun.code().into());
    }
}

pub(crate) fn note_line(words: Arguments<'_>) {
    // Nobody is left to be told that nobody reads this.
    let _ = writeln!(anstream::stderr().lock(), "{words}");
}

/// Turns while something is done; ends with the value.
#[derive(Debug)]
pub(crate) struct Spinner(ProgressBar);

/// How often it turns.
const TURN: Duration = Duration::from_millis(100);

impl Spinner {
    /// Says what is being done.
    pub(crate) fn start(what: String) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(TURN);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
