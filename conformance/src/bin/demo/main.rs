//! `make demo`: one pack becomes its controls and decides real pods. Runs the programs as a person would, prints what they say,
//! and ends with 1 on any deviation. Leaves nothing behind.
#![forbid(unsafe_code)]
#![expect(
    clippy::indexing_slicing,
    reason = "the demo builds and reads its own JSON; a missing member is null, and a panic ends it with a failure"
)]

mod reviews;
mod stage;
mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Nobody watches a demo for longer; it takes some seconds.
const LONGEST: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let began = Instant::now();
    let ended = stage::Stage::set().and_then(|mut stage| steps::run(&mut stage)).and_then(|()| {
        anyhow::ensure!(began.elapsed() <= LONGEST, "it took more than {} s", LONGEST.as_secs());
        Ok(())
    });
    match ended {
        Ok(()) => {
            println!("\nThe demo ran as it should; nothing is left behind.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nThe demo deviated: {error:#}");
            ExitCode::FAILURE
        }
    }
}
