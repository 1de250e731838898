//! The program `kubectl-bailiwick`, which kubectl runs as `kubectl bailiwick`: arguments and exit code;
//! everything else is in the library. Exit codes: 0 done, 1 not done, 2 usage.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use bailiwick_operator::plugin;
use clap::Parser as _;

fn main() -> ExitCode {
    match plugin::run(&plugin::Arguments::parse()) {
        Ok(told) => match say(&mut io::stdout(), &told) {
            // A closed pipe means that its reader needs no more.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        },
        Err(error) => {
            // If standard error fails too, the failure cannot be reported.
            let _ = say(&mut io::stderr(), &format!("error: {:#}\n", anyhow::Error::from(error)));
            ExitCode::FAILURE
        }
    }
}

/// Writes text, parts of which other users wrote into the cluster, without control characters that a terminal
/// obeys.
fn say(to: &mut impl io::Write, text: &str) -> io::Result<()> {
    let plain =
        |char: char| if char.is_control() && char != '\n' { char::REPLACEMENT_CHARACTER } else { char };
    to.write_all(text.chars().map(plain).collect::<String>().as_bytes())?;
    to.flush()
}
