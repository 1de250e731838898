//! Records the beginning and the end of sessions.

use bailiwick_audit::{Entry, Event};
use bailiwick_policy::tool::{Change, State, StateDelta, Subject};

use super::entries::form;
use super::{Docket, DocketError};
use crate::clock::{self, ClockError};

/// How many sessions one record closes at start: their names fit into one line of the log.
const CLOSED_PER_RECORD: usize = 128;

impl Docket {
    /// Records that a session begins.
    ///
    /// # Errors
    /// See [`DocketError`]; then there is no session.
    pub fn open_session(&self, session: &str, subject: &Subject) -> Result<u64, DocketError> {
        self.has_room()?;
        let book = self.book()?;
        let now_ms = self.clock.now_ms(book.state().now_ms())?;
        let delta = State::open(session, subject, now_ms);
        let entry = Entry { subject: Some(form(subject)?), ..self.session_entry(session, "opened", &delta)? };
        self.record(book, Event::Session, entry, delta)?;
        Ok(now_ms)
    }

    /// Records that a session ends, unless the log already says so.
    ///
    /// # Errors
    /// See [`DocketError`].
    pub fn close_session(&self, session: &str, why: &str) -> Result<(), DocketError> {
        let book = self.book()?;
        if !book.state().has_session(session) {
            return Ok(());
        }
        let delta = State::close(session, book.state().now_ms());
        let entry = self.session_entry(session, why, &delta)?;
        self.record(book, Event::Session, entry, delta)
    }

    /// Accepts a clock that is behind the log, on record. A clock that is trusted anyway leaves no record.
    pub(super) fn accept_clock(&self) -> Result<(), DocketError> {
        let book = self.book()?;
        let Err(ClockError::Behind(behind_ms)) = self.clock.now_ms(book.state().now_ms()) else {
            return Ok(());
        };
        let at_ms = clock::unwatched_ms();
        let delta = StateDelta { at_ms, changes: vec![Change::ClockAccepted] };
        let why = format!("the clock is accepted, {behind_ms} ms behind the newest record");
        tracing::warn!(behind_ms, "the clock is accepted, on record");
        let entry = Entry { session: None, ..self.session_entry("", &why, &delta)? };
        self.record(book, Event::Admin, entry, delta)
    }

    /// Ends the sessions that an earlier run left open.
    pub(super) fn close_all(&self, why: &str) -> Result<(), DocketError> {
        let book = self.book()?;
        let state = book.state();
        let now_ms = self.clock.now_ms(state.now_ms())?;
        let running: Vec<(String, String)> =
            state.running().map(|(session, call)| (session.to_owned(), call.to_owned())).collect();
        let sessions: Vec<String> = state.sessions().map(str::to_owned).collect();
        drop(book);
        for names in sessions.chunks(CLOSED_PER_RECORD) {
            let mut delta = StateDelta { at_ms: now_ms, changes: Vec::new() };
            for name in names {
                let lost = running.iter().filter(|(session, _)| session == name);
                let settled = lost.map(|(session, call)| State::settle(session, call, None, now_ms));
                for one in settled.chain([State::close(name, now_ms)]) {
                    delta.changes.extend(one.changes);
                }
            }
            let entry = Entry { session: None, ..self.session_entry("", why, &delta)? };
            self.record(self.book()?, Event::Session, entry, delta)?;
        }
        Ok(())
    }
}
