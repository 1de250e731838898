//! The time of decisions. Windows, budgets and approvals depend on it, so a clock that was set is not simply
//! trusted.
//!
//! `now` never falls behind the log: it is the later of the machine's clock and the newest record. A clock
//! that is far behind the log, or that has run ahead of the time since the machine was started, refuses
//! calls: otherwise, setting the clock could lift a throttle or keep an approval from lapsing. A restart of
//! the executor accepts the clock as it then is, and the log shows both. The clock may then be behind the log
//! because it was ahead when the newest record was written; an administrator can have such a clock accepted
//! ([`BehindLog::Accepted`]).

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use thiserror::Error;

/// How far the clock may be behind the log, or run ahead of the time since start: more than any correction by
/// NTP.
pub const MAX_DIFFERENCE_MS: u64 = 5 * 60 * 1000;

/// A clock that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClockError {
    /// It was set back.
    #[error(
        "the machine's clock is {0} ms behind the newest record of the log; set it right, or, if it is right now and was ahead when that was written, start the executor with --accept-clock, which is put on record"
    )]
    Behind(u64),
    /// It was set forward.
    #[error(
        "the machine's clock has run {0} ms ahead of the time since the executor was started; set it right, or restart the executor if it is right now"
    )]
    Jumped(u64),
}

/// What a start does about a clock that is behind the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BehindLog {
    /// Nothing is decided.
    #[default]
    Refused,
    /// It is trusted from now on, on record: an administrator says that it was ahead when the newest records
    /// were written.
    Accepted,
}

/// A point on both clocks.
#[derive(Clone, Copy, Debug)]
struct Both {
    real_ms: u64,
    boot_ms: u64,
}

/// The machine's clock, watched.
#[derive(Debug)]
pub struct Clock {
    start: Mutex<Both>,
}

impl Clock {
    /// Trusts the clock as it is now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Mutex::new(read()) }
    }

    /// The time of a decision, given the time of the newest record.
    ///
    /// # Errors
    /// The clock is not trusted.
    pub fn now_ms(&self, newest_record_ms: u64) -> Result<u64, ClockError> {
        let start = *self.start.lock().unwrap_or_else(PoisonError::into_inner);
        judge(start, read(), newest_record_ms)
    }
}

/// A moment on the clock that has run since the machine was started, including while it sleeps, and that
/// cannot be set. For waits (clock_gettime(2), `CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(read().boot_ms)
    }

    /// The moment this many milliseconds after the machine was started.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the machine was started.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }
}

/// The machine's clock as it is, for purposes on which no decision depends.
#[must_use]
pub fn unwatched_ms() -> u64 {
    read().real_ms
}

fn read() -> Both {
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The call has no argument that could be wrong. If it fails all the same, no jump is detected.
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(std::time::Duration::from).unwrap_or_default();
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Both { real_ms: ms(real), boot_ms: ms(boot) }
}

fn judge(start: Both, now: Both, newest_record_ms: u64) -> Result<u64, ClockError> {
    let behind = newest_record_ms.saturating_sub(now.real_ms);
    if behind > MAX_DIFFERENCE_MS {
        return Err(ClockError::Behind(behind));
    }
    let passed = now.boot_ms.saturating_sub(start.boot_ms);
    let ahead = now.real_ms.saturating_sub(start.real_ms).saturating_sub(passed);
    if ahead > MAX_DIFFERENCE_MS {
        return Err(ClockError::Jumped(ahead));
    }
    Ok(now.real_ms.max(newest_record_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Both = Both { real_ms: 10_000_000, boot_ms: 5_000 };

    fn at(real_ms: u64, boot_ms: u64) -> Both {
        Both { real_ms, boot_ms }
    }

    #[test]
    fn time_never_goes_back_behind_the_log() {
        assert_eq!(judge(START, at(10_001_000, 6_000), 10_000_500), Ok(10_001_000));
        assert_eq!(judge(START, at(10_001_000, 6_000), 10_002_000), Ok(10_002_000));
    }

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let hour = 3_600_000;
        assert_eq!(judge(START, at(10_001_000, 6_000), 10_001_000 + hour), Err(ClockError::Behind(hour)));
        assert_eq!(judge(START, at(10_001_000 + hour, 6_000), 0), Err(ClockError::Jumped(hour)));
        // An hour that has really passed is not a jump.
        assert_eq!(judge(START, at(10_000_000 + hour, 5_000 + hour), 0), Ok(10_000_000 + hour));
    }
}
