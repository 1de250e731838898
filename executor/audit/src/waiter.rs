//! A record on its way: the thread that queued it waits until it is durable, or goes on and looks later.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use crate::draft::Appended;
use crate::health::AppendError;
use crate::queue::Queue;

/// The signal that wakes a waiting thread.
#[derive(Debug)]
pub(crate) enum Signal {
    Done(Result<Appended, AppendError>),
    /// The log is free and the thread's record waits: it should lead.
    Lead,
}

/// Where a record's outcome is left.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    slot: Mutex<Slot>,
    is_durable: AtomicBool,
}

#[derive(Debug, Default)]
struct Slot {
    signal: Option<Signal>,
    /// Set once a thread waits.
    thread: Option<Thread>,
}

/// A poisoned lock is one whose holder panicked; what it guards is valid between any two statements here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiter {
    /// Leaves a signal. Returns the thread that waits for it, to be unparked.
    pub(crate) fn tell(&self, signal: Signal) -> Option<Thread> {
        if matches!(signal, Signal::Done(Ok(_))) {
            self.is_durable.store(true, Ordering::Release);
        }
        let mut slot = lock(&self.slot);
        // A hint to lead may come late, after another thread led and left the outcome.
        if !matches!(slot.signal, Some(Signal::Done(_))) {
            slot.signal = Some(signal);
        }
        slot.thread.clone()
    }

    /// Whether a thread waits here.
    pub(crate) fn is_waited_for(&self) -> bool {
        lock(&self.slot).thread.is_some()
    }

    /// The signal that was left, if any.
    pub(crate) fn take(&self) -> Option<Signal> {
        lock(&self.slot).signal.take()
    }

    /// Waits for the next signal.
    pub(crate) fn wait(&self) -> Signal {
        lock(&self.slot).thread.get_or_insert_with(std::thread::current);
        loop {
            if let Some(signal) = self.take() {
                return signal;
            }
            std::thread::park();
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
