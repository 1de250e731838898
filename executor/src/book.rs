//! The state, twice: as the durable records give it, and as it will be once the records on their way to the
//! disk are durable too.
//!
//! ```text
//! decide on `coming` ► record gets its place in the log ► enter ──► coming
//!                                                          └ watched ► durable, in the order of the log
//! a group failed ► what was not durable is forgotten ► coming = durable
//! ```
//! A delta that does not fit into the state would prevent the log from ever being read back, so
//! [`Book::admits`] checks for room first. If a delta nevertheless fails to apply, the book is closed and
//! nothing is decided any more.
//!
//! In this way decisions need not wait for each other's flush. A decision may build on a record that fails
//! later. It then fails too, since everything behind a failed record is refused
//! ([`Writer::begin`](bailiwick_audit::Writer::begin)), and both are forgotten here.

use std::collections::VecDeque;

use bailiwick_audit::{Failures, Watch};
use bailiwick_policy::tool::{State, StateDelta, StateError};

/// The change that a record on its way to the disk makes.
#[derive(Debug)]
struct Underway {
    delta: StateDelta,
    watch: Watch,
}

/// The state of the executor.
#[derive(Debug)]
pub(crate) struct Book {
    durable: State,
    coming: State,
    /// In the order of the log; as many as the writer allows to wait.
    underway: VecDeque<Underway>,
    failures: Failures,
    /// Why state and log have diverged.
    parted: Option<StateError>,
}

impl Book {
    /// The state that was read back from the log.
    pub(crate) fn new(state: State, failures: Failures) -> Self {
        Self { coming: state.clone(), durable: state, underway: VecDeque::new(), failures, parted: None }
    }

    /// The state on which the next decision is made.
    pub(crate) const fn state(&self) -> &State {
        &self.coming
    }

    /// How many groups had failed when the state was current.
    pub(crate) const fn failures(&self) -> Failures {
        self.failures
    }

    /// Returns an error if nothing may be decided any more.
    pub(crate) fn parted(&self) -> Result<(), StateError> {
        self.parted.clone().map_or(Ok(()), Err)
    }

    /// Whether there is room for what a delta adds.
    pub(crate) fn admits(&mut self, delta: &StateDelta) -> Result<(), StateError> {
        self.coming.admits(delta)
    }

    /// Notes a delta that failed to apply.
    fn held(&mut self, applied: Result<(), StateError>) -> Result<(), StateError> {
        if let Err(error) = &applied {
            self.parted.get_or_insert_with(|| error.clone());
        }
        applied
    }

    /// Applies the outcome of records that were on their way.
    pub(crate) fn catch_up(&mut self, failures: Failures) -> Result<(), StateError> {
        self.parted()?;
        while self.underway.front().is_some_and(|first| first.watch.is_durable()) {
            let Some(first) = self.underway.pop_front() else { break };
            let applied = self.durable.apply(&first.delta);
            self.held(applied)?;
        }
        if failures != self.failures {
            // Groups are written in order: behind the first record that failed, none is durable.
            self.underway.clear();
            self.coming = self.durable.clone();
            self.failures = failures;
        }
        Ok(())
    }

    /// Applies the change of a record that now has its place in the log.
    pub(crate) fn enter(&mut self, delta: StateDelta, watch: Watch) -> Result<(), StateError> {
        let applied = self.coming.apply(&delta);
        self.held(applied)?;
        self.underway.push_back(Underway { delta, watch });
        Ok(())
    }

    /// Applies the end of a call. Its record is kept until it is durable, whatever fails meanwhile, so the
    /// change takes effect at once.
    pub(crate) fn settle(&mut self, delta: &StateDelta) -> Result<(), StateError> {
        let applied = self.durable.apply(delta).and_then(|()| self.coming.apply(delta));
        self.held(applied)
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::tool::{MAX_SESSIONS, Subject};

    use super::*;

    #[test]
    fn a_book_that_has_parted_from_its_log_decides_nothing_any_more() {
        let mut book = Book::new(State::default(), Failures::default());
        let unknown = State::settle("s", "c", None, 1);
        assert!(book.settle(&unknown).is_err());
        assert_eq!(book.catch_up(Failures::default()), Err(StateError::UnknownSession("s".to_owned())));
    }

    #[test]
    fn a_full_state_says_so_before_a_record_is_written() {
        let mut state = State::default();
        for number in 0..MAX_SESSIONS {
            state.apply(&State::open(&number.to_string(), &Subject::default(), 1)).unwrap();
        }
        let mut book = Book::new(state, Failures::default());
        let late = State::open("late", &Subject::default(), 1);
        assert!(matches!(book.admits(&late), Err(StateError::Full { .. })));
        assert_eq!(book.admits(&State::close("1", 1)), Ok(()));
        assert_eq!(book.catch_up(Failures::default()), Ok(()), "asking changes nothing");
    }
}
