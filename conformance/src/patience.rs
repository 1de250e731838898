//! Waits for a condition, in tests and in the demo: checks now and then until it holds, for as long as a busy
//! machine may take. Nothing here measures time; what has not happened after [`PATIENCE`] will not happen.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Far longer than any of these waits takes, even where pods start while the machine builds something else.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Between two checks. It grows with the time waited, to a tenth of it: a check may be a process, and what
/// takes seconds need not be noticed within milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Checks until there is a result, and returns it.
///
/// # Errors
/// The time ran out; the message says what was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    until_ok(what, || look().ok_or("it did not come"))
}

/// Checks until there is a result, and returns it; otherwise the check says what is missing.
///
/// # Errors
/// The time ran out; the message says what was waited for and what was missing last.
pub fn until_ok<T, E: Display>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let missing = match look() {
            Ok(seen) => return Ok(seen),
            Err(missing) => missing,
        };
        let waited = begun.elapsed();
        if waited >= PATIENCE {
            bail!("waited {PATIENCE:?} in vain until {what}: {missing:#}");
        }
        std::thread::sleep((waited / 10).clamp(FIRST_PAUSE, LONGEST_PAUSE));
    }
}
