//! The thread that compiles. A pack waits until its text has been unchanged for a while; then the newest
//! texts of all are compiled.
//!
//! ```text
//! submit ► mailbox (one job for each pack, the newest texts) ► rests ► analyse ► deliver
//! ```

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::analysis::{Analysis, analyse};
use crate::limits::{LONGEST_WAIT, REST, WORKER_STACK};
use crate::packs::{Home, Reach};

/// How soon a pack is to be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// The user is typing.
    Rest,
    /// The document was opened or saved.
    Now,
}

/// The outcome of a job.
#[derive(Debug)]
pub enum Outcome {
    /// The compiler finished.
    Analysed(Box<Analysis>),
    /// The compiler failed on this pack.
    Failed(Home),
}

#[derive(Default)]
struct Mailbox {
    /// At most one for each pack; a pack has an open document, and those are limited.
    jobs: BTreeMap<Home, Job>,
    /// The newest texts: one copy, however many packs wait.
    reach: Arc<Reach>,
}

struct Job {
    asked: Instant,
    due: Instant,
}

/// The thread and its waiting jobs.
#[derive(Clone, Default)]
pub struct Worker {
    shared: Arc<(Mutex<Mailbox>, Condvar)>,
}

impl Worker {
    /// Starts the thread. It passes each outcome to `deliver` until that returns that nothing listens any
    /// more.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(deliver: impl Fn(Outcome) -> bool + Send + 'static) -> std::io::Result<Self> {
        let worker = Self::default();
        let own = worker.clone();
        let thread = std::thread::Builder::new().name("compile".to_owned()).stack_size(WORKER_STACK);
        thread.spawn(move || {
            loop {
                let (home, reach) = own.next();
                // A pack on which the compiler fails must not end the server: its next text may be fine.
                let analysed = catch_unwind(AssertUnwindSafe(|| analyse(&home, &reach)));
                let outcome = match analysed {
                    Ok(analysis) => Outcome::Analysed(Box::new(analysis)),
                    Err(_) => Outcome::Failed(home),
                };
                if !deliver(outcome) {
                    return;
                }
            }
        })?;
        Ok(worker)
    }

    /// Requests compilation of a pack, replacing a waiting job for it.
    pub fn submit(&self, home: &Home, reach: &Arc<Reach>, haste: Haste) {
        let now = Instant::now();
        let mut mailbox = self.mailbox();
        let asked = mailbox.jobs.get(home).map_or(now, |job| job.asked);
        let due = match haste {
            Haste::Now => now,
            Haste::Rest => (now + REST).min(asked + LONGEST_WAIT),
        };
        mailbox.jobs.insert(home.clone(), Job { asked, due });
        mailbox.reach = Arc::clone(reach);
        drop(mailbox);
        self.shared.1.notify_one();
    }

    /// Drops the waiting job of a pack.
    pub fn withdraw(&self, home: &Home) {
        self.mailbox().jobs.remove(home);
    }

    fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next job that is due.
    fn next(&self) -> (Home, Arc<Reach>) {
        let mut mailbox = self.mailbox();
        loop {
            let first =
                mailbox.jobs.iter().min_by_key(|(_, job)| job.due).map(|(home, job)| (home.clone(), job.due));
            let waiter = &self.shared.1;
            let Some((home, due)) = first else {
                mailbox = waiter.wait(mailbox).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if mailbox.jobs.remove(&home).is_some() {
                    return (home, Arc::clone(&mailbox.reach));
                }
                continue;
            }
            mailbox = waiter
                .wait_timeout(mailbox, left)
                .map_or_else(|error| error.into_inner().0, |(guard, _)| guard);
        }
    }
}
