//! The thread that does what nobody waits for: flushes results that found no group to join, writes the checkpoint that is
//! due, makes the next segment, flushes openings, and tries a log that failed until it works again.

use std::time::{Duration, Instant};

use crate::commit::{Demand, Numbers};
use crate::dir::Dir;
use crate::options::{Options, Prepare};
use crate::queue::{Queue, RETRY};
use crate::segment::Segment;

/// What the attendant needs besides the queue.
pub(crate) struct Attendant {
    pub(crate) dir: Dir,
    pub(crate) numbers: std::sync::Arc<Numbers>,
    pub(crate) options: Options,
}

impl Attendant {
    /// Runs until the queue is stopped; then writes what is queued.
    pub(crate) fn run(&self, queue: &Queue) {
        // The time of the last attempt to make a segment: a full disk is not asked all the time.
        let mut spare_failed: Option<Instant> = None;
        loop {
            let mut state = queue.state();
            if state.stopped {
                break;
            }
            let wait = self.wait(state.lingering(), state.failed_at);
            let is_ripe = state.is_ripe(self.options.linger) && state.failed_at.is_none();
            let has_work = state.dirty.is_some() || is_ripe && state.log.is_some();
            if !has_work {
                let waited = queue.attention.wait_timeout(state, wait);
                state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            }
            if let Some(file) = state.dirty.take() {
                drop(state);
                // An opening that is lost is told from tampering: its record can no more be shown.
                drop(file.sync_data());
                state = queue.state();
            }
            let may_make = spare_failed.is_none_or(|at| at.elapsed() >= RETRY);
            if state.wants_spare
                && state.spare.is_none()
                && self.options.prepare == Prepare::Ahead
                && may_make
            {
                drop(state);
                let made = Segment::create(&self.dir, self.numbers.next(), queue.limits.segment_bytes);
                spare_failed = made.as_ref().err().map(|_| Instant::now());
                state = queue.state();
                state.spare = made.ok();
                state.wants_spare = false;
            }
            let has_failed = state.failed_at.is_some_and(|at| at.elapsed() >= RETRY);
            let is_due = state.log.as_ref().is_some_and(|log| log.checkpoint_is_due());
            let is_ripe = state.is_ripe(self.options.linger) && state.failed_at.is_none();
            if !has_failed && !is_due && !is_ripe {
                continue;
            }
            if let Some(log) = state.log.take() {
                drop(state);
                queue.lead(log, if has_failed { Demand::Probe } else { Demand::WhenDue });
            }
        }
        self.finish(queue);
    }

    fn wait(&self, lingering: Option<Instant>, failed_at: Option<Instant>) -> Duration {
        let until = |since: Instant, length: Duration| length.saturating_sub(since.elapsed());
        let wait = match (failed_at, lingering) {
            (Some(at), _) => until(at, RETRY),
            (None, Some(since)) => until(since, self.options.linger),
            (None, None) => self.options.checkpoint_every,
        };
        wait.max(Duration::from_millis(1))
    }

    /// One group for what is queued: a result that was given before the writer was dropped is not lost.
    fn finish(&self, queue: &Queue) {
        let mut state = queue.state();
        if let (true, Some(log)) = (state.has_queued(), state.log.take()) {
            drop(state);
            queue.lead(log, Demand::WhenDue);
            state = queue.state();
        }
        if let Some(file) = state.dirty.take() {
            drop(state);
            drop(file.sync_data());
        }
    }
}
