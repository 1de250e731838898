//! How a command ends: the exit codes, the same for every command.

use std::process::ExitCode;

/// The end of a command that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked holds.
    Holds,
    /// It could not run: a file is missing, a program is not there.
    CouldNotRun,
    /// The pack is invalid, or there are findings.
    Findings,
    /// An object is denied.
    Denied,
    /// A test failed.
    TestsFailed,
    /// The child of a forwarded command ended with this code.
    Forwarded(u8),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Holds => 0,
            Outcome::CouldNotRun => 1,
            // 2 is a wrong use of the command line, which clap answers before anything runs.
            Outcome::Findings => 3,
            Outcome::Denied => 4,
            Outcome::TestsFailed => 5,
            Outcome::Forwarded(code) => code,
        })
    }
}
