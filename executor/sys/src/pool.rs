//! A stock of parked sandboxes of one profile: built ahead, used once, refilled by a thread. When it is
//! empty, a sandbox is built while the caller waits; the answer is the same, only later.
//!
//! Building one occupies a processor for longer than a short program runs, so refilling keeps out of the way
//! of the calls that took the others:
//!
//! | left of the stock | refilled |
//! | --- | --- |
//! | less than half of the depth, rounded down, or a caller has found it empty | at once: more calls are coming |
//! | more | when all that were taken are cleared away, or [`MAX_DEFERRAL`] after the last one was taken |
//!
//! The thread also clears away what calls have left, so that no caller waits for that.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::call::Errno;
use crate::host::Host;
use crate::sandbox::{Build, Launcher, Lender, Parked, Remains, SandboxError, Taken};
use crate::step::{Fault, Step};

/// Most ended sandboxes that wait to be cleared; each still holds its memory. Beyond that, callers clear
/// their own.
const MAX_DISCARDED: usize = 64;

/// Pause after a failed build, doubled for each further one. Meanwhile, callers get the failure from their
/// own build.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// How long calls delay the refilling of a stock that has half of its depth or more left. A call that runs
/// for longer does not notice two milliseconds of other work.
const MAX_DEFERRAL: Duration = Duration::from_millis(25);

/// A stock of sandboxes.
pub struct Pool {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    host: Arc<Host>,
    launcher: Arc<Launcher>,
    depth: usize,
    max_deferral: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Parked>,
    discarded: VecDeque<Remains>,
    /// How many were taken and are not cleared away yet.
    taken: usize,
    last_taken: Option<Instant>,
    /// A caller has found the stock empty, and none was added since.
    missed: bool,
    closing: bool,
}

/// What the thread does next.
enum Work {
    Clear(Remains),
    Build,
    Stop,
}

/// When a stock is refilled.
enum Refill {
    Now,
    /// After this time, unless something changes before.
    Within(Duration),
    /// When one is taken: the stock is full.
    Later,
}

impl Pool {
    /// A pool that keeps `depth` sandboxes ready. A depth of zero builds on demand and only clears ahead.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(host: Arc<Host>, launcher: Arc<Launcher>, depth: usize) -> std::io::Result<Self> {
        Self::deferring(host, launcher, depth, MAX_DEFERRAL)
    }

    /// The same, with another limit on how long calls delay the refilling.
    ///
    /// # Errors
    /// As for [`Pool::new`].
    pub fn deferring(
        host: Arc<Host>,
        launcher: Arc<Launcher>,
        depth: usize,
        max_deferral: Duration,
    ) -> std::io::Result<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { host, launcher, depth, max_deferral, state, changed });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("bailiwick-pool".to_owned())
            .spawn(move || for_thread.keep_stocked())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes a sandbox, or builds one.
    ///
    /// # Errors
    /// Those of a build, when the stock is empty.
    pub fn take(&self) -> Result<Parked, SandboxError> {
        loop {
            let (parked, taken) = self.shared.take();
            let mut parked = match parked {
                // A sandbox that was killed while it waited, for example by the host's OOM killer, is cleared
                // and skipped.
                Some(parked) if !parked.is_alive() => continue,
                Some(parked) => parked,
                None => self.shared.build()?,
            };
            parked.belongs_to(taken);
            return Ok(parked);
        }
    }

    /// Hands over what is left of a call, to be cleared soon.
    pub fn discard(&self, remains: Remains) {
        let mut state = self.shared.lock();
        if state.discarded.len() < MAX_DISCARDED {
            state.discarded.push_back(remains);
            drop(state);
            self.shared.changed.notify_all();
        } else {
            drop(state);
            drop(remains);
        }
    }

    /// Sandboxes that are ready now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.shared.lock().ready.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one, if there is any; in either case the caller uses a sandbox from here on.
    fn take(self: &Arc<Self>) -> (Option<Parked>, Taken) {
        let mut state = self.lock();
        let was_full = state.ready.len() >= self.depth;
        let parked = state.ready.pop_front();
        state.taken += 1;
        state.last_taken = Some(Instant::now());
        state.missed |= parked.is_none();
        // News for a thread that sleeps because the stock was full, or that must build at once. A thread that
        // waits for calls to end is woken by the end of the last one. The maximum wait of that thread begins
        // again here, which it notices when the time since the call before is over.
        let is_news = was_full || matches!(self.refill(&state), Refill::Now);
        drop(state);
        if is_news {
            self.changed.notify_all();
        }
        (parked, Taken::from(Arc::clone(self)))
    }

    fn refill(&self, state: &State) -> Refill {
        if state.ready.len() >= self.depth {
            return Refill::Later;
        }
        let is_pressing = state.missed || state.ready.len() < self.depth / 2;
        if state.taken == 0 || is_pressing {
            return Refill::Now;
        }
        let held_up = state.last_taken.map_or(Duration::MAX, |at| at.elapsed());
        match self.max_deferral.saturating_sub(held_up) {
            Duration::ZERO => Refill::Now,
            left => Refill::Within(left),
        }
    }

    fn build(&self) -> Result<Parked, SandboxError> {
        let exhausted = Fault { step: Step::BuildRequest, errno: Errno::EUSERS, about: String::new() };
        let identity = self.host.identity().ok_or(exhausted)?;
        self.launcher.build(&Build { identity, workspace: None })
    }

    fn keep_stocked(&self) {
        let mut pause = RETRY_FIRST;
        loop {
            match self.next() {
                Work::Stop => return,
                Work::Clear(remains) => drop(remains),
                Work::Build => match self.build() {
                    Ok(parked) => {
                        pause = RETRY_FIRST;
                        let mut state = self.lock();
                        state.ready.push_back(parked);
                        state.missed = false;
                    }
                    Err(_) => {
                        self.rest(pause);
                        pause = (pause * 2).min(RETRY_LAST);
                    }
                },
            }
        }
    }

    /// Waits for work. Clearing comes first: it frees memory, identities and cgroups.
    fn next(&self) -> Work {
        let mut state = self.lock();
        loop {
            if state.closing {
                return Work::Stop;
            }
            if let Some(remains) = state.discarded.pop_front() {
                return Work::Clear(remains);
            }
            state = match self.refill(&state) {
                Refill::Now => return Work::Build,
                Refill::Within(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Refill::Later => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Waits for a time, or until there is something to clear or the pool closes.
    fn rest(&self, pause: Duration) {
        let calm = |state: &mut State| !state.closing && state.discarded.is_empty();
        let _ = self.changed.wait_timeout_while(self.lock(), pause, calm);
    }
}

impl Lender for Shared {
    fn cleared(&self) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(1);
        let is_news = state.taken == 0 && state.ready.len() < self.depth;
        drop(state);
        if is_news {
            self.changed.notify_all();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let mut state = self.shared.lock();
        let (ready, discarded) = (std::mem::take(&mut state.ready), std::mem::take(&mut state.discarded));
        drop(state);
        drop((ready, discarded));
    }
}
