//! Backpressure: limits how much waits to be answered; beyond it, the reader thread waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::limits::MAX_WAITING_BYTES;

/// Bytes of the messages that were read and not yet answered.
#[derive(Debug, Default)]
pub struct Waiting {
    bytes: Mutex<usize>,
    fewer: Condvar,
}

impl Waiting {
    /// Counts a message, once there is room for it. A single message always has room.
    pub fn add(&self, bytes: usize) {
        let is_full = |waiting: &mut usize| *waiting > 0 && waiting.saturating_add(bytes) > MAX_WAITING_BYTES;
        let waited = self.fewer.wait_while(self.bytes(), is_full);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
        *waiting = waiting.saturating_add(bytes);
    }

    /// Removes an answered message.
    pub fn remove(&self, bytes: usize) {
        let mut waiting = self.bytes();
        *waiting = waiting.saturating_sub(bytes);
        self.fewer.notify_all();
    }

    fn bytes(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
