//! Time for leases: milliseconds since the machine started, suspension included.
//!
//! It is not the wall clock, which can be set, nor the monotonic clock of the standard library, which stops
//! while a machine sleeps: a lease runs out all the same.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment. Only differences have a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(u64);

impl Tick {
    /// The current moment. If the kernel had no such clock, `Tick::MAX`: every deadline then counts as
    /// passed.
    #[must_use]
    pub fn now() -> Self {
        let Ok(time) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return Self::MAX };
        let (seconds, nanos) = (u64::try_from(time.tv_sec()), u64::try_from(time.tv_nsec()));
        match (seconds, nanos) {
            (Ok(seconds), Ok(nanos)) => Self(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)),
            _ => Self::MAX,
        }
    }

    /// Later than every other.
    pub const MAX: Self = Self(u64::MAX);

    /// A moment by its milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Its milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time since `earlier`; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let first = Tick::now();
        assert!(Tick::now() >= first && first > Tick::default());
        assert_eq!(Tick::from_ms(5).plus(Duration::from_millis(7)).since(Tick::from_ms(2)).as_millis(), 10);
        assert_eq!(Tick::from_ms(1).since(Tick::from_ms(2)), Duration::ZERO);
        assert_eq!(Tick::MAX.plus(Duration::from_secs(1)), Tick::MAX);
    }
}
