//! The commands of the program. Exit codes are those of every Bailiwick program: 0 holds, 1 could not run, 2
//! usage, 4 denied; here also 5, the tool's command did not end well.

mod approvals;
mod once;
mod probe;
mod ready;
mod serve;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::clock::BehindLog;

/// What the program can be asked to do.
#[derive(Subcommand, Debug)]
#[expect(missing_docs, reason = "documented at their types; a text here would replace the commands' own")]
pub enum Command {
    Serve(Box<serve::Serve>),
    Run(Box<once::Run>),
    Probe(probe::Probe),
    Ready(ready::Ready),
    #[command(subcommand)]
    Approvals(approvals::Approvals),
}

/// What a start is told of the machine's clock.
#[derive(Args, Clone, Copy, Debug)]
pub struct ClockArgs {
    /// Believe a clock that stands behind the audit log, because it was ahead when the newest records were written and is right now. Put on record
    #[arg(long)]
    pub accept_clock: bool,
}

impl From<ClockArgs> for BehindLog {
    fn from(args: ClockArgs) -> Self {
        if args.accept_clock { Self::Accepted } else { Self::Refused }
    }
}

/// The end of a command that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked holds.
    Holds,
    /// The policy denies, or asks for an approval.
    Denied,
    /// The tool's command failed, or was ended by a limit.
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Holds => 0,
            Outcome::Denied => 4,
            Outcome::Failed => 5,
        })
    }
}

/// Runs a command.
///
/// # Errors
/// Whatever keeps it from doing what it was asked, in a sentence for a person.
pub fn run(command: Command) -> anyhow::Result<Outcome> {
    if !matches!(command, Command::Approvals(_)) {
        settle_in()?;
    }
    match command {
        Command::Serve(serve) => serve::serve(&serve),
        Command::Run(run) => once::run(&run),
        Command::Probe(probe) => probe::probe(&probe),
        Command::Ready(ready) => ready::ready(&ready),
        Command::Approvals(approvals) => approvals::run(&approvals),
    }
}

/// Before there is a second thread: gives up what of root is not needed (`docs/adr/0016-the-executor-stays-root.md`), and takes all the descriptors that it may
/// have. A sandbox has some fifteen, so the usual soft limit of 1024 would not do for the calls that `--max-calls` lets run at one time.
fn settle_in() -> anyhow::Result<()> {
    bailiwick_sys::privileges::give_up_the_rest().context("cannot give up capabilities")?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("the limit of open files cannot be read")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("the limit of open files cannot be raised")
}
