//! A record on its way: the thread that queued it waits until it is durable, or goes on and looks later.
//!
//! The threads of one group wait for one bell, and one system call wakes them all. Woken one by one, each
//! would take the processor of the thread that wakes them, and they would prepare their next records one
//! after another while other processors are idle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::draft::Appended;
use crate::health::AppendError;
use crate::queue::Queue;

/// Why a waiting thread wakes.
#[derive(Debug)]
pub(crate) enum Signal {
    Done(Result<Appended, AppendError>),
    /// The log is free and the thread's record waits: it should lead.
    Lead,
}

/// Where the threads of one group wait.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<Waiting>,
    rung: Condvar,
    #[cfg(test)]
    rings: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    threads: usize,
    /// The log is free: one of the threads should lead.
    lead: bool,
}

impl Bell {
    /// Wakes every thread; those without an outcome wait on.
    fn ring(&self) {
        #[cfg(test)]
        self.rings.fetch_add(1, Ordering::Relaxed);
        // Outcomes are left before this: a thread has seen its own, or waits by now.
        if lock(&self.state).threads > 0 {
            self.rung.notify_all();
        }
    }

    /// Asks one of the threads to lead.
    pub(crate) fn call_for_a_leader(&self) {
        let mut waiting = lock(&self.state);
        waiting.lead = true;
        if waiting.threads > 0 {
            self.rung.notify_one();
        }
    }
}

/// A bell that is rung when this is dropped, whatever happens before that: the outcomes of its threads are left by
/// then.
#[derive(Debug, Default)]
pub(crate) struct Ringing(pub(crate) Arc<Bell>);

impl Drop for Ringing {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// Where a record's outcome is left.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    outcome: Mutex<Option<Result<Appended, AppendError>>>,
    is_durable: AtomicBool,
    bell: Arc<Bell>,
}

/// A poisoned lock is one whose holder panicked; what it guards is valid between any two statements here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiter {
    /// For a record of the group that waits for this bell.
    pub(crate) fn at(bell: &Arc<Bell>) -> Arc<Self> {
        let (outcome, is_durable) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { outcome, is_durable, bell: Arc::clone(bell) })
    }

    /// Leaves the outcome. The bell is not rung yet.
    fn leave(&self, outcome: Result<Appended, AppendError>) {
        self.is_durable.store(outcome.is_ok(), Ordering::Release);
        *lock(&self.outcome) = Some(outcome);
    }

    /// The outcome, if it was left.
    pub(crate) fn take(&self) -> Option<Result<Appended, AppendError>> {
        lock(&self.outcome).take()
    }

    /// How many threads of its group wait, and how often they were rung for.
    #[cfg(test)]
    pub(crate) fn waited_for(&self) -> (usize, usize) {
        (lock(&self.bell.state).threads, self.bell.rings.load(Ordering::Relaxed))
    }

    /// Waits for the outcome, or for the turn to lead.
    pub(crate) fn wait(&self) -> Signal {
        let mut waiting = lock(&self.bell.state);
        loop {
            if let Some(outcome) = self.take() {
                return Signal::Done(outcome);
            }
            if std::mem::take(&mut waiting.lead) {
                return Signal::Lead;
            }
            waiting.threads += 1;
            waiting = self.bell.rung.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.threads -= 1;
        }
    }
}

/// A queued record's debt to the thread that waits for it: an outcome. A thread that panics while it leads
/// drops the records of its group, and nobody may wait for them for ever. The bell is not rung here: whoever holds
/// the records of a group holds its [`Ringing`] as well, and drops it after them.
#[derive(Debug)]
pub(crate) struct Owed {
    /// Taken once it has its outcome.
    waiter: Option<Arc<Waiter>>,
}

impl Owed {
    pub(crate) fn to(waiter: &Arc<Waiter>) -> Self {
        Self { waiter: Some(Arc::clone(waiter)) }
    }

    /// Leaves the outcome.
    pub(crate) fn settle(mut self, outcome: Result<Appended, AppendError>) {
        if let Some(waiter) = self.waiter.take() {
            waiter.leave(outcome);
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.leave(Err(AppendError::Lost));
        }
    }
}

/// A record that is queued and not known to be durable yet. Dropping it waits, so that a record always has a
/// thread that attends to it.
#[derive(Debug)]
#[must_use = "nothing is durable before it was waited for"]
pub struct Pending {
    queue: Arc<Queue>,
    /// Taken once it has been waited for.
    waiter: Option<Arc<Waiter>>,
}

impl Pending {
    pub(crate) fn new(queue: &Arc<Queue>, waiter: Arc<Waiter>) -> Self {
        Self { queue: Arc::clone(queue), waiter: Some(waiter) }
    }

    /// Waits until the record is durable; leads a group meanwhile if the log is free.
    ///
    /// # Errors
    /// See [`AppendError`]. The action that the record would have allowed must then not happen.
    pub fn wait(mut self) -> Result<Appended, AppendError> {
        match self.waiter.take() {
            Some(waiter) => self.queue.see_to(&waiter),
            None => Err(AppendError::Busy),
        }
    }

    /// A watch that reports later whether the record has become durable.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.waiter.clone().unwrap_or_default())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            drop(self.queue.see_to(&waiter));
        }
    }
}

/// Reports whether a record has become durable. Once a group has failed, a record that is not durable by then
/// never will be, unless it is a result.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Waiter>);

impl Watch {
    /// Whether it has.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.0.is_durable.load(Ordering::Acquire)
    }
}
