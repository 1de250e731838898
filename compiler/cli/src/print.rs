//! Output of the commands. Colours are always written, and removed where the output is not a terminal. If the
//! reader goes away (`bailiwick check … | head`), the program ends silently, as other programs do, and never
//! with 0.
//!
//! Also the spinner: it is drawn only on a terminal, on standard error, and is removed before anything else
//! is printed.

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

/// Text on standard output, unchanged.
pub(crate) fn text(text: &str) {
    let mut stdout = anstream::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            note_line(format_args!("{}: cannot write: {error}", crate::render::error_word()));
        }
        // The requested output could not be written.
        std::process::exit(Outcome::CouldNotRun.code().into());
    }
}

pub(crate) fn note_line(words: Arguments<'_>) {
    // If nothing reads standard error, the failure cannot be reported.
    let _ = writeln!(anstream::stderr().lock(), "{words}");
}

/// Spins during an operation; stops when the value is dropped.
#[derive(Debug)]
pub(crate) struct Spinner(ProgressBar);

/// Time between two frames.
const TURN: Duration = Duration::from_millis(100);

impl Spinner {
    /// Shows what is being done.
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
