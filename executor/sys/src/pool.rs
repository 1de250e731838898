//! A stock of parked sandboxes of one profile: built ahead, used once, refilled by a thread. When it is empty a sandbox is built while the caller waits; the
//! answer is the same, only later.
//!
//! The thread also clears away what calls have left, so that nobody waits for that.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::call::Errno;
use crate::host::Host;
use crate::sandbox::{Build, Launcher, Parked, Remains, SandboxError};
use crate::step::{Fault, Step};

/// Most ended sandboxes that wait to be cleared; each still holds its memory. Over that, callers clear their own.
const MAX_DISCARDED: usize = 64;

/// Pause after a failed build, doubled for every one that follows. Callers get the failure from their own build meanwhile.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// A stock of sandboxes.
pub struct Pool {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    host: Arc<Host>,
    launcher: Arc<Launcher>,
    depth: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Parked>,
    discarded: VecDeque<Remains>,
    closing: bool,
}

/// What the thread does next.
enum Work {
    Clear(Remains),
    Build,
    Stop,
}

impl Pool {
    /// A pool that keeps `depth` sandboxes ready. A depth of zero builds on demand and only clears ahead.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(host: Arc<Host>, launcher: Arc<Launcher>, depth: usize) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { host, launcher, depth, state: Mutex::default(), changed: Condvar::new() });
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
            let taken = self.shared.lock().ready.pop_front();
            self.shared.changed.notify_all();
            match taken {
                // One that was killed while it waited, by the host's own OOM killer for example, is cleared and passed over.
                Some(parked) if !parked.is_alive() => drop(parked),
                Some(parked) => return Ok(parked),
                None => return self.shared.build(),
            }
        }
    }

    /// Hands over what a call has left, to be cleared soon.
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
                        self.lock().ready.push_back(parked);
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
            if state.ready.len() < self.depth {
                return Work::Build;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for a time, or until there is something to clear or the pool closes.
    fn rest(&self, pause: Duration) {
        let calm = |state: &mut State| !state.closing && state.discarded.is_empty();
        let _ = self.changed.wait_timeout_while(self.lock(), pause, calm);
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
