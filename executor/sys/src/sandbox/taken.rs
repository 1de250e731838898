//! A sandbox's hold on the stock that it was taken from, until it is cleared away.

use std::sync::Arc;

/// A stock of sandboxes, as seen by a sandbox.
pub(crate) trait Lender: Send + Sync {
    /// Notes that a taken sandbox has been cleared away.
    fn cleared(&self);
}

/// Notifies the stock when it is dropped.
pub(crate) struct Taken(Arc<dyn Lender>);

impl<L: Lender + 'static> From<Arc<L>> for Taken {
    fn from(lender: Arc<L>) -> Self {
        Self(lender)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.cleared();
    }
}
