//! The gate before every write: it is open while the operator's own lease is certain to outlast the write.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Tick;
use crate::limits::WRITE_TIMEOUT;

/// Shared between the task that keeps the lease and those that write.
#[derive(Debug, Default)]
pub struct Fence {
    /// End of the lease in milliseconds; 0: shut.
    until_ms: AtomicU64,
}

/// The lease is not held, or not for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is not held for long enough to write")]
pub struct Shut;

impl Fence {
    /// Opens the fence until the end of a lease.
    pub fn open_until(&self, until: Tick) {
        self.until_ms.store(until.as_ms(), Ordering::SeqCst);
    }

    /// Shuts the fence.
    pub fn shut(&self) {
        self.until_ms.store(0, Ordering::SeqCst);
    }

    /// Whether a write that begins at `now` ends, or is given up, before the lease runs out.
    ///
    /// # Errors
    /// It does not.
    pub fn check_at(&self, now: Tick) -> Result<(), Shut> {
        let until = Tick::from_ms(self.until_ms.load(Ordering::SeqCst));
        if now.plus(WRITE_TIMEOUT) <= until { Ok(()) } else { Err(Shut) }
    }

    /// [`Fence::check_at`] for the current moment.
    ///
    /// # Errors
    /// As there.
    pub fn check(&self) -> Result<(), Shut> {
        self.check_at(Tick::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_must_fit_into_the_rest_of_the_lease() {
        let fence = Fence::default();
        let limit = u64::try_from(WRITE_TIMEOUT.as_millis()).expect("small");
        assert_eq!(fence.check_at(Tick::from_ms(0)), Err(Shut));
        fence.open_until(Tick::from_ms(1000 + limit));
        assert_eq!(fence.check_at(Tick::from_ms(1000)), Ok(()));
        assert_eq!(fence.check_at(Tick::from_ms(1001)), Err(Shut));
        assert_eq!(fence.check_at(Tick::MAX), Err(Shut));
        fence.shut();
        assert_eq!(fence.check_at(Tick::from_ms(1000)), Err(Shut));
    }
}
