//! The program `kubectl-bailiwick`, which kubectl runs as `kubectl bailiwick`: arguments and exit code; everything else is in the library. Exit codes: 0
//! done, 1 not done, 2 usage.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bailiwick_operator::plugin;
use clap::Parser as _;

fn main() -> ExitCode {
    match plugin::run(&plugin::Arguments::parse()) {
        Ok(told) => {
            print!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {:#}", anyhow::Error::from(error));
            ExitCode::FAILURE
        }
    }
}
