//! How a command ends: the exit codes, the same for every command.

use std::process::ExitCode;

/// The end of a command that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The requested property holds.
    Holds,
    /// The command could not run: a file or a program is missing.
    CouldNotRun,
    /// The pack is invalid, or there are findings.
    Findings,
    /// An object is denied.
    Denied,
    /// A test failed.
    TestsFailed,
    /// An audit log is damaged.
    Tampered,
    /// An audit log is open or unfinished, or was not compared with anything from elsewhere; or some of it
    /// cannot be decided again, or a manifest cannot be decided.
    Incomplete,
    /// The child of a forwarded command ended with this code.
    Forwarded(u8),
}

impl Outcome {
    /// The exit code for the shell.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::CouldNotRun => 1,
            // 2 means wrong usage, which clap reports before anything runs.
            Self::Findings => 3,
            Self::Denied | Self::Tampered => 4,
            Self::TestsFailed => 5,
            Self::Incomplete => 6,
            Self::Forwarded(code) => code,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}
