//! The pauses of a broken watch before it tries again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

use crate::limits::WATCH_BACKOFF;

/// Pauses between attempts, doubled up to a second: a returning API server must be noticed soon, since drift
/// is repaired within two seconds.
#[derive(Default)]
pub(crate) struct Waits {
    tried: u32,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let (first, longest) = WATCH_BACKOFF;
        let wait = first.saturating_mul(1 << self.tried.min(16)).min(longest);
        self.tried += 1;
        Some(wait)
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.tried = 0;
    }
}
