//! Sessions in memory: whose turn it is, when each was last used, and its workspace.
//!
//! Calls of one session run one at a time, in the order in which they got the [`Turn`]. The decision is made
//! while the turn is held, so that no other call of the session comes between a decision and its run.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::clock::Moment;
use crate::refusal::Refusal;
use crate::warm::Home;

/// The right to decide and run a call of a session, with what the session owns. The session is in use while
/// it is held, and counts as used when it ends.
#[derive(Debug)]
pub struct Turn {
    home: OwnedMutexGuard<Home>,
    last_used: Arc<AtomicU64>,
}

impl Deref for Turn {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut Home {
        &mut self.home
    }
}

impl Drop for Turn {
    /// Before the turn passes on: a thread that finds the turn free finds the session just used.
    fn drop(&mut self) {
        self.last_used.fetch_max(Moment::now().ms(), Ordering::Relaxed);
    }
}

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
    /// In milliseconds since the machine was started.
    last_used: Arc<AtomicU64>,
    closed: AtomicBool,
    lost: AtomicBool,
}

impl SessionState {
    /// A session that was opened now.
    #[must_use]
    pub fn new(id: String, opened_ms: u64, now: Moment) -> Self {
        Self {
            id,
            opened_ms,
            calls: AtomicU64::new(0),
            turn: Arc::default(),
            last_used: Arc::new(AtomicU64::new(now.ms())),
            closed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    /// Waits for the turn. Only on a thread that may block.
    ///
    /// # Errors
    /// The session was closed meanwhile, or its workspace is gone.
    pub fn wait_turn(&self) -> Result<Turn, Refusal> {
        self.used(Moment::now());
        let home = Arc::clone(&self.turn).blocking_lock_owned();
        let turn = Turn { home, last_used: Arc::clone(&self.last_used) };
        self.accepts()?;
        Ok(turn)
    }

    /// Takes the turn, if no other call has it or waits for it. The caller then checks whether the session
    /// [accepts](Self::accepts) calls.
    #[must_use]
    pub fn try_turn(&self) -> Option<Turn> {
        self.used(Moment::now());
        let home = Arc::clone(&self.turn).try_lock_owned().ok()?;
        Some(Turn { home, last_used: Arc::clone(&self.last_used) })
    }

    /// Whether calls can be decided.
    ///
    /// # Errors
    /// The session was closed, or its workspace is gone.
    pub fn accepts(&self) -> Result<(), Refusal> {
        if self.is_closed() {
            return Err(Refusal::UnknownSession);
        }
        if self.is_lost() {
            return Err(Refusal::WorkspaceLost);
        }
        Ok(())
    }

    /// Releases what the session owns, once its last call is over.
    pub fn end(&self) {
        *Arc::clone(&self.turn).blocking_lock_owned() = Home::default();
    }

    /// Whether no call has the turn or waits for it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.turn.try_lock().is_ok()
    }

    /// Whether it was closed: no call gets its turn any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Marks the workspace as gone: no further call runs.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether the workspace is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Marks it as in use.
    pub fn used(&self, now: Moment) {
        self.last_used.fetch_max(now.ms(), Ordering::Relaxed);
    }

    /// Milliseconds since it was last used.
    #[must_use]
    pub fn idle_ms(&self, now: Moment) -> u64 {
        now.ms().saturating_sub(self.last_used.load(Ordering::Relaxed))
    }
}

/// All sessions, by id, bounded.
#[derive(Debug)]
pub struct Sessions {
    by_id: Mutex<HashMap<String, Arc<SessionState>>>,
    /// Closed sessions whose end is not in the log yet.
    unrecorded: Mutex<BTreeSet<String>>,
    most: usize,
}

impl Sessions {
    /// No sessions yet, and never more than `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { by_id: Mutex::default(), unrecorded: Mutex::default(), most }
    }

    /// Adds a session. `record` runs with a place taken; if it fails, there is no session.
    ///
    /// # Errors
    /// Too many sessions, or an error of `record`.
    pub fn open(
        &self,
        session: SessionState,
        record: impl FnOnce(&SessionState) -> Result<(), Refusal>,
    ) -> Result<Arc<SessionState>, Refusal> {
        let session = Arc::new(session);
        {
            let unrecorded = self.unrecorded().len();
            let mut by_id = self.lock();
            if by_id.len().saturating_add(unrecorded) >= self.most {
                return Err(Refusal::Busy(format!("limit of {} open sessions reached", self.most)));
            }
            by_id.insert(session.id.clone(), Arc::clone(&session));
        }
        if let Err(refusal) = record(&session) {
            self.lock().remove(&session.id);
            return Err(refusal);
        }
        Ok(session)
    }

    /// The session with this id.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, id: &str) -> Result<Arc<SessionState>, Refusal> {
        self.lock().get(id).cloned().ok_or(Refusal::UnknownSession)
    }

    /// Removes a session: calls that wait for its turn are refused.
    ///
    /// # Errors
    /// There is none.
    pub fn close(&self, id: &str) -> Result<Arc<SessionState>, Refusal> {
        let session = self.lock().remove(id).ok_or(Refusal::UnknownSession)?;
        session.closed.store(true, Ordering::Release);
        Ok(session)
    }

    /// Removes a session if it has been idle for this long, like [`Sessions::close`]. Checks again, because a
    /// call may have come since the session was listed as idle.
    #[must_use]
    pub fn close_if_idle(&self, id: &str, now: Moment, idle_ms: u64) -> Option<Arc<SessionState>> {
        let mut by_id = self.lock();
        let session = Arc::clone(by_id.get(id)?);
        // Held until the session is marked as closed: a call that gets the turn afterwards is refused, and a
        // call that has it is not interrupted.
        let turn = Arc::clone(&session.turn).try_lock_owned().ok()?;
        if session.idle_ms(now) < idle_ms {
            return None;
        }
        session.closed.store(true, Ordering::Release);
        by_id.remove(id);
        drop(turn);
        Some(session)
    }

    /// Remembers that the end of a session could not be recorded.
    pub fn keep_unrecorded(&self, id: &str) {
        self.unrecorded().insert(id.to_owned());
    }

    /// Whether the end of this session could not be recorded; the caller then records it, or remembers it
    /// again.
    #[must_use]
    pub fn take_unrecorded(&self, id: &str) -> bool {
        self.unrecorded().remove(id)
    }

    /// Sessions whose end could not be recorded.
    #[must_use]
    pub fn all_unrecorded(&self) -> Vec<String> {
        self.unrecorded().iter().cloned().collect()
    }

    fn unrecorded(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of the sessions that have been idle for this long.
    #[must_use]
    pub fn idle(&self, now: Moment, idle_ms: u64) -> Vec<String> {
        let by_id = self.lock();
        // In this order: a call that ends in between has by then marked its session as used.
        let idle = by_id.values().filter(|session| session.is_idle() && session.idle_ms(now) >= idle_ms);
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

    fn opened(id: &str, at_ms: u64) -> SessionState {
        SessionState::new(id.to_owned(), 0, Moment::from_ms(at_ms))
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_a_failed_record_leaves_none() {
        let sessions = Sessions::new(2);
        let open = |id: &str| sessions.open(opened(id, 0), |_| Ok(()));
        let refused = sessions.open(opened("x", 0), |_| Err(Refusal::Draining));
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
        let session = sessions.open(opened("a", 0), |_| Ok(())).unwrap();
        let turn = session.wait_turn().unwrap();
        assert!(!session.is_idle());
        let waiting = std::thread::spawn({
            let session = Arc::clone(&session);
            move || session.wait_turn().map(drop)
        });
        sessions.close("a").unwrap();
        drop(turn);
        assert_eq!(waiting.join().unwrap().unwrap_err(), Refusal::UnknownSession);
    }

    #[test]
    fn a_session_that_is_used_is_not_idle() {
        let sessions = Sessions::new(2);
        let now = Moment::now().ms();
        let at = |after_ms: u64| Moment::from_ms(now + after_ms);
        let session = sessions.open(opened("a", now), |_| Ok(())).unwrap();
        assert_eq!(sessions.idle(at(50), 100), Vec::<String>::new());
        session.used(at(200));
        assert_eq!(sessions.idle(at(250), 100), Vec::<String>::new());
        let far = Moment::from_ms(u64::MAX);
        let turn = session.wait_turn().unwrap();
        assert_eq!(sessions.idle(far, 100), Vec::<String>::new(), "a call runs");
        drop(turn);
        assert_eq!(sessions.idle(far, 100), ["a"]);
    }

    #[test]
    fn a_session_that_is_used_again_after_it_was_listed_as_idle_stays_open() {
        let sessions = Sessions::new(1);
        let session = sessions.open(opened("a", 0), |_| Ok(())).unwrap();
        let far = Moment::from_ms(u64::MAX);
        assert_eq!(sessions.idle(far, 100), ["a"]);
        let turn = session.wait_turn().unwrap();
        assert!(sessions.close_if_idle("a", far, 100).is_none(), "its call runs");
        drop(turn);
        assert!(sessions.close_if_idle("a", Moment::now(), 100_000).is_none(), "its call has just ended");
        assert!(!session.is_closed() && sessions.close_if_idle("a", far, 100).is_some());
        assert_eq!(session.wait_turn().unwrap_err(), Refusal::UnknownSession);
        assert!(sessions.close_if_idle("a", far, 100).is_none());
    }

    #[test]
    fn a_session_is_in_use_until_its_call_has_ended() {
        let sessions = Sessions::new(1);
        let session = sessions.open(opened("a", 0), |_| Ok(())).unwrap();
        let turn = session.wait_turn().unwrap();
        // Acts as if the call had begun when the machine was started.
        session.last_used.store(0, Ordering::Relaxed);
        let before = Moment::now();
        drop(turn);
        assert_eq!(session.idle_ms(before), 0, "its end counts, not its beginning");
    }

    #[test]
    fn a_session_whose_end_is_not_recorded_keeps_its_place() {
        let sessions = Sessions::new(1);
        sessions.open(opened("a", 0), |_| Ok(())).unwrap();
        sessions.close("a").unwrap();
        sessions.keep_unrecorded("a");
        assert!(matches!(sessions.open(opened("b", 0), |_| Ok(())), Err(Refusal::Busy(_))));
        assert_eq!(sessions.all_unrecorded(), ["a"]);
        assert!(sessions.take_unrecorded("a") && !sessions.take_unrecorded("a"));
        sessions.open(opened("b", 0), |_| Ok(())).unwrap();
    }
}
