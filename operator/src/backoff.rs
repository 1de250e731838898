//! How long a watch that broke waits before it tries again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

use crate::limits::WATCH_BACKOFF;

/// Waits between tries, doubled up to a second: an API server that is back must be noticed soon, for drift is mended within two.
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
