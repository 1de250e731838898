//! The attendant thread, which does the work that no append waits for: it flushes results that joined no
//! group, writes the checkpoint that is due, makes the next segment and flushes openings. After a failure it
//! retries until the log works again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backlog::{Backlog, RETRY};
use crate::commit::{Demand, Numbers};
use crate::dir::Dir;
use crate::disclosures::Written;
use crate::options::{Options, Prepare};
use crate::queue::Queue;
use crate::segment::Segment;

/// How long the end waits for a thread that leads: longer than a disk takes for a group.
const END_WAIT: Duration = Duration::from_secs(10);

/// What the attendant needs in addition to the queue.
pub(crate) struct Attendant {
    pub(crate) dir: Dir,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) options: Options,
}

impl Attendant {
    /// Runs until the queue is stopped; then writes what is queued.
    pub(crate) fn run(&self, queue: &Queue) {
        // The time of the last attempt to make a segment, so that a full disk is not tried all the time.
        let mut spare_failed: Option<Instant> = None;
        loop {
            let mut backlog = queue.backlog();
            if backlog.stopped {
                break;
            }
            let wait = self.wait(&backlog);
            let is_ripe = backlog.is_ripe(self.options.linger) && backlog.failed_at.is_none();
            let mut unflushed = backlog.unflushed.take_due(self.options.checkpoint_every);
            let has_work = !unflushed.is_empty() || is_ripe && backlog.log.is_some() && !backlog.is_over();
            if !has_work {
                let waited = queue.attention.wait_timeout(backlog, wait);
                backlog = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                unflushed = backlog.unflushed.take_due(self.options.checkpoint_every);
            }
            if !unflushed.is_empty() {
                drop(backlog);
                let flushed = flush(&unflushed);
                backlog = queue.backlog();
                if let Err(error) = flushed {
                    backlog.fail_openings(error);
                }
            }
            let may_make = spare_failed.is_none_or(|at| at.elapsed() >= RETRY);
            if backlog.wants_spare
                && backlog.spare.is_none()
                && self.options.prepare == Prepare::Ahead
                && may_make
            {
                drop(backlog);
                let made = Segment::create(&self.dir, self.numbers.next(), queue.limits.segment_bytes);
                spare_failed = made.as_ref().err().map(|_| Instant::now());
                backlog = queue.backlog();
                backlog.spare = made.ok();
                backlog.wants_spare = false;
            }
            // A log of which another writer is in charge, or that has ended, is left alone, even if a
            // checkpoint would be due.
            if backlog.is_over() {
                continue;
            }
            let has_failed = backlog.failed_at.is_some_and(|at| at.elapsed() >= RETRY);
            let is_due = backlog.log.as_ref().is_some_and(|log| log.checkpoint_is_due());
            let is_ripe = backlog.is_ripe(self.options.linger) && backlog.failed_at.is_none();
            if !has_failed && !is_due && !is_ripe {
                continue;
            }
            if let Some(log) = backlog.log.take() {
                drop(backlog);
                queue.lead(log, if has_failed { Demand::Probe } else { Demand::WhenDue });
            }
        }
        self.finish(queue);
    }

    /// How long there is nothing to do, unless something changes.
    fn wait(&self, backlog: &Backlog) -> Duration {
        let until = |since: Instant, length: Duration| length.saturating_sub(since.elapsed());
        let every = self.options.checkpoint_every;
        let flush = backlog.unflushed.since().map_or(every, |since| until(since, every));
        let wait = match (backlog.failed_at, backlog.lingering()) {
            (Some(at), _) => until(at, RETRY),
            (None, Some(since)) => until(since, self.options.linger),
            (None, None) => every,
        };
        wait.min(flush).max(Duration::from_millis(1))
    }

    /// Writes what is queued, in as many groups as it takes: a result that was given before the writer was
    /// dropped is not lost. Ends when a group leaves as much behind as there was.
    pub(crate) fn finish(&self, queue: &Queue) {
        let mut backlog = queue.backlog();
        loop {
            let queued = backlog.len();
            // Taken only to be given back: a thread that needs the log itself waits until it is there.
            let log = if backlog.has_queued() { backlog.log.take() } else { None };
            let Some(log) = log else { break };
            drop(backlog);
            queue.lead(log, Demand::WhenDue);
            backlog = queue.backlog();
            if backlog.len() >= queued {
                break;
            }
        }
        let unflushed = backlog.unflushed.take_due(Duration::ZERO);
        drop(backlog);
        // Openings whose flush fails now, or failed before so that they are only in memory, are tried once
        // more. If that fails too, a reader of the log finds a value that can no longer be shown.
        let _ = flush(&unflushed);
        drop(queue.with_log_until(Some(Instant::now() + END_WAIT), |log| log.disclosures.mend(&log.dir)));
    }
}

/// Flushes openings; tries each file, whether or not the others fail.
fn flush(files: &[Written]) -> io::Result<()> {
    let mut flushed = Ok(());
    for file in files {
        flushed = flushed.and(file.flush());
    }
    flushed
}
