//! What is remembered between calls: a fold over the deltas of the log.
//!
//! Applying all deltas of a log to an empty state gives the same state as applying those after a snapshot to
//! the snapshot. No clock: every delta carries its time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::approval::ApprovalRequest;
use super::tally::{Owner, Tally, TallyKey};
use crate::policy::tools::Resource;

/// The most sessions at once; each uses a few kilobytes here. The executor has a lower bound of its own.
pub const MAX_SESSIONS: usize = 65_536;
/// The most tallies at once. Those that no longer count anything are dropped before a new one is refused.
pub const MAX_TALLIES: usize = 262_144;
/// The most unanswered questions of one session: more would not be read, and an agent must not drown the
/// approvers.
pub const MAX_PENDING: usize = 16;
/// The most calls of one session that run at once; the executor runs one at a time.
pub const MAX_OPEN: usize = 16;

/// Sessions, tallies, running calls, open questions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// The latest time of a delta.
    pub(super) now_ms: u64,
    pub(super) sessions: BTreeMap<String, Session>,
    /// As pairs: the keys are not strings.
    #[serde(with = "pairs")]
    pub(super) tallies: BTreeMap<TallyKey, Tally>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Session {
    /// Its owner, by [`super::Subject::key`].
    pub(super) subject: String,
    pub(super) opened_ms: u64,
    /// Calls that were admitted.
    pub(super) calls: u64,
    /// Changes when a call starts and when it ends.
    pub(super) generation: u64,
    /// Running calls and their reservations, by call.
    pub(super) open: BTreeMap<String, Vec<Reservation>>,
    /// Questions without an answer, by call.
    pub(super) pending: BTreeMap<String, ApprovalRequest>,
    /// `PACK/NAME` of the labels that were added and not removed. They also label the content of the
    /// session's workspace, since the two begin and end together. At most as many as packs declare.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) labels: BTreeSet<String>,
}

/// What a call took from a budget before it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reservation {
    /// The budget.
    pub tally: TallyKey,
    /// The resource of the budget.
    pub resource: Resource,
    /// How much, in thousandths.
    pub amount_milli: u64,
    /// The budget's window.
    pub window_ms: Option<u64>,
    /// When.
    pub at_ms: u64,
}

/// What a decision, a result or a session changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateDelta {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// In this order.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Change {
    /// A session begins.
    Opened {
        /// Its name.
        session: String,
        /// Its owner, by [`super::Subject::key`].
        subject: String,
    },
    /// A session ends; its counts are forgotten.
    Closed {
        /// Its name.
        session: String,
    },
    /// A call may run.
    Admitted {
        /// Its session.
        session: String,
        /// The call.
        call: String,
        /// What it takes from budgets.
        reserved: Vec<Reservation>,
    },
    /// A counter advances by one.
    Counted {
        /// The counter.
        tally: TallyKey,
        /// Its window.
        window_ms: Option<u64>,
    },
    /// A call has ended.
    Settled {
        /// Its session.
        session: String,
        /// The call.
        call: String,
        /// What it used; `None`: unknown, and its reservations are charged in full.
        used: Option<Usage>,
    },
    /// Labels of a session change.
    Labelled {
        /// The session.
        session: String,
        /// `PACK/NAME` of the labels that it gains.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        add: BTreeSet<String>,
        /// `PACK/NAME` of the labels that it loses.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        remove: BTreeSet<String>,
    },
    /// The clock was ahead when earlier deltas were made, and is trusted from now on: the time goes back to
    /// that of this delta.
    ClockAccepted,
    /// Approval is requested.
    Asked {
        /// The session.
        session: String,
        /// The call.
        call: String,
        /// The question.
        request: ApprovalRequest,
    },
    /// A question is answered, used up, expired or no longer relevant.
    Withdrawn {
        /// The session.
        session: String,
        /// The call.
        call: String,
    },
}

impl Change {
    /// The tallies that it adds to.
    fn tallies(&self) -> impl Iterator<Item = &TallyKey> {
        let (counted, reserved) = match self {
            Self::Counted { tally, .. } => (Some(tally), &[][..]),
            Self::Admitted { reserved, .. } => (None, reserved.as_slice()),
            _ => (None, &[][..]),
        };
        counted.into_iter().chain(reserved.iter().map(|one| &one.tally))
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// CPU time of all its processes, in milliseconds.
    pub cpu_ms: u64,
    /// Bytes of output that were kept.
    pub output_bytes: u64,
}

impl Usage {
    const fn of(self, resource: Resource) -> u64 {
        match resource {
            Resource::CpuSeconds => self.cpu_ms,
            Resource::Calls => 1_000,
            Resource::OutputBytes => self.output_bytes.saturating_mul(1_000),
        }
    }
}

/// A delta that does not follow from the state: the log does not belong to this state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// No such session.
    #[error("there is no session `{0}`")]
    UnknownSession(String),
    /// A session of this name exists.
    #[error("the session `{0}` is there already")]
    SessionExists(String),
    /// No such call is running.
    #[error("no call `{0}` runs in its session")]
    UnknownCall(String),
    /// A call of this name is running or waiting.
    #[error("the call `{0}` runs or waits already")]
    CallExists(String),
    /// A bound of this module was reached.
    #[error("there are {bound} {what} already")]
    Full {
        /// Of what.
        what: &'static str,
        /// The bound.
        bound: usize,
    },
}

impl State {
    /// What opening a session changes.
    #[must_use]
    pub fn open(session: &str, subject: &super::Subject, now_ms: u64) -> StateDelta {
        let change = Change::Opened { session: session.to_owned(), subject: subject.key() };
        StateDelta { at_ms: now_ms, changes: vec![change] }
    }

    /// What closing a session changes.
    #[must_use]
    pub fn close(session: &str, now_ms: u64) -> StateDelta {
        StateDelta { at_ms: now_ms, changes: vec![Change::Closed { session: session.to_owned() }] }
    }

    /// What the end of a call changes. `used`: what was measured; `None` for a call whose end was not
    /// observed.
    #[must_use]
    pub fn settle(session: &str, call: &str, used: Option<Usage>, now_ms: u64) -> StateDelta {
        let change = Change::Settled { session: session.to_owned(), call: call.to_owned(), used };
        StateDelta { at_ms: now_ms, changes: vec![change] }
    }

    /// What withdrawing a question changes: the caller gave up, or no answer came.
    #[must_use]
    pub fn withdraw(session: &str, call: &str, now_ms: u64) -> StateDelta {
        let change = Change::Withdrawn { session: session.to_owned(), call: call.to_owned() };
        StateDelta { at_ms: now_ms, changes: vec![change] }
    }

    /// The questions without an answer: session, call, question.
    pub fn pending(&self) -> impl Iterator<Item = (&str, &str, &ApprovalRequest)> {
        self.sessions.iter().flat_map(|(name, session)| {
            session.pending.iter().map(move |(call, request)| (name.as_str(), call.as_str(), request))
        })
    }

    /// The calls that were admitted and have not ended: session and call. At a start, those are lost.
    pub fn running(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sessions
            .iter()
            .flat_map(|(name, session)| session.open.keys().map(move |call| (name.as_str(), call.as_str())))
    }

    /// The labels of a session, each as `PACK/NAME`.
    pub fn labels(&self, session: &str) -> impl Iterator<Item = &str> {
        self.sessions.get(session).into_iter().flat_map(|session| &session.labels).map(String::as_str)
    }

    /// The names of the sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &str> {
        self.sessions.keys().map(String::as_str)
    }

    /// Whether a session of this name exists.
    #[must_use]
    pub fn has_session(&self, name: &str) -> bool {
        self.sessions.contains_key(name)
    }

    /// Whether there is room for the sessions and tallies that a delta adds. Check this before recording the
    /// delta, since a record cannot be taken back. Tallies that no longer count anything make room.
    ///
    /// # Errors
    /// [`StateError::Full`].
    pub fn admits(&mut self, delta: &StateDelta) -> Result<(), StateError> {
        let opened = delta.changes.iter().filter(|change| matches!(change, Change::Opened { .. })).count();
        if opened > 0 && self.sessions.len().saturating_add(opened) > MAX_SESSIONS {
            return Err(StateError::Full { what: "sessions", bound: MAX_SESSIONS });
        }
        let tallies = || delta.changes.iter().flat_map(Change::tallies);
        let lacks = |known: &BTreeMap<TallyKey, Tally>| {
            let fresh: BTreeSet<&TallyKey> = tallies().filter(|key| !known.contains_key(key)).collect();
            !fresh.is_empty() && known.len().saturating_add(fresh.len()) > MAX_TALLIES
        };
        if !lacks(&self.tallies) {
            return Ok(());
        }
        self.tallies.retain(|_, tally| tally.counts_anything(delta.at_ms));
        if lacks(&self.tallies) {
            return Err(StateError::Full { what: "tallies", bound: MAX_TALLIES });
        }
        Ok(())
    }

    /// The latest time that was applied, in milliseconds since 1970.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Applies the changes of a delta.
    ///
    /// # Errors
    /// A delta that does not follow from this state. The state may then hold a part of it and must be rebuilt
    /// from the log.
    pub fn apply(&mut self, delta: &StateDelta) -> Result<(), StateError> {
        self.now_ms = self.now_ms.max(delta.at_ms);
        delta.changes.iter().try_for_each(|change| self.change(change, delta.at_ms))
    }

    fn change(&mut self, change: &Change, at_ms: u64) -> Result<(), StateError> {
        match change {
            Change::Opened { session, subject } => self.opened(session, subject, at_ms),
            Change::Closed { session } => {
                let owner = Owner::Session(session.clone());
                self.tallies.retain(|key, _| key.owner != owner);
                self.sessions
                    .remove(session)
                    .map(|_| ())
                    .ok_or_else(|| StateError::UnknownSession(session.clone()))
            }
            Change::Admitted { session, call, reserved } => self.admitted(session, call, reserved),
            Change::Counted { tally, window_ms } => self.tally(tally, at_ms, |tally| {
                tally.add(1, at_ms, *window_ms);
            }),
            Change::Settled { session, call, used } => self.settled(session, call, *used),
            Change::Labelled { session, add, remove } => {
                let labels = &mut self.session(session)?.labels;
                labels.retain(|label| !remove.contains(label));
                labels.extend(add.iter().cloned());
                Ok(())
            }
            Change::ClockAccepted => {
                self.now_ms = at_ms;
                self.tallies.values_mut().for_each(|tally| tally.bring_back(at_ms));
                for session in self.sessions.values_mut() {
                    session.opened_ms = session.opened_ms.min(at_ms);
                }
                Ok(())
            }
            Change::Asked { session, call, request } => {
                let pending = &mut self.session(session)?.pending;
                if pending.len() >= MAX_PENDING {
                    return Err(StateError::Full { what: "open questions", bound: MAX_PENDING });
                }
                match pending.insert(call.clone(), request.clone()) {
                    None => Ok(()),
                    Some(_) => Err(StateError::CallExists(call.clone())),
                }
            }
            Change::Withdrawn { session, call } => match self.session(session)?.pending.remove(call) {
                Some(_) => Ok(()),
                None => Err(StateError::UnknownCall(call.clone())),
            },
        }
    }

    fn session(&mut self, name: &str) -> Result<&mut Session, StateError> {
        self.sessions.get_mut(name).ok_or_else(|| StateError::UnknownSession(name.to_owned()))
    }

    fn opened(&mut self, name: &str, subject: &str, at_ms: u64) -> Result<(), StateError> {
        if self.sessions.contains_key(name) {
            return Err(StateError::SessionExists(name.to_owned()));
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(StateError::Full { what: "sessions", bound: MAX_SESSIONS });
        }
        let session = Session {
            subject: subject.to_owned(),
            opened_ms: at_ms,
            calls: 0,
            generation: 0,
            open: BTreeMap::new(),
            pending: BTreeMap::new(),
            labels: BTreeSet::new(),
        };
        self.sessions.insert(name.to_owned(), session);
        Ok(())
    }

    fn admitted(&mut self, name: &str, call: &str, reserved: &[Reservation]) -> Result<(), StateError> {
        let session = self.session(name)?;
        if session.open.len() >= MAX_OPEN {
            return Err(StateError::Full { what: "calls that run in the session", bound: MAX_OPEN });
        }
        if session.open.insert(call.to_owned(), reserved.to_vec()).is_some() {
            return Err(StateError::CallExists(call.to_owned()));
        }
        session.calls = session.calls.saturating_add(1);
        session.generation = session.generation.saturating_add(1);
        reserved.iter().try_for_each(|one| {
            self.tally(&one.tally, one.at_ms, |tally| tally.add(one.amount_milli, one.at_ms, one.window_ms))
        })
    }

    fn settled(&mut self, name: &str, call: &str, used: Option<Usage>) -> Result<(), StateError> {
        let session = self.session(name)?;
        let reserved = session.open.remove(call).ok_or_else(|| StateError::UnknownCall(call.to_owned()))?;
        session.generation = session.generation.saturating_add(1);
        for one in reserved {
            let used = used.map_or(one.amount_milli, |used| used.of(one.resource));
            if let Some(tally) = self.tallies.get_mut(&one.tally) {
                tally.correct(one.amount_milli, used, one.at_ms, one.window_ms);
            }
        }
        Ok(())
    }

    fn tally(&mut self, key: &TallyKey, at_ms: u64, add: impl FnOnce(&mut Tally)) -> Result<(), StateError> {
        if !self.tallies.contains_key(key) && self.tallies.len() >= MAX_TALLIES {
            self.tallies.retain(|_, tally| tally.counts_anything(at_ms));
            if self.tallies.len() >= MAX_TALLIES {
                return Err(StateError::Full { what: "tallies", bound: MAX_TALLIES });
            }
        }
        add(self.tallies.entry(key.clone()).or_default());
        Ok(())
    }
}

/// A map as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Tally, TallyKey};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<TallyKey, Tally>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TallyKey, Tally>, D::Error> {
        Vec::deserialize(deserializer).map(|pairs: Vec<_>| pairs.into_iter().collect())
    }
}
