//! Group commit: many threads append, one of them leads a group, and all return when its flush has returned.
//!
//! ```text
//! append ► backlog ► is the log free? ─ yes ► lead: take a group, write, flush ► leave outcomes ► give the log back, call the next ► ring
//!                          └ no ► wait for the bell of the group: done, or lead
//! ```
//! The leader flushes in its own thread, so a single writer pays for one flush and no thread switch. No
//! thread is woken before its record is durable. A result stays queued until it is durable, through any
//! number of failed groups; a thread that waits for it learns that it is kept. Everything else that fails is
//! refused at once and forgotten, with all that was queued behind it. Where there was room only for results,
//! or none for openings, the results of the group are written all the same.
//!
//! A group leaves its outcomes before the log is given back, so a thread that sees a group fail also sees what
//! the groups before it made durable.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::backlog::{Backlog, Batch, Failures};
use crate::commit::{CommitError, Demand, Log};
use crate::draft::{Appended, Draft};
use crate::health::{AppendError, Health};
use crate::options::Limits;
use crate::record::{Kind, line_bound};
use crate::signer::Signer;
use crate::waiter::{Ringing, Signal, Waiter, lock};

/// How long a leader waits at most for the threads that the last group woke; only when the last group was a
/// crowd.
const GATHER: Duration = Duration::from_micros(60);

/// How long a caller that needs the log itself sleeps while another thread leads; a group takes about as
/// long.
const LEADER_WAIT: Duration = Duration::from_micros(200);

/// A group with at least this many records is a crowd.
const CROWD: usize = 4;

/// What the writer, its callers and its attendant share.
#[derive(Debug)]
pub(crate) struct Queue {
    backlog: Mutex<Backlog>,
    /// Length of the backlog, to be read without the lock.
    length: AtomicUsize,
    /// Size of the last group.
    crowd: AtomicUsize,
    pub(crate) attention: Condvar,
    pub(crate) limits: Limits,
    pub(crate) signer: Arc<Signer>,
}

impl Queue {
    pub(crate) fn new(log: Log) -> Self {
        let (limits, signer) = (log.limits, Arc::clone(&log.signer));
        Self {
            backlog: Mutex::new(Backlog::new(log)),
            length: AtomicUsize::new(0),
            crowd: AtomicUsize::new(0),
            attention: Condvar::new(),
            limits,
            signer,
        }
    }

    pub(crate) fn backlog(&self) -> MutexGuard<'_, Backlog> {
        lock(&self.backlog)
    }

    /// Appends and waits until the record is durable.
    pub(crate) fn append(&self, draft: Draft) -> Result<Appended, AppendError> {
        let waiter = self.begin(draft, None)?;
        self.see_to(&waiter)
    }

    /// Queues a record. `since`: how many groups had failed when it was decided.
    pub(crate) fn begin(&self, draft: Draft, since: Option<Failures>) -> Result<Arc<Waiter>, AppendError> {
        let mut backlog = self.admit(&draft, since)?;
        let begun = match backlog.keeps_waiting(&draft) {
            None => Ok(backlog.enqueue_waited_for(draft)),
            Some(error) => {
                backlog.enqueue(draft, None);
                Err(AppendError::NotYet(error))
            }
        };
        self.length.store(backlog.len(), Ordering::Relaxed);
        begun
    }

    /// Waits until a record has its outcome, and leads whenever the log is free.
    pub(crate) fn see_to(&self, waiter: &Waiter) -> Result<Appended, AppendError> {
        loop {
            if let Some(outcome) = waiter.take() {
                return outcome;
            }
            let log = self.backlog().log.take();
            if let Some(log) = log {
                self.lead(log, Demand::WhenDue);
            } else if let Signal::Done(outcome) = waiter.wait() {
                return outcome;
            }
        }
    }

    /// The backlog, for a record that it accepts.
    fn admit(&self, draft: &Draft, since: Option<Failures>) -> Result<MutexGuard<'_, Backlog>, AppendError> {
        self.fits(draft)?;
        let mut backlog = self.backlog();
        backlog.admit(draft, self.limits.max_open, since)?;
        Ok(backlog)
    }

    /// Whether a record fits the limit of its kind: a result has the room that was reserved for it.
    pub(crate) fn fits(&self, draft: &Draft) -> Result<(), AppendError> {
        let (bytes, is_result) = (line_bound(draft.body.len()), draft.kind == Kind::Result);
        let room = usize::try_from(self.limits.result_room).unwrap_or(usize::MAX);
        let limit = if is_result { room.min(self.limits.max_line) } else { self.limits.max_line };
        if bytes > limit { Err(AppendError::TooLong { bytes, limit }) } else { Ok(()) }
    }

    /// Leads one group with the log that was taken, and gives the log back.
    pub(crate) fn lead(&self, mut log: Box<Log>, demand: Demand) {
        let leader = Leader(self);
        self.gather();
        let (batch, spare) = {
            let mut backlog = self.backlog();
            let batch = backlog.take_group(self.limits.max_group);
            self.length.store(backlog.len(), Ordering::Relaxed);
            (batch, backlog.spare.take())
        };
        if let Some(spare) = spare {
            log.take_spare(spare);
        }
        self.crowd.store(batch.drafts.len(), Ordering::Relaxed);
        let ringing = self.write(&mut log, batch, demand);
        leader.give_back(log);
        // Its threads wake while the next group is already on its way.
        drop(ringing);
    }

    /// Writes a group, and leaves the outcomes of its records. Returns the bell for which its threads still wait.
    fn write(&self, log: &mut Log, mut batch: Batch, demand: Demand) -> Option<Ringing> {
        let appended = match log.commit(&batch.drafts, demand) {
            Ok(appended) => appended,
            // Results have reserved room, and their openings can wait, so they do not fail with the records
            // that needed more.
            Err(error @ (CommitError::Room(_) | CommitError::Openings(_)))
                if batch.has_results() && (demand == Demand::Probe || !batch.has_only_results()) =>
            {
                let (results, others) = batch.split();
                self.refuse(others, &error);
                return self.write(log, results, Demand::WhenDue);
            }
            Err(error) => {
                self.refuse(batch, &error);
                return None;
            }
        };
        let waiters = std::mem::take(&mut batch.waiters);
        self.backlog().settle(log, &batch.drafts, &appended, demand);
        for (waiter, at) in waiters.into_iter().zip(&appended) {
            if let Some(waiter) = waiter {
                waiter.settle(Ok(*at));
            }
        }
        Some(batch.bell)
    }

    /// After a crowd, its members come back within microseconds. A leader that flushed at once would flush
    /// for itself alone, and they would wait for the next flush.
    fn gather(&self) {
        let crowd = self.crowd.load(Ordering::Relaxed);
        if crowd < CROWD {
            return;
        }
        let begun = Instant::now();
        while self.length.load(Ordering::Relaxed) < crowd && begun.elapsed() < GATHER {
            std::thread::yield_now();
        }
    }

    /// Refuses everything that waits, except results, which stay.
    fn refuse(&self, batch: Batch, failure: &CommitError) {
        let refused = {
            let mut backlog = self.backlog();
            let refused = backlog.refuse(batch, failure);
            self.length.store(backlog.len(), Ordering::Relaxed);
            refused
        };
        refused.tell();
    }

    /// Runs `act` on the log itself, once no thread leads. `None`: the log is lost.
    pub(crate) fn with_log<T>(&self, act: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.with_log_until(None, act)
    }

    /// Like [`Queue::with_log`], but gives up at a deadline: a disk may keep the thread that leads for ever.
    pub(crate) fn with_log_until<T>(
        &self,
        deadline: Option<Instant>,
        act: impl FnOnce(&mut Log) -> T,
    ) -> Option<T> {
        let mut log = loop {
            let mut backlog = self.backlog();
            if let Some(log) = backlog.log.take() {
                break log;
            }
            if matches!(backlog.health, Health::Lost) || deadline.is_some_and(|end| Instant::now() >= end) {
                return None;
            }
            drop(backlog);
            std::thread::sleep(LEADER_WAIT);
        };
        let leader = Leader(self);
        let result = act(&mut log);
        leader.give_back(log);
        Some(result)
    }

    /// Refuses everything, for ever: what the log looked like is lost with the thread that led. Opening it
    /// again finds what is on the disk.
    fn lose(&self) {
        let queued = {
            let mut backlog = self.backlog();
            self.length.store(0, Ordering::Relaxed);
            backlog.lose()
        };
        // Each learns of it from its record, which is dropped.
        drop(queued);
        self.attention.notify_all();
    }

    fn give_back(&self, mut log: Box<Log>) {
        let mut backlog = self.backlog();
        backlog.observe(&log);
        if let Some(written) = log.disclosures.take_dirty() {
            backlog.unflushed.add(written);
        }
        backlog.log = Some(log);
        let next = backlog.next_leaders();
        let needs_attention = backlog.needs_attention();
        drop(backlog);
        if let Some(bell) = next {
            bell.call_for_a_leader();
        }
        if needs_attention {
            self.attention.notify_all();
        }
    }
}

/// The thread that has the log. If it panics before it gives the log back, the log is lost.
struct Leader<'q>(&'q Queue);

impl Leader<'_> {
    fn give_back(self, log: Box<Log>) {
        self.0.give_back(log);
        std::mem::forget(self);
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.0.lose();
    }
}

#[cfg(test)]
mod tests;
