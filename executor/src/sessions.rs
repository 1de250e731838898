//! Sessions in memory: whose turn it is, when it was last used, and its workspace.
//!
//! Calls of one session run one at a time, in the order in which they got the [`Turn`]; the decision is made with the turn in hand, so that no
//! other call of the session comes between a decision and its run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::api::problem::Refusal;
use crate::warm::Home;

/// The right to decide and run a call of a session, with what the session has of its own.
pub type Turn = OwnedMutexGuard<Home>;

/// One session.
#[derive(Debug)]
pub struct SessionState {
    /// Its id.
    pub id: String,
    /// When it was opened, milliseconds since 1970.
    pub opened_ms: u64,
    /// How many calls it has made.
    pub calls: AtomicU64,
    turn: Arc<tokio::sync::Mutex<Home>>,
    last_used_ms: AtomicU64,
    closed: AtomicBool,
    lost: AtomicBool,
}

impl SessionState {
    /// A session that was opened now.
    #[must_use]
    pub fn new(id: String, now_ms: u64) -> Self {
        Self {
            id,
            opened_ms: now_ms,
            calls: AtomicU64::new(0),
            turn: Arc::default(),
            last_used_ms: AtomicU64::new(now_ms),
            closed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    /// Waits for the turn. Only on a thread that may wait.
    ///
    /// # Errors
    /// The session was closed meanwhile, or its workspace is gone.
    pub fn wait_turn(&self, now_ms: u64) -> Result<Turn, Refusal> {
        self.used(now_ms);
        let turn = Arc::clone(&self.turn).blocking_lock_owned();
        if self.closed.load(Ordering::Acquire) {
            return Err(Refusal::UnknownSession);
        }
        if self.lost.load(Ordering::Acquire) {
            return Err(Refusal::WorkspaceLost);
        }
        Ok(turn)
    }

    /// Gives back what the session has of its own, once its last call is over.
    pub fn end(&self) {
        *Arc::clone(&self.turn).blocking_lock_owned() = Home::default();
    }

    /// Whether no call has or waits for the turn.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.turn.try_lock().is_ok()
    }

    /// Says that the workspace is gone: no further call runs.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether the workspace is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Says that it is in use.
    pub fn used(&self, now_ms: u64) {
        self.last_used_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// Milliseconds since it was last used.
    #[must_use]
    pub fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.last_used_ms.load(Ordering::Relaxed))
    }
}

/// All sessions, by id, bounded.
#[derive(Debug)]
pub struct Sessions {
    by_id: Mutex<HashMap<String, Arc<SessionState>>>,
    most: usize,
}

impl Sessions {
    /// No sessions yet, and never more than `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { by_id: Mutex::default(), most }
    }

    /// Adds a session. `record` is run with a place taken; if it fails, there is no session.
    ///
    /// # Errors
    /// Too many sessions, or whatever `record` says.
    pub fn open(
        &self,
        session: SessionState,
        record: impl FnOnce(&SessionState) -> Result<(), Refusal>,
    ) -> Result<Arc<SessionState>, Refusal> {
        let session = Arc::new(session);
        {
            let mut by_id = self.lock();
            if by_id.len() >= self.most {
                return Err(Refusal::Busy(format!("{} sessions are open, which is the most", self.most)));
            }
            by_id.insert(session.id.clone(), Arc::clone(&session));
        }
        if let Err(refusal) = record(&session) {
            self.lock().remove(&session.id);
            return Err(refusal);
        }
        Ok(session)
    }

    /// The session of this id.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, id: &str) -> Result<Arc<SessionState>, Refusal> {
        self.lock().get(id).cloned().ok_or(Refusal::UnknownSession)
    }

    /// Takes a session out: calls that wait for its turn are refused.
    ///
    /// # Errors
    /// There is none.
    pub fn close(&self, id: &str) -> Result<Arc<SessionState>, Refusal> {
        let session = self.lock().remove(id).ok_or(Refusal::UnknownSession)?;
        session.closed.store(true, Ordering::Release);
        Ok(session)
    }

    /// Ids of the sessions that nobody has used for this long.
    #[must_use]
    pub fn idle(&self, now_ms: u64, idle_ms: u64) -> Vec<String> {
        let by_id = self.lock();
        let idle = by_id.values().filter(|session| session.idle_ms(now_ms) >= idle_ms && session.is_idle());
        idle.map(|session| session.id.clone()).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every session.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<SessionState>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<SessionState>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_sessions_is_bounded_and_a_failed_record_leaves_none() {
        let sessions = Sessions::new(2);
        let open = |id: &str| sessions.open(SessionState::new(id.to_owned(), 0), |_| Ok(()));
        let refused = sessions.open(SessionState::new("x".to_owned(), 0), |_| Err(Refusal::Draining));
        assert_eq!(refused.unwrap_err(), Refusal::Draining);
        assert!(sessions.is_empty());
        open("a").unwrap();
        open("b").unwrap();
        assert!(matches!(open("c"), Err(Refusal::Busy(_))));
        sessions.close("a").unwrap();
        open("c").unwrap();
        assert_eq!(sessions.get("a").unwrap_err(), Refusal::UnknownSession);
    }

    #[test]
    fn whoever_waits_for_the_turn_of_a_closed_session_is_refused() {
        let sessions = Sessions::new(2);
        let session = sessions.open(SessionState::new("a".to_owned(), 0), |_| Ok(())).unwrap();
        let turn = session.wait_turn(0).unwrap();
        assert!(!session.is_idle());
        let waiting = std::thread::spawn({
            let session = Arc::clone(&session);
            move || session.wait_turn(1).map(drop)
        });
        sessions.close("a").unwrap();
        drop(turn);
        assert_eq!(waiting.join().unwrap().unwrap_err(), Refusal::UnknownSession);
    }

    #[test]
    fn a_session_that_is_used_is_not_idle() {
        let sessions = Sessions::new(2);
        let session = sessions.open(SessionState::new("a".to_owned(), 100), |_| Ok(())).unwrap();
        assert_eq!(sessions.idle(150, 100), Vec::<String>::new());
        session.used(300);
        assert_eq!(sessions.idle(350, 100), Vec::<String>::new());
        let turn = session.wait_turn(300).unwrap();
        assert_eq!(sessions.idle(500, 100), Vec::<String>::new(), "a call runs");
        drop(turn);
        assert_eq!(sessions.idle(500, 100), ["a"]);
    }
}
