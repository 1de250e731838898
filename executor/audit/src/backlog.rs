//! The state that the queue's lock guards: the records that wait, what is durable, and whether the log
//! accepts more. Nothing here waits or writes.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::commit::{CommitError, Demand, Log};
use crate::damage::Position;
use crate::disclosures::{MAX_PROBE_BYTES, Written};
use crate::draft::{Appended, Draft};
use crate::hash::Hash;
use crate::health::{AppendError, Health};
use crate::record::{Kind, line_bound};
use crate::segment::Segment;
use crate::tip::{Ending, MAX_GROUP_RECORDS};
use crate::waiter::{Bell, Owed, Ringing, Waiter};

/// Most records that wait at one time: some seconds of work. More are refused, so that memory stays bounded.
pub(crate) const MAX_QUEUED: usize = 4_096;

/// Most bytes that wait at one time, values and their openings together.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// After a failure, appends are refused for this long without trying the disk again: making a segment is
/// expensive.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// How many groups of a writer have failed. A caller that decides on a state derived from records reads it
/// before, and passes it with the record: then no record is accepted whose decision relied on one that
/// failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures(u64);

/// A record and the thread that waits for it.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) draft: Draft,
    pub(crate) waiter: Option<Owed>,
    bytes: usize,
}

/// What is durable, and its signed note once a caller has asked for it.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    pub(crate) size: u64,
    pub(crate) root: Option<Hash>,
    pub(crate) note: Option<Arc<str>>,
    pub(crate) position: Option<Position>,
}

/// The waiting records, and what is known of the log.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Present while no thread leads.
    pub(crate) log: Option<Box<Log>>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Where the threads of the records that are queued from now on wait.
    bell: Arc<Bell>,
    /// When the oldest result without a waiting thread was queued.
    lingering: Option<Instant>,
    /// Durable intents without a result; those whose result is queued are already left out.
    open: BTreeSet<u64>,
    /// Queued intents, and queued results.
    intents: usize,
    results: usize,
    pub(crate) durable: Durable,
    pub(crate) health: Health,
    pub(crate) failed_at: Option<Instant>,
    /// How many groups have failed.
    failures: u64,
    /// The failure was to make a segment, or to write or flush openings: the active segment is whole, and
    /// takes results.
    takes_results: bool,
    pub(crate) unflushed: Unflushed,
    /// How often openings could not be written or flushed.
    pub(crate) opening_failures: u64,
    pub(crate) wants_spare: bool,
    pub(crate) spare: Option<Segment>,
    /// A seal is queued or written.
    sealing: bool,
    pub(crate) stopped: bool,
}

/// Files of openings that have been written to and not flushed since. No thread waits for them, and flushing
/// a growing file keeps the disk from the log for longer than the log's own flush takes. So they are flushed
/// once for all records of a while, and not for each group.
#[derive(Debug, Default)]
pub(crate) struct Unflushed {
    files: Vec<Written>,
    since: Option<Instant>,
}

impl Unflushed {
    /// Notes a write.
    pub(crate) fn add(&mut self, written: Written) {
        self.since.get_or_insert_with(Instant::now);
        self.files.retain(|known| !known.is_in_the_file_of(&written));
        self.files.push(written);
    }

    /// Whether it includes the openings of a full segment: nothing more will be written there.
    const fn has_whole_segment(&self) -> bool {
        self.files.len() > 1
    }

    /// When the oldest unflushed write happened.
    pub(crate) const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The files, if they are due. The caller flushes them.
    pub(crate) fn take_due(&mut self, every: Duration) -> Vec<Written> {
        let is_due = self.has_whole_segment() || self.since.is_some_and(|since| since.elapsed() >= every);
        if is_due { std::mem::take(self).files } else { Vec::new() }
    }
}

/// A group and the threads that wait for it.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) waiters: Vec<Option<Owed>>,
    /// Where its threads wait. Dropped behind the waiters, which have their outcomes by then.
    pub(crate) bell: Ringing,
}

/// What is told to the threads of records that were refused.
#[derive(Debug)]
pub(crate) struct Refused {
    told: Vec<(Owed, AppendError)>,
    /// Where they wait: those of the group, and those behind it.
    bells: [Ringing; 2],
}

impl Refused {
    /// Tells them: each group is woken once, however many of its records were refused.
    pub(crate) fn tell(self) {
        for (waiter, error) in self.told {
            waiter.settle(Err(error));
        }
        drop(self.bells);
    }
}

/// What was queued when the log was lost. Dropped, its threads learn of it.
#[derive(Debug)]
pub(crate) struct Forsaken {
    _queue: VecDeque<Queued>,
    _bell: Ringing,
}

impl Batch {
    pub(crate) fn has_results(&self) -> bool {
        self.drafts.iter().any(|draft| draft.kind == Kind::Result)
    }

    pub(crate) fn has_only_results(&self) -> bool {
        self.drafts.iter().all(|draft| draft.kind == Kind::Result)
    }

    fn push(&mut self, draft: Draft, waiter: Option<Owed>) {
        self.drafts.push(draft);
        self.waiters.push(waiter);
    }

    /// Splits off the results: the results, and the rest.
    pub(crate) fn split(self) -> (Self, Self) {
        let at_the_bell = || Self { bell: Ringing(Arc::clone(&self.bell.0)), ..Self::default() };
        let (mut results, mut others) = (at_the_bell(), at_the_bell());
        for (draft, waiter) in self.drafts.into_iter().zip(self.waiters) {
            let to = if draft.kind == Kind::Result { &mut results } else { &mut others };
            to.push(draft, waiter);
        }
        (results, others)
    }
}

impl Backlog {
    /// For a log that has had no appends yet.
    pub(crate) fn new(log: Log) -> Self {
        let mut backlog = Self {
            open: log.tip.open.clone(),
            log: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            bell: Arc::default(),
            lingering: None,
            intents: 0,
            results: 0,
            durable: Durable::default(),
            health: Health::Healthy,
            failed_at: None,
            failures: 0,
            takes_results: false,
            unflushed: Unflushed::default(),
            opening_failures: 0,
            wants_spare: false,
            spare: None,
            sealing: false,
            stopped: false,
        };
        backlog.observe(&log);
        backlog.log = Some(Box::new(log));
        backlog
    }

    /// Checks whether a record is accepted; `since`: how many groups had failed when it was decided.
    pub(crate) fn admit(
        &mut self,
        draft: &Draft,
        max_open: usize,
        since: Option<Failures>,
    ) -> Result<(), AppendError> {
        let is_result = draft.kind == Kind::Result;
        if self.is_over() {
            self.health.accepts()?;
        }
        if self.sealing {
            return Err(AppendError::Sealed);
        }
        if let Some(error) = self.is_failing().filter(|_| !is_result) {
            return Err(AppendError::Io(error));
        }
        if is_result {
            // A waiting result never exceeds the bound: there are at most as many results as open intents.
            for intent in &draft.ends {
                if !self.open.remove(intent) {
                    return Err(AppendError::NotOpen(*intent));
                }
            }
            self.results += 1;
            return Ok(());
        }
        if since.is_some_and(|since| since != self.failures()) {
            return Err(AppendError::Overtaken);
        }
        if self.queue.len() >= MAX_QUEUED || self.queued_bytes + draft.weight() > MAX_QUEUED_BYTES {
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

    /// How many groups have failed so far.
    pub(crate) const fn failures(&self) -> Failures {
        Failures(self.failures)
    }

    /// While the disk is known to fail, no thread waits for it on behalf of a result.
    pub(crate) fn keeps_waiting(&self, draft: &Draft) -> Option<Arc<io::Error>> {
        self.is_failing().filter(|_| draft.kind == Kind::Result && !self.takes_results)
    }

    /// The error of a failure so recent that it is too early to try again.
    fn is_failing(&self) -> Option<Arc<io::Error>> {
        match (&self.health, self.failed_at) {
            (Health::Unhealthy { error }, Some(at)) if at.elapsed() < RETRY => Some(Arc::clone(error)),
            _ => None,
        }
    }

    /// Intents that have no durable result: durable ones, queued ones, and those whose result is queued.
    pub(crate) fn open_count(&self) -> usize {
        self.open.len() + self.intents + self.results
    }

    pub(crate) fn enqueue(&mut self, draft: Draft, waiter: Option<Owed>) {
        let bytes = draft.weight();
        if waiter.is_none() {
            self.lingering.get_or_insert_with(Instant::now);
        }
        self.queued_bytes += bytes;
        self.queue.push_back(Queued { draft, waiter, bytes });
    }

    /// Queues a record that a thread will wait for.
    pub(crate) fn enqueue_waited_for(&mut self, draft: Draft) -> Arc<Waiter> {
        let waiter = Waiter::at(&self.bell);
        self.enqueue(draft, Some(Owed::to(&waiter)));
        waiter
    }

    /// Takes the next group. Its openings are bounded as well as its lines: they are held in memory together
    /// or not at all.
    pub(crate) fn take_group(&mut self, max_bytes: usize) -> Batch {
        let mut group = Batch { bell: Ringing(Arc::clone(&self.bell)), ..Batch::default() };
        let (mut bytes, mut opened) = (0, 0);
        // One place is kept free for the record that may begin the group.
        while group.drafts.len() + 1 < MAX_GROUP_RECORDS as usize {
            let Some(queued) = self.queue.front() else { break };
            bytes += line_bound(queued.draft.body.len()) + 1;
            opened += queued.draft.openings.iter().map(Vec::len).sum::<usize>();
            if (bytes > max_bytes || opened > MAX_PROBE_BYTES) && !group.drafts.is_empty() {
                break;
            }
            let Some(queued) = self.queue.pop_front() else { break };
            self.queued_bytes = self.queued_bytes.saturating_sub(queued.bytes);
            group.push(queued.draft, queued.waiter);
        }
        // What is left waits for the bell of this group, and wakes with it in vain.
        if self.queue.is_empty() {
            self.bell = Arc::default();
        }
        if self.queue.iter().all(|queued| queued.waiter.is_some()) {
            self.lingering = None;
        }
        group
    }

    /// Takes over what the log now reports as durable.
    pub(crate) fn observe(&mut self, log: &Log) {
        if self.durable.size != log.tip.seq || self.durable.root.is_none() {
            let root = log.tip.tree.as_ref().map(crate::merkle::Tree::root);
            self.durable = Durable { size: log.tip.seq, root, note: None, position: None };
        }
        self.durable.position = Some(log.position());
        if log.tip.ending == Ending::Sealed {
            self.health = Health::Sealed;
            self.failed_at = None;
        }
        self.wants_spare = log.wants_spare() && self.spare.is_none() && !self.is_over();
    }

    /// Whether the log was given up for good: no failure or success changes that, and nothing is tried any
    /// more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.health, Health::Fenced | Health::Sealed | Health::Lost)
    }

    /// Notes that the thread that led has panicked, and the log is gone with it. Returns what was queued: it
    /// will never be written.
    pub(crate) fn lose(&mut self) -> Forsaken {
        self.failures += 1;
        self.health = Health::Lost;
        (self.failed_at, self.lingering, self.queued_bytes) = (None, None, 0);
        // No log will use a segment that is made now.
        self.wants_spare = false;
        Forsaken { _queue: std::mem::take(&mut self.queue), _bell: Ringing(std::mem::take(&mut self.bell)) }
    }

    /// Notes that a flush of openings failed. Their records are durable and remain valid; but until the
    /// attendant has repaired it, only results are accepted.
    pub(crate) fn fail_openings(&mut self, error: io::Error) {
        self.opening_failures += 1;
        if !self.is_over() {
            self.takes_results |= self.failed_at.is_none();
            self.health = Health::Unhealthy { error: Arc::new(error) };
            self.failed_at = Some(Instant::now());
        }
    }

    /// Notes that a group is durable.
    pub(crate) fn settle(&mut self, log: &Log, drafts: &[Draft], appended: &[Appended], demand: Demand) {
        // A result that went into the room reserved for it does not show that there is room for a call.
        let says_so = demand == Demand::Probe || drafts.iter().any(|draft| draft.kind != Kind::Result);
        if let Some(error) = log.disclosures.failure() {
            // The thread that flushes reports what failed there.
            self.opening_failures += u64::from(log.disclosures.holds() && self.failed_at.is_none());
            if self.failed_at.is_none() && !self.is_over() {
                self.takes_results = true;
                self.health = Health::Unhealthy { error };
                self.failed_at = Some(Instant::now());
            }
        } else if (says_so || !self.takes_results) && !self.is_over() {
            self.health = Health::Healthy;
            self.failed_at = None;
            self.takes_results = false;
        }
        for (draft, at) in drafts.iter().zip(appended) {
            match draft.kind {
                Kind::Intent => {
                    self.intents -= 1;
                    self.open.insert(at.seq);
                }
                Kind::Result => self.results -= 1,
                _ => {}
            }
        }
    }

    /// Removes everything that waits from the queue, in this group and behind it, except results. Returns what
    /// their threads are told.
    pub(crate) fn refuse(&mut self, batch: Batch, failure: &CommitError) -> Refused {
        self.failures += 1;
        let error = match failure {
            CommitError::Room(error) | CommitError::Write(error) | CommitError::Openings(error) => {
                self.opening_failures += u64::from(matches!(failure, CommitError::Openings(_)));
                self.health = Health::Unhealthy { error: Arc::clone(error) };
                self.failed_at = Some(Instant::now());
                self.takes_results = matches!(failure, CommitError::Room(_) | CommitError::Openings(_));
                Some(Arc::clone(error))
            }
            CommitError::Fenced => {
                self.health = Health::Fenced;
                (self.failed_at, self.lingering) = (None, None);
                None
            }
        };
        let behind = std::mem::take(&mut self.queue);
        self.queued_bytes = 0;
        let bells = [batch.bell, Ringing(std::mem::take(&mut self.bell))];
        let group = batch.drafts.into_iter().zip(batch.waiters);
        let group = group.map(|(draft, waiter)| Queued { draft, waiter, bytes: 0 });
        let mut told = Vec::new();
        for queued in group.chain(behind) {
            let is_kept = queued.draft.kind == Kind::Result && error.is_some();
            match queued.draft.kind {
                Kind::Intent => self.intents -= 1,
                Kind::Seal => self.sealing = false,
                _ => {}
            }
            let said = match &error {
                None => AppendError::Fenced,
                Some(error) if is_kept => AppendError::NotYet(Arc::clone(error)),
                Some(error) => AppendError::Io(Arc::clone(error)),
            };
            told.extend(queued.waiter.map(|waiter| (waiter, said)));
            if is_kept {
                self.enqueue(queued.draft, None);
            }
        }
        Refused { told, bells }
    }

    /// Where the threads wait of whom one should lead next.
    pub(crate) fn next_leaders(&self) -> Option<Arc<Bell>> {
        self.queue.iter().any(|queued| queued.waiter.is_some()).then(|| Arc::clone(&self.bell))
    }

    /// Whether the attendant has something to do.
    pub(crate) fn needs_attention(&self) -> bool {
        self.wants_spare
            || self.lingering.is_some()
            || self.failed_at.is_some()
            || self.unflushed.has_whole_segment()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether results without a waiting thread have waited long enough, or are too many to wait longer.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::open;
    use crate::options::{Options, Prepare};
    use crate::record::Record;

    #[test]
    fn a_group_ends_where_its_openings_would_be_too_many_to_be_held_together() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes: 64 * 1024, prepare: Prepare::OnDemand, ..Options::default() };
        let (log, _lock, _) = open(folder.path(), &options).unwrap();
        let mut backlog = Backlog::new(log);
        for length in [MAX_PROBE_BYTES / 2, MAX_PROBE_BYTES / 2, 1, 2 * MAX_PROBE_BYTES, 1] {
            let draft = Draft::of(&Record::new(Kind::Result)).unwrap();
            backlog.enqueue(Draft { openings: vec![vec![b'x'; length]], ..draft }, None);
        }
        let groups = [(); 5].map(|()| backlog.take_group(1024 * 1024).drafts.len());
        assert_eq!(groups, [2, 1, 1, 1, 0], "a record that is too long for any group has one of its own");
    }

    #[test]
    fn openings_wait_for_the_next_checkpoint_or_for_the_end_of_their_segment() {
        let (hour, file) = (Duration::from_secs(3_600), || Written::to(tempfile::tempfile().unwrap(), 1));
        let mut unflushed = Unflushed::default();
        assert!(unflushed.since().is_none() && unflushed.take_due(Duration::ZERO).is_empty());
        let first = file();
        unflushed.add(first.clone());
        unflushed.add(first.clone());
        assert_eq!(unflushed.take_due(hour).len(), 0, "it is not time yet");
        assert_eq!(unflushed.take_due(Duration::ZERO).len(), 1);
        assert!(unflushed.since().is_none(), "there is nothing left");
        unflushed.add(first);
        unflushed.add(file());
        assert_eq!(unflushed.take_due(hour).len(), 2, "the first one is not written to any more");
    }
}
