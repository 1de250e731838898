//! The program `bailiwick-webhook`: arguments, logging, exit code; everything else is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bailiwick_webhook::{Serve, serve};
use clap::{Parser, Subcommand};

/// A review is hundreds of small allocations that live for a fraction of a millisecond; glibc's allocator took 7 % of its processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Decides Kubernetes admission reviews by compiled policy packs.
#[derive(Parser)]
#[command(name = "bailiwick-webhook", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve `/validate` and `/mutate` over TLS.
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
