//! Group commit: many threads append, one of them leads a group, all return when its flush has returned.
//!
//! ```text
//! append ► queue ► is the log free? ─ yes ► lead: take a group, write, flush ► wake those in it ► hint the next to lead
//!                        └ no ► park until woken: done, or lead
//! ```
//! Whoever leads flushes in its own thread: a single writer pays for one flush and no switch of threads. Nobody is woken before its record is
//! durable. A result that nobody waits for stays queued until it is, through any number of failed groups; everything else
//! that fails is refused at once and forgotten.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::commit::{Appended, CommitError, Demand, Draft, Log, Signer};
use crate::damage::Position;
use crate::entry::Openings;
use crate::hash::Hash;
use crate::options::Limits;
use crate::record::{Kind, line_bound};
use crate::segment::Segment;
use crate::tip::{Ending, MAX_GROUP_RECORDS};

/// Most records that wait at one time: some seconds of work. More is refused, so that memory stays bounded.
pub(crate) const MAX_QUEUED: usize = 4_096;

/// Most bytes that wait at one time, values and their openings together.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// How long after a failure appends are refused without trying the disk again: making a segment costs it a lot.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// How long a leader waits at most for those whom the last group woke; only when the last group was a crowd.
const GATHER: Duration = Duration::from_micros(60);

/// How long a caller that needs the log itself sleeps while somebody leads; a group takes about as long.
const LEADER_WAIT: Duration = Duration::from_micros(200);

/// From how many records on a group was a crowd.
const CROWD: usize = 4;

/// Why an entry was not recorded. What it would have allowed must not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The log cannot be written at the moment.
    #[error("the audit log cannot be written: {0}")]
    Io(Arc<io::Error>),
    /// A result that is kept and will be written as soon as the log can be.
    #[error("the result is kept, but not durable yet: {0}")]
    NotYet(Arc<io::Error>),
    /// The record is durable; its opening is not.
    #[error("the record is durable, but its opening is not: {0}")]
    Opening(Arc<io::Error>),
    /// Another writer is in charge of the log. This one will never write again.
    #[error("another writer is in charge of the audit log")]
    Fenced,
    /// The log has ended.
    #[error("the audit log is sealed")]
    Sealed,
    /// The record would be too long.
    #[error("the record is {bytes} bytes long; at most {limit} fit")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Too many intents have no result yet.
    #[error("{0} calls run already, as many as the log has room for")]
    TooManyOpen(usize),
    /// Too much waits to be written.
    #[error("too much waits to be written to the audit log")]
    Busy,
    /// The intent has a result already, or is none.
    #[error("record {0} is not an intent without a result")]
    NotOpen(u64),
    /// A log with open intents cannot end.
    #[error("{0} calls have no result yet")]
    StillOpen(usize),
    /// A value could not be kept.
    #[error("{0}")]
    Field(Arc<crate::field::FieldError>),
}

impl From<CommitError> for AppendError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Room(error) | CommitError::Write(error) => Self::Io(error),
            CommitError::Fenced => Self::Fenced,
        }
    }
}

/// Whether appends are taken.
#[derive(Clone, Debug, Default)]
pub enum Health {
    /// They are.
    #[default]
    Healthy,
    /// They are refused until the log can be written again, which is tried by itself.
    Unhealthy {
        /// What failed last.
        error: Arc<io::Error>,
    },
    /// Another writer is in charge: they are refused for ever.
    Fenced,
    /// The log has ended.
    Sealed,
}

/// What a parked thread is woken with.
#[derive(Debug)]
enum Signal {
    Done(Result<Appended, AppendError>),
    /// The log is free and its record waits: it should lead.
    Lead,
}

/// A thread that waits for its record.
#[derive(Debug)]
struct Waiter {
    thread: Thread,
    signal: Mutex<Option<Signal>>,
}

impl Waiter {
    fn wake(&self, signal: Signal) {
        *lock(&self.signal) = Some(signal);
        self.thread.unpark();
    }

    fn wait(&self) -> Signal {
        loop {
            if let Some(signal) = lock(&self.signal).take() {
                return signal;
            }
            std::thread::park();
        }
    }
}

#[derive(Debug)]
struct Queued {
    draft: Draft,
    waiter: Option<Arc<Waiter>>,
    bytes: usize,
}

/// What is durable, and its signed note once somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    pub(crate) size: u64,
    pub(crate) root: Option<Hash>,
    pub(crate) note: Option<Arc<str>>,
    pub(crate) position: Option<Position>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// There while nobody leads.
    pub(crate) log: Option<Box<Log>>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// When the oldest result that nobody waits for was queued.
    lingering: Option<Instant>,
    /// Durable intents without a result, queued results already taken off.
    open: BTreeSet<u64>,
    /// Intents that are queued, and results that are.
    intents: usize,
    results: usize,
    pub(crate) durable: Durable,
    pub(crate) health: Health,
    pub(crate) failed_at: Option<Instant>,
    /// What failed was to make a segment: the active one is whole, and takes results.
    lacks_room: bool,
    /// Openings that nobody has flushed yet.
    pub(crate) dirty: Option<Arc<File>>,
    pub(crate) wants_spare: bool,
    pub(crate) spare: Option<Segment>,
    /// A seal is queued or written.
    sealing: bool,
    pub(crate) stopped: bool,
}

/// What the writer, its callers and its attendant share.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Length of the queue, to be read without the lock.
    length: AtomicUsize,
    /// Size of the last group.
    crowd: AtomicUsize,
    pub(crate) attention: Condvar,
    pub(crate) limits: Limits,
    pub(crate) signer: Arc<Signer>,
}

/// A poisoned lock is one whose holder panicked; what it guards is valid between any two statements here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    pub(crate) fn new(log: Log) -> Self {
        let (limits, signer) = (log.limits, Arc::clone(&log.signer));
        let mut state = State {
            open: log.tip.open.clone(),
            log: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            lingering: None,
            intents: 0,
            results: 0,
            durable: Durable::default(),
            health: Health::Healthy,
            failed_at: None,
            lacks_room: false,
            dirty: None,
            wants_spare: false,
            spare: None,
            sealing: false,
            stopped: false,
        };
        state.observe(&log);
        state.log = Some(Box::new(log));
        Self {
            state: Mutex::new(state),
            length: AtomicUsize::new(0),
            crowd: AtomicUsize::new(0),
            attention: Condvar::new(),
            limits,
            signer,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Appends and waits until the record is durable.
    pub(crate) fn append(&self, draft: Draft) -> Result<Appended, AppendError> {
        let waiter = Arc::new(Waiter { thread: std::thread::current(), signal: Mutex::new(None) });
        let mut log = self.enqueue(draft, Some(Arc::clone(&waiter)))?;
        loop {
            if let Some(log) = log.take() {
                self.lead(log, Demand::WhenDue);
            }
            match waiter.wait() {
                Signal::Done(result) => return result,
                Signal::Lead => log = self.state().log.take(),
            }
        }
    }

    /// Queues a record that the next group takes along; nobody waits for it.
    pub(crate) fn append_later(&self, draft: Draft) -> Result<(), AppendError> {
        self.enqueue(draft, None)?;
        self.attention.notify_all();
        Ok(())
    }

    /// Queues a record; the log itself if nobody leads.
    fn enqueue(&self, draft: Draft, waiter: Option<Arc<Waiter>>) -> Result<Option<Box<Log>>, AppendError> {
        let (length, is_result) = (line_bound(draft.body.len()), draft.kind == Kind::Result);
        let room = usize::try_from(self.limits.result_room).unwrap_or(usize::MAX);
        let limit = if is_result { room.min(self.limits.max_line) } else { self.limits.max_line };
        if length > limit {
            return Err(AppendError::TooLong { bytes: length, limit });
        }
        let mut state = self.state();
        state.admit(&draft, self.limits.max_open)?;
        // While the disk is known to fail, nobody waits for it on behalf of a result.
        let failing = state.is_failing().filter(|_| is_result && waiter.is_some() && !state.lacks_room);
        let waits = waiter.is_some() && failing.is_none();
        state.enqueue(draft, waiter.filter(|_| waits));
        self.length.store(state.queue.len(), Ordering::Relaxed);
        match failing {
            Some(error) => Err(AppendError::NotYet(error)),
            None if waits => Ok(state.log.take()),
            None => Ok(None),
        }
    }

    /// Leads one group with the log that was taken, and gives the log back.
    pub(crate) fn lead(&self, mut log: Box<Log>, demand: Demand) {
        self.gather();
        let (batch, spare) = {
            let mut state = self.state();
            let batch = state.take_group(self.limits.max_group);
            self.length.store(state.queue.len(), Ordering::Relaxed);
            (batch, state.spare.take())
        };
        log.spare = log.spare.take().or(spare);
        self.crowd.store(batch.drafts.len(), Ordering::Relaxed);
        self.write(&mut log, batch, demand);
        self.give_back(log);
    }

    fn write(&self, log: &mut Log, mut batch: Batch, demand: Demand) {
        let appended = match log.commit(&batch.drafts, demand) {
            Ok(appended) => appended,
            // The room of results is held for them: they do not fail with what wanted more.
            Err(error @ CommitError::Room(_))
                if batch.has_results() && (demand == Demand::Probe || !batch.has_only_results()) =>
            {
                let (results, others) = batch.split();
                self.refuse(others, &error);
                return self.write(log, results, Demand::WhenDue);
            }
            Err(error) => return self.refuse(batch, &error),
        };
        let must_open = |draft: &Draft| draft.flush_openings == Openings::WithRecord;
        let opened_first = batch.drafts.iter().any(must_open);
        let opened = if opened_first { log.disclose(&mut batch.drafts, &appended) } else { Ok(()) };
        let waiters = std::mem::take(&mut batch.waiters);
        self.settle(&batch.drafts, &appended, demand);
        let opened = opened.map_err(Arc::new);
        for ((draft, waiter), at) in batch.drafts.iter().zip(waiters).zip(&appended) {
            let result = match &opened {
                Err(error) if must_open(draft) => Err(AppendError::Opening(Arc::clone(error))),
                _ => Ok(*at),
            };
            if let Some(waiter) = waiter {
                waiter.wake(Signal::Done(result));
            }
        }
        // Nobody waits for these. What is lost with them can still be verified, only no more be shown.
        if !opened_first {
            drop(log.disclose(&mut batch.drafts, &appended));
        }
    }

    /// After a crowd, its members come back within microseconds: a leader that flushed at once would flush for itself alone, and they
    /// would wait for the flush after.
    fn gather(&self) {
        let crowd = self.crowd.load(Ordering::Relaxed);
        if crowd < CROWD {
            return;
        }
        let begun = Instant::now();
        while self.length.load(Ordering::Relaxed) < crowd && begun.elapsed() < GATHER {
            std::thread::yield_now();
        }
    }

    /// Notes what is durable now.
    fn settle(&self, drafts: &[Draft], appended: &[Appended], demand: Demand) {
        let mut state = self.state();
        // A result that went into the room held for it does not say that there is room for a call.
        let says_so = demand == Demand::Probe || drafts.iter().any(|draft| draft.kind != Kind::Result);
        if says_so || !state.lacks_room {
            state.health = Health::Healthy;
            state.failed_at = None;
            state.lacks_room = false;
        }
        for (draft, at) in drafts.iter().zip(appended) {
            match draft.kind {
                Kind::Intent => {
                    state.intents -= 1;
                    state.open.insert(at.seq);
                }
                Kind::Result => state.results -= 1,
                _ => {}
            }
        }
    }

    /// Refuses all that waits, but for results, which stay.
    fn refuse(&self, batch: Batch, failure: &CommitError) {
        let mut state = self.state();
        let error = match failure {
            CommitError::Room(error) | CommitError::Write(error) => {
                state.health = Health::Unhealthy { error: Arc::clone(error) };
                state.failed_at = Some(Instant::now());
                state.lacks_room = matches!(failure, CommitError::Room(_));
                Some(Arc::clone(error))
            }
            CommitError::Fenced => {
                state.health = Health::Fenced;
                None
            }
        };
        let behind = std::mem::take(&mut state.queue);
        state.queued_bytes = 0;
        let group = batch.drafts.into_iter().zip(batch.waiters);
        let group = group.map(|(draft, waiter)| Queued { draft, waiter, bytes: 0 });
        let mut told = Vec::new();
        for queued in group.chain(behind) {
            let is_kept = queued.draft.kind == Kind::Result && error.is_some();
            match queued.draft.kind {
                Kind::Intent => state.intents -= 1,
                Kind::Seal => state.sealing = false,
                _ => {}
            }
            let result = Err(match &error {
                None => AppendError::Fenced,
                Some(error) if is_kept => AppendError::NotYet(Arc::clone(error)),
                Some(error) => AppendError::Io(Arc::clone(error)),
            });
            told.extend(queued.waiter.map(|waiter| (waiter, result)));
            if is_kept {
                state.enqueue(queued.draft, None);
            }
        }
        self.length.store(state.queue.len(), Ordering::Relaxed);
        drop(state);
        for (waiter, result) in told {
            waiter.wake(Signal::Done(result));
        }
    }

    /// Does something with the log itself, once nobody leads.
    pub(crate) fn with_log<T>(&self, act: impl FnOnce(&mut Log) -> T) -> T {
        let mut log = loop {
            if let Some(log) = self.state().log.take() {
                break log;
            }
            std::thread::sleep(LEADER_WAIT);
        };
        let result = act(&mut log);
        self.give_back(log);
        result
    }

    fn give_back(&self, mut log: Box<Log>) {
        let mut state = self.state();
        state.observe(&log);
        if let Some(file) = log.disclosures.take_dirty() {
            state.dirty = Some(file);
        }
        state.log = Some(log);
        let has_failed = state.failed_at.is_some();
        let next = state.queue.iter().find_map(|queued| queued.waiter.clone());
        let needs_attention =
            state.wants_spare || state.lingering.is_some() || state.dirty.is_some() || has_failed;
        drop(state);
        if let Some(waiter) = next {
            waiter.wake(Signal::Lead);
        }
        if needs_attention {
            self.attention.notify_all();
        }
    }
}

/// A group and who waits for it.
#[derive(Debug, Default)]
struct Batch {
    drafts: Vec<Draft>,
    waiters: Vec<Option<Arc<Waiter>>>,
}

impl Batch {
    fn has_results(&self) -> bool {
        self.drafts.iter().any(|draft| draft.kind == Kind::Result)
    }

    fn has_only_results(&self) -> bool {
        self.drafts.iter().all(|draft| draft.kind == Kind::Result)
    }

    fn push(&mut self, draft: Draft, waiter: Option<Arc<Waiter>>) {
        self.drafts.push(draft);
        self.waiters.push(waiter);
    }

    /// The results, and the others.
    fn split(self) -> (Self, Self) {
        let (mut results, mut others) = (Self::default(), Self::default());
        for (draft, waiter) in self.drafts.into_iter().zip(self.waiters) {
            let to = if draft.kind == Kind::Result { &mut results } else { &mut others };
            to.push(draft, waiter);
        }
        (results, others)
    }
}

/// What a record costs in memory while it waits.
fn weight(draft: &Draft) -> usize {
    draft.body.len() + draft.openings.iter().map(|opening| opening.text.len()).sum::<usize>()
}

impl State {
    /// Whether a record is taken at all.
    fn admit(&mut self, draft: &Draft, max_open: usize) -> Result<(), AppendError> {
        let is_result = draft.kind == Kind::Result;
        match &self.health {
            Health::Fenced => return Err(AppendError::Fenced),
            Health::Sealed => return Err(AppendError::Sealed),
            _ if self.sealing => return Err(AppendError::Sealed),
            _ => {}
        }
        if let Some(error) = self.is_failing().filter(|_| !is_result) {
            return Err(AppendError::Io(error));
        }
        if is_result {
            // A result is never refused for want of space: there are at most as many as open intents.
            for intent in &draft.ends {
                if !self.open.remove(intent) {
                    return Err(AppendError::NotOpen(*intent));
                }
            }
            self.results += 1;
            return Ok(());
        }
        if self.queue.len() >= MAX_QUEUED || self.queued_bytes + weight(draft) > MAX_QUEUED_BYTES {
            return Err(AppendError::Busy);
        }
        match draft.kind {
            Kind::Intent if self.open_count() >= max_open => return Err(AppendError::TooManyOpen(max_open)),
            Kind::Intent => self.intents += 1,
            Kind::Seal if self.open_count() > 0 => return Err(AppendError::StillOpen(self.open_count())),
            Kind::Seal => self.sealing = true,
            _ => {}
        }
        Ok(())
    }

    /// The error of a failure so recent that trying again is too early.
    fn is_failing(&self) -> Option<Arc<io::Error>> {
        match (&self.health, self.failed_at) {
            (Health::Unhealthy { error }, Some(at)) if at.elapsed() < RETRY => Some(Arc::clone(error)),
            _ => None,
        }
    }

    /// Intents that have no durable result: durable ones, queued ones, and those whose result is queued.
    fn open_count(&self) -> usize {
        self.open.len() + self.intents + self.results
    }

    fn enqueue(&mut self, draft: Draft, waiter: Option<Arc<Waiter>>) {
        let bytes = weight(&draft);
        if waiter.is_none() {
            self.lingering.get_or_insert_with(Instant::now);
        }
        self.queued_bytes += bytes;
        self.queue.push_back(Queued { draft, waiter, bytes });
    }

    fn take_group(&mut self, max_bytes: usize) -> Batch {
        let mut group = Batch::default();
        let mut bytes = 0;
        // One place is left for the record that may begin the group.
        while group.drafts.len() + 1 < MAX_GROUP_RECORDS as usize {
            let Some(queued) = self.queue.front() else { break };
            bytes += line_bound(queued.draft.body.len()) + 1;
            if bytes > max_bytes && !group.drafts.is_empty() {
                break;
            }
            let Some(queued) = self.queue.pop_front() else { break };
            self.queued_bytes = self.queued_bytes.saturating_sub(queued.bytes);
            group.push(queued.draft, queued.waiter);
        }
        if self.queue.iter().all(|queued| queued.waiter.is_some()) {
            self.lingering = None;
        }
        group
    }

    /// Takes over what the log says is durable now.
    fn observe(&mut self, log: &Log) {
        if self.durable.size != log.tip.seq || self.durable.root.is_none() {
            let root = log.tip.tree.as_ref().map(crate::merkle::Tree::root);
            self.durable = Durable { size: log.tip.seq, root, note: None, position: None };
        }
        self.durable.position = Some(log.position());
        if log.tip.ending == Ending::Sealed {
            self.health = Health::Sealed;
        }
        self.wants_spare = log.wants_spare() && self.spare.is_none();
    }

    /// Results that nobody waits for have waited long enough, or there are too many to wait.
    pub(crate) fn is_ripe(&self, linger: Duration) -> bool {
        self.lingering.is_some_and(|since| since.elapsed() >= linger) || self.queue.len() >= 128
    }

    pub(crate) fn lingering(&self) -> Option<Instant> {
        self.lingering
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }
}
