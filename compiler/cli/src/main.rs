//! `bailiwick`: check, compile, test, compare, explain and review policy packs; verify and inspect audit
//! logs, and make their decisions again. Reads files and prints; uses no network.
//!
//! ```text
//! arguments ► files (the only I/O) ► bailiwick-compiler, bailiwick-policy ► render ► exit code
//! ```
#![forbid(unsafe_code)]

mod args;
mod audit;
mod check;
mod compile;
mod completion;
mod custom_kinds;
mod diff;
mod effective;
mod explain;
mod files;
mod fmt;
mod forward;
mod import;
mod init;
mod library;
mod load;
mod manifests;
mod outcome;
mod places;
mod plain;
mod print;
mod recorded;
mod render;
mod replay;
mod report;
mod review;
mod test;

use std::process::ExitCode;

use crate::args::{Arguments, Command};
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::note;

/// Compiling and judging create and drop small trees, in two threads at once: a fifth less time with this
/// allocator than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::given();
    let result = match arguments.command {
        Command::Check(options) => check::run(&options),
        Command::Compile(options) => compile::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Review(options) => review::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Fmt(options) => fmt::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Init(options) => init::run(&options),
        Command::Completion(options) => completion::run(&options),
        Command::Audit(command) => audit::run(&command),
        Command::Other(words) => forward::run(&words),
    };
    match result {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            note!("{}: {}", render::error_word(), plain(&format!("{error:#}")));
            Outcome::CouldNotRun.into()
        }
    }
}
