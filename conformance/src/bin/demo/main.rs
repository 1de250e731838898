//! `make demo`: one pack becomes its controls, decides real pods, and then every call that an agent makes. It
//! runs the programs as a user would, prints what they say, and exits with 1 on any deviation. It leaves
//! nothing behind.
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
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest run of a demo: it takes about twenty seconds, ten of them an endless loop.
const LONGEST: Duration = Duration::from_secs(90);

/// Allows it to take longer: for a test on a busy machine.
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

/// Begins a step, unless the demo was interrupted.
fn heading(text: &str) -> anyhow::Result<()> {
    interrupt::check()?;
    println!("\n── {text} {}", "─".repeat(96usize.saturating_sub(text.chars().count())));
    Ok(())
}
