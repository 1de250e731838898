//! Runs the benchmarks, and compares their figures with the goals.
//!
//! `bench NAME` writes `target/bench/NAME.json` and prints its figures; it never fails because of one.
//! `bench check` reads those files, or those of the folder in its argument, and exits with 3 when a goal is
//! missed.
#![forbid(unsafe_code)]

mod audit;
mod compile;
mod editor;
mod engine;
mod hand_written;
mod images;
mod manifests;
mod operator;
mod peer_cel;
mod peer_kube;
mod peer_rego;
mod report;
mod rules;
mod sampling;
mod sandbox;
mod tools;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str =
    "usage: bench audit | compile | engine | images | operator | sandbox | webhook | check [FOLDER]";

/// The folder of `bench check`.
fn folder() -> PathBuf {
    std::env::args().nth(2).map_or_else(report::directory, PathBuf::from)
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1);
    let done = match name.as_deref() {
        Some("audit") => audit::run().and_then(|report| report.publish()),
        Some("compile") => compile::run().and_then(|report| report.publish()),
        Some("engine") => engine::run().and_then(|report| report.publish()),
        Some("images") => images::run().and_then(|report| report.publish()),
        Some("operator") => operator::run().and_then(|report| report.publish()),
        Some("sandbox") => sandbox::run().and_then(|report| report.publish()),
        // Started by `sandbox`, on one core.
        Some("sandbox-core") => sandbox::run_core(),
        Some("webhook") => webhook::run().and_then(|report| report.publish()),
        // The processes that the webhook's bench starts.
        Some("load") => webhook::run_load(&std::env::args().nth(2).unwrap_or_default()),
        Some("null-webhook") => webhook::run_null(&std::env::args().nth(2).unwrap_or_default()),
        Some("check") => match report::check(&folder()) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::from(3),
            Err(error) => Err(error),
        },
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
