//! Places for sandboxes that are ready ahead, over all sessions: as many as the depth. An idle session does
//! not hold one while another session makes calls.
//!
//! ```text
//! keep ► Kept, in its session's home ► take: for its next call
//!                └ another session needs the place, and this one has not called for a while: given away
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a ready sandbox is reserved for its session. Otherwise, sessions that call more often than this,
/// and outnumber the places, would take them from one another before any of them was used.
const REST: Duration = Duration::from_secs(1);

/// Places, the earliest taken first.
#[derive(Debug)]
pub(crate) struct Places<T> {
    taken: Arc<Mutex<VecDeque<Arc<Place<T>>>>>,
    depth: usize,
}

/// The content of a place, until it is used or given away.
#[derive(Debug)]
struct Place<T> {
    since: Instant,
    ready: Mutex<Option<T>>,
}

/// A session's hold on a place; the place is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    place: Arc<Place<T>>,
    taken: Arc<Mutex<VecDeque<Arc<Place<T>>>>>,
}

/// A panic cannot have left the content in a partial state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Places<T> {
    /// Makes this many places.
    pub(crate) fn new(depth: usize) -> Self {
        Self { taken: Arc::default(), depth }
    }

    /// Takes a place, a free one or the one that has been idle longest, and fills it. `None`: no place is
    /// available, or there is nothing to fill it with.
    pub(crate) fn keep(&self, now: Instant, make: impl FnOnce() -> Option<T>) -> Option<Kept<T>> {
        let place = Arc::new(Place { since: now, ready: Mutex::default() });
        let given_away = {
            let mut taken = lock(&self.taken);
            let oldest = if taken.len() < self.depth {
                None
            } else {
                let rests = |place: &Arc<Place<T>>| now.saturating_duration_since(place.since) >= REST;
                // A place that is still being filled, however long that takes, is not given away: it would be
                // filled all the same, beyond the depth.
                let is_filled = |place: &Arc<Place<T>>| lock(&place.ready).is_some();
                let at = taken.iter().position(|place| rests(place) && is_filled(place))?;
                taken.remove(at)
            };
            taken.push_back(Arc::clone(&place));
            oldest
        };
        // Taking down an unused one takes time, and no session may wait for the places meanwhile.
        drop(given_away.and_then(|oldest| lock(&oldest.ready).take()));
        let kept = Kept { place, taken: Arc::clone(&self.taken) };
        *lock(&kept.place.ready) = Some(make()?);
        Some(kept)
    }
}

impl<T> Kept<T> {
    /// The content of the place; `None`: it was given away.
    pub(crate) fn take(self) -> Option<T> {
        lock(&self.place.ready).take()
    }

    /// Whether it is empty.
    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.place.ready).is_none()
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        lock(&self.taken).retain(|place| !Arc::ptr_eq(place, &self.place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_a_session_that_rests_is_given_to_one_that_calls() {
        let places = Places::new(2);
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let first = places.keep(at(0), || Some("first")).unwrap();
        let second = places.keep(at(500), || Some("second")).unwrap();
        assert!(places.keep(at(900), || Some("third")).is_none(), "both are in use");
        let third = places.keep(at(1_000), || Some("third")).unwrap();
        assert!(first.is_gone() && !second.is_gone());
        assert_eq!((first.take(), second.take(), third.take()), (None, Some("second"), Some("third")));
        assert!(lock(&places.taken).is_empty());
    }

    #[test]
    fn a_place_that_is_being_filled_is_not_given_away() {
        let places = Places::new(1);
        let begin = Instant::now();
        let much_later = begin + 10 * REST;
        let slow = places.keep(begin, || {
            assert!(places.keep(much_later, || Some("thief")).is_none(), "it is taken, and not filled yet");
            Some("slow")
        });
        assert!(slow.is_some_and(|slow| slow.take() == Some("slow")));
        // Filled and used meanwhile, or given away: nothing is kept beyond the depth.
        let kept = places.keep(begin, || Some("first")).unwrap();
        let second = places.keep(much_later, || Some("second")).unwrap();
        assert_eq!((kept.is_gone(), lock(&places.taken).len()), (true, 1));
        assert_eq!(second.take(), Some("second"));
    }

    #[test]
    fn a_place_that_could_not_be_filled_is_free() {
        let places = Places::<u8>::new(1);
        let now = Instant::now();
        assert!(places.keep(now, || None).is_none());
        assert!(places.keep(now, || Some(1)).is_some_and(|kept| kept.take() == Some(1)));
        assert!(Places::new(0).keep(now + REST, || Some(1)).is_none(), "no depth, no place");
    }
}
