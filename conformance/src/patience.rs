//! Waiting for a state of the world, in tests and in the demo: a look now and then until it is there, for as long as a busy machine may take.
//! Nothing here measures; what has not come after [`PATIENCE`] will not come.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Far longer than anything that is waited for takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: short beside what is waited for, long beside a look.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to see, and gives it back.
///
/// # Errors
/// Nothing came; the message says what was waited for.
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
