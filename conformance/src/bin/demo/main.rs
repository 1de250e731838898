//! `make demo`: one pack becomes its controls, decides real pods, and then every call that an agent makes. Runs the programs as a person would,
//! prints what they say, and ends with 1 on any deviation. Leaves nothing behind.
//!
//! ```text
//! steps: compile ─► pods admitted, refused ─► the pack changes ─► a typo ─► calls: decided, confined ─► records: shown, verified, changed
//! ```
#![forbid(unsafe_code)]
#![expect(
    clippy::indexing_slicing,
    reason = "the demo builds and reads its own JSON; a missing member is null, and a panic ends it with a failure"
)]

mod calls;
mod interrupt;
mod records;
mod reviews;
mod stage;
mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Nobody watches a demo for longer; it takes some twenty seconds, ten of them an endless loop.
const LONGEST: Duration = Duration::from_secs(90);

/// Says that it may take longer: for a test on a machine that has other things to do.
const PATIENT: &str = "--patient";

fn main() -> ExitCode {
    let began = Instant::now();
    let longest = if std::env::args().any(|arg| arg == PATIENT) { Duration::MAX } else { LONGEST };
    let staged = interrupt::watch().and_then(|()| stage::Stage::set());
    let ended = staged.and_then(|mut stage| steps::run(&mut stage)).and_then(|()| {
        anyhow::ensure!(began.elapsed() <= longest, "it took more than {} s", longest.as_secs());
        Ok(())
    });
    match ended {
        Ok(()) => {
            println!(
                "\nThe demo ran as it should, in {} s; nothing is left behind.",
                began.elapsed().as_secs()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nThe demo deviated: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Begins a step, unless somebody wants the demo to end.
fn heading(text: &str) -> anyhow::Result<()> {
    interrupt::check()?;
    println!("\n── {text} {}", "─".repeat(96usize.saturating_sub(text.chars().count())));
    Ok(())
}
