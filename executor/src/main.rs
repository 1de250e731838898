//! The program `bailiwick-executor`: arguments, logging, exit code; everything else is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bailiwick_executor::commands::{Command, run};
use clap::Parser;

/// Decides, confines and records every tool call of an agent.
#[derive(Parser)]
#[command(name = "bailiwick-executor", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match run(command) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
