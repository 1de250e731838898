//! Waits for a condition, in tests and in the demo: checks now and then until it holds, for as long as a busy
//! machine may take. Nothing here measures time; what has not happened after [`PATIENCE`] will not happen.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Far longer than any of these waits takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two checks: short compared with the wait, long compared with a check.
const PAUSE: Duration = Duration::from_millis(20);

/// Checks until there is a result, and returns it.
///
/// # Errors
/// The time ran out; the message says what was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if Instant::now() >= end {
            bail!("waited {PATIENCE:?} in vain: {what}");
        }
        std::thread::sleep(PAUSE);
    }
}
