//! The state, twice: as the durable records give it, and as it will be once those on their way to the disk are durable too.
//!
//! ```text
//! decide on `coming` ► record gets its place in the log ► enter ──► coming
//!                                                          └ watched ► durable, in the order of the log
//! a group failed ► what was not durable is forgotten ► coming = durable
//! ```
//! Decisions need not wait for one another's flush that way. A decision may build on a record that fails later; its own fails then too, since all that
//! stands behind a failed record is refused ([`Writer::begin`](bailiwick_audit::Writer::begin)), and both are forgotten here.

use std::collections::VecDeque;

use bailiwick_audit::{Failures, Watch};
use bailiwick_policy::tool::{State, StateDelta, StateError};

/// What a record on its way changes.
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
    /// In the order of the log; as many as the writer lets wait.
    underway: VecDeque<Underway>,
    failures: Failures,
}

impl Book {
    /// The state that was read back from the log.
    pub(crate) fn new(state: State, failures: Failures) -> Self {
        Self { coming: state.clone(), durable: state, underway: VecDeque::new(), failures }
    }

    /// What the next decision is made on.
    pub(crate) const fn state(&self) -> &State {
        &self.coming
    }

    /// How many groups had failed when the state was as it is.
    pub(crate) const fn failures(&self) -> Failures {
        self.failures
    }

    /// Takes over what has become of records on their way.
    pub(crate) fn catch_up(&mut self, failures: Failures) -> Result<(), StateError> {
        while self.underway.front().is_some_and(|first| first.watch.is_durable()) {
            let Some(first) = self.underway.pop_front() else { break };
            self.durable.apply(&first.delta)?;
        }
        if failures != self.failures {
            // Groups are written in their order: behind the first record that failed none is durable.
            self.underway.clear();
            self.coming = self.durable.clone();
            self.failures = failures;
        }
        Ok(())
    }

    /// A record has its place in the log, and this is what it changes.
    pub(crate) fn enter(&mut self, delta: StateDelta, watch: Watch) -> Result<(), StateError> {
        self.coming.apply(&delta)?;
        self.underway.push_back(Underway { delta, watch });
        Ok(())
    }

    /// A call has ended. Its record is kept until it is durable, whatever fails meanwhile, so what it changes holds at once.
    pub(crate) fn settle(&mut self, delta: &StateDelta) -> Result<(), StateError> {
        self.durable.apply(delta)?;
        self.coming.apply(delta)
    }
}
