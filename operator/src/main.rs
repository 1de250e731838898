//! The program `bailiwick-operator`: arguments, logging, exit code; everything else is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bailiwick_operator::{Serve, serve};
use clap::{Parser, Subcommand};

/// Keeps in a cluster what its policy packs and bindings say.
#[derive(Parser)]
#[command(name = "bailiwick-operator", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile, apply, keep and prune, while this operator holds the lease.
    Serve(Box<Serve>),
}

fn main() -> ExitCode {
    let Command::Serve(settings) = Arguments::parse().command;
    settings.log.start();
    match serve(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{:#}", anyhow::Error::from(error));
            ExitCode::FAILURE
        }
    }
}
