//! Commits one group: its lines, one write, one flush. Nothing here waits for another thread or knows which
//! threads wait.
//!
//! A group is a transaction. Its lines are made against a copy of the tip; the copy becomes the tip only when
//! the flush has succeeded and this writer is still in charge. When the flush fails, the segment is dead: the
//! kernel may have dropped the pages that it could not write, and would report the next flush as a success.
//! The next group then begins another segment, whose first record says where the dead one ends. Until that
//! record is durable, a crash may cause the failed group to be read as part of the log, so its openings are
//! kept until then.
//!
//! A group that consists only of results does not fail with its openings: the calls have run, and there is
//! room for their records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::damage::Position;
use crate::dir::{self, Dir};
use crate::disclosures::Disclosures;
use crate::draft::{Appended, Draft};
use crate::entry::Openings;
use crate::field::Opening;
use crate::hash::Hash;
use crate::options::Limits;
use crate::record::{Continues, Kind, Record, Recovery, line_bound, write_line};
use crate::segment::Segment;
use crate::signer::Signer;
use crate::tip::{Ending, Step, Tip};

/// After how many records a checkpoint is due.
const CHECKPOINT_RECORDS: u64 = 256;

/// Why a group is not durable.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// No segment with enough room could be made. The active one is whole.
    #[error("no room: {0}")]
    Room(Arc<io::Error>),
    /// The write or the flush failed.
    #[error("{0}")]
    Write(Arc<io::Error>),
    /// Openings cannot be written, or earlier ones cannot be flushed. The active segment is whole.
    #[error("{0}")]
    Openings(Arc<io::Error>),
    /// Another writer is in charge.
    #[error("another writer is in charge")]
    Fenced,
}

/// Whether a checkpoint is written though none is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    WhenDue,
    Checkpoint,
    /// No checkpoint, and the group fails unless there is room for a new intent: the caller tests whether the
    /// log is healthy.
    Probe,
}

/// The segment that is being written.
#[derive(Debug)]
pub(crate) enum Active {
    Live(Segment),
    /// The log ends in it at this offset; a new segment says so in its first record.
    Dead {
        segment: u32,
        offset: u64,
        recovery: Recovery,
    },
}

/// Numbers of unused segments.
#[derive(Debug)]
pub(crate) struct Numbers(AtomicU32);

impl Numbers {
    pub(crate) const fn from(next: u32) -> Self {
        Self(AtomicU32::new(next))
    }

    pub(crate) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A log that is being written. The thread that holds it leads.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) dir: Dir,
    pub(crate) token: String,
    pub(crate) limits: Limits,
    pub(crate) checkpoint_every: Duration,
    pub(crate) tip: Tip,
    pub(crate) active: Active,
    pub(crate) numbers: Arc<Numbers>,
    /// Number of the newest segment that a group was to begin, whether that succeeded or not; 0: none.
    pub(crate) attempted: u32,
    pub(crate) spare: Option<Segment>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) checkpointed: Instant,
    pub(crate) disclosures: Disclosures,
}

/// The lines of a group.
struct Lines {
    tip: Tip,
    group: u64,
    bytes: Vec<u8>,
    /// Leaf, chain after it, and end of each line.
    placed: Vec<(Hash, Hash, u64)>,
}

impl Lines {
    fn add(&mut self, kind: Kind, body: &[u8], ends: &[u64]) {
        let begin = self.bytes.len();
        let length = write_line(&mut self.bytes, self.tip.seq, self.group, &self.tip.chain, body);
        let line = self.bytes.get(begin..begin + length).unwrap_or_default();
        let step = Step { kind, group: self.group, ends: ends.into() };
        let leaf = self.tip.advance(&step, line);
        self.placed.push((leaf, self.tip.chain, self.bytes.len() as u64));
    }
}

impl Log {
    /// Writes one group and flushes it. On success all drafts are durable; on failure none of them is
    /// acknowledged.
    pub(crate) fn commit(&mut self, drafts: &[Draft], demand: Demand) -> Result<Vec<Appended>, CommitError> {
        let goes_without = demand == Demand::WhenDue && has_only_results(drafts);
        let mended = self.disclosures.mend(&self.dir).map_err(|error| openings_failed(&error));
        if !goes_without {
            mended?;
        }
        let length = drafts.iter().map(|draft| line_bound(draft.body.len()) + 1).sum();
        let (bytes, placed) = (Vec::with_capacity(length), Vec::with_capacity(drafts.len() + 1));
        let mut lines = Lines { tip: self.tip.clone(), group: self.tip.seq, bytes, placed };
        let fresh = self.fresh_segment(drafts, demand)?;
        let is_due = demand == Demand::Checkpoint || self.checkpoint_is_due();
        self.begin(&mut lines, fresh.is_some(), is_due).map_err(|error| write_failed(&error.into()))?;
        let control = lines.placed.len();
        for draft in drafts {
            let body = match draft.next_key {
                None => Ok(std::borrow::Cow::Borrowed(&draft.body)),
                Some(next) => self.signer.hand_over(&lines.tip, &next).map(std::borrow::Cow::Owned),
            };
            let body = body.map_err(|error| write_failed(&error.into()))?;
            lines.add(draft.kind, &body, &draft.ends);
        }
        if lines.placed.is_empty() {
            return Ok(Vec::new());
        }
        let (first, keep) =
            (lines.group + control as u64, if goes_without { Keep::InMemory } else { Keep::OnDisk });
        let opened = match self.disclose(drafts, first, fresh.as_ref(), keep) {
            Ok(opened) => opened,
            Err(error) => {
                // It holds nothing yet; a segment that was made ahead and not needed is kept.
                self.spare = fresh.or_else(|| self.spare.take());
                return Err(openings_failed(&error));
            }
        };
        if let Err(error) = self.write(&lines.bytes, fresh.as_ref()) {
            match self.failed(fresh, &error) {
                Failed::Gone => self.disclosures.take_back(&opened),
                Failed::MayBeRead => self.disclosures.disown(&opened),
            }
            return Err(error);
        }
        Ok(self.publish(lines, fresh, control))
    }

    /// Takes a segment that was made ahead, unless the log has overtaken it or has one: while it was being filled,
    /// a group needed one and made its own, with a later number, and may have returned it unused or failed in it.
    /// The numbers of segments are the order of the log, so an earlier one can never follow: were the later one to
    /// come back, because its removal did not reach the disk, it would be read in the place of what followed.
    pub(crate) fn take_spare(&mut self, spare: Segment) {
        if spare.number > self.position().segment.max(self.attempted) && self.spare.is_none() {
            self.spare = Some(spare);
        } else {
            // It holds zeros; if it cannot be removed, no course leads to it.
            drop(std::fs::remove_file(self.dir.segment(spare.number)));
        }
    }

    /// Whether the next segment should be made now, before it is needed.
    pub(crate) const fn wants_spare(&self) -> bool {
        match &self.active {
            Active::Live(segment) => self.spare.is_none() && segment.offset > segment.capacity / 2,
            Active::Dead { .. } => false,
        }
    }

    pub(crate) fn checkpoint_is_due(&self) -> bool {
        let uncovered = self.tip.seq.saturating_sub(self.tip.covered);
        self.tip.seq > 0
            && (uncovered >= CHECKPOINT_RECORDS
                || uncovered > 1 && self.checkpointed.elapsed() >= self.checkpoint_every)
    }

    /// Adds the record that the group must begin with, if any.
    fn begin(&self, lines: &mut Lines, is_fresh: bool, is_due: bool) -> Result<(), serde_json::Error> {
        let (segment, offset) = match &self.active {
            Active::Live(segment) => (segment.number, segment.offset),
            Active::Dead { segment, offset, .. } => (*segment, *offset),
        };
        // A log without records begins with its genesis and continues nothing.
        let is_fresh = is_fresh && self.tip.seq > 0;
        let continues = is_fresh.then_some(Continues { segment, offset, hash: self.tip.chain });
        let record = match &self.active {
            Active::Dead { recovery, .. } if is_fresh && self.tip.ending == Ending::Open => {
                Record { recovered: Some(recovery.clone()), continues, ..Record::new(Kind::Recovered) }
            }
            _ if is_fresh || is_due && self.tip.ending != Ending::Sealed => self.checkpoint(continues),
            _ => return Ok(()),
        };
        let time = (record.kind == Kind::Recovered).then(crate::entry::now_ms);
        let record = Record { time, ..record };
        lines.add(record.kind, &record.body()?, record.ends());
        Ok(())
    }

    fn checkpoint(&self, continues: Option<Continues>) -> Record {
        let tree = self.tip.tree.clone().unwrap_or_default();
        Record {
            continues,
            open: Some(self.tip.open.iter().copied().collect()),
            note: Some(self.signer.sign(tree.size(), tree.root())),
            peaks: Some(tree.peaks().to_vec()),
            ..Record::new(Kind::Checkpoint)
        }
    }

    /// A new segment, if the active one is dead or would have no room left for the results of all open
    /// intents.
    fn fresh_segment(&mut self, drafts: &[Draft], demand: Demand) -> Result<Option<Segment>, CommitError> {
        let need: usize = drafts.iter().map(|draft| line_bound(draft.body.len()) + 1).sum();
        let intents = drafts.iter().filter(|draft| draft.kind == Kind::Intent).count();
        let open = (self.tip.open.len() + intents) as u64;
        let held = open * self.limits.result_room + self.limits.control_room;
        let room = match &self.active {
            Active::Live(segment) => segment.room(),
            Active::Dead { .. } => 0,
        };
        if need as u64 + held <= room {
            return Ok(None);
        }
        let fresh = match self.spare.take() {
            Some(spare) => Ok(spare),
            None => Segment::create(&self.dir, self.numbers.next(), self.limits.segment_bytes),
        };
        match fresh {
            Ok(segment) => {
                self.attempted = self.attempted.max(segment.number);
                Ok(Some(segment))
            }
            // The room reserved for results and checkpoints is available to them.
            Err(_)
                if demand != Demand::Probe
                    && drafts.iter().all(|draft| draft.kind == Kind::Result)
                    && self.fits_in_held(need, room) =>
            {
                Ok(None)
            }
            Err(error) => Err(CommitError::Room(Arc::new(error))),
        }
    }

    const fn fits_in_held(&self, need: usize, room: u64) -> bool {
        need as u64 + self.limits.control_room / 2 <= room
    }

    fn write(&self, bytes: &[u8], fresh: Option<&Segment>) -> Result<(), CommitError> {
        let segment = match (fresh, &self.active) {
            (Some(fresh), _) => fresh,
            (None, Active::Live(segment)) => segment,
            (None, Active::Dead { .. }) => {
                return Err(write_failed(&io::Error::other("the segment is dead")));
            }
        };
        segment.write(bytes).map_err(|error| write_failed(&error))?;
        // Checked only now: a writer that took charge before this flush reads what it wrote, and so does one
        // that takes charge after this check.
        match self.dir.is_in_charge(&self.token) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CommitError::Fenced),
            Err(error) => Err(write_failed(&error)),
        }
    }

    /// Gives up the segment in which a group failed. One that was made for the group holds nothing of the log, and
    /// is removed for good. If that may not last, it can come back after a crash, and is then read from where it
    /// says that it continues the active segment. So nothing more is written there, and the next group begins a
    /// segment with a later number, beside whose course the failed one then lies.
    fn failed(&mut self, fresh: Option<Segment>, error: &CommitError) -> Failed {
        if fresh.is_some_and(|fresh| self.remove(&fresh).is_ok()) {
            return Failed::Gone;
        }
        if let Active::Live(segment) = &self.active {
            let recovery = Recovery { cause: error.to_string(), ..Recovery::default() };
            self.active = Active::Dead { segment: segment.number, offset: segment.offset, recovery };
        }
        Failed::MayBeRead
    }

    /// Removes a segment, durably.
    fn remove(&self, segment: &Segment) -> io::Result<()> {
        std::fs::remove_file(self.dir.segment(segment.number))?;
        dir::sync_dir(&self.dir.segments())
    }

    fn publish(&mut self, lines: Lines, fresh: Option<Segment>, control: usize) -> Vec<Appended> {
        if let Some(fresh) = fresh {
            // Its first record says where the log leaves the previous segment.
            self.disclosures.take_back_disowned();
            if let Active::Live(old) = std::mem::replace(&mut self.active, Active::Live(fresh)) {
                old.trim();
            }
        }
        let mut begin = Position { segment: 0, offset: 0, seq: self.tip.seq, chain: self.tip.chain };
        if let Active::Live(segment) = &mut self.active {
            begin = Position { segment: segment.number, offset: segment.offset, ..begin };
            segment.offset += lines.bytes.len() as u64;
        }
        if lines.tip.covered > self.tip.covered {
            self.checkpointed = Instant::now();
        }
        self.tip = lines.tip;
        let placed = lines.placed.into_iter().zip(begin.seq..).skip(control);
        let appended = placed.map(|((leaf, chain, end), seq)| Appended {
            seq,
            leaf,
            next: Position { seq: seq + 1, chain, offset: begin.offset + end, ..begin },
        });
        appended.collect()
    }

    /// Frees the room behind the records of a sealed log.
    pub(crate) fn trim(&self) {
        if let (Active::Live(segment), Ending::Sealed) = (&self.active, self.tip.ending) {
            segment.trim();
        }
    }

    /// The position behind the last durable record.
    pub(crate) const fn position(&self) -> Position {
        let (segment, offset) = match &self.active {
            Active::Live(segment) => (segment.number, segment.offset),
            Active::Dead { segment, offset, .. } => (*segment, *offset),
        };
        Position { segment, offset, seq: self.tip.seq, chain: self.tip.chain }
    }

    /// Writes the openings of a group before the group: a record whose openings cannot be written is not
    /// written either. The exception is results, whose openings are then kept in memory. Openings are flushed
    /// once the group is durable, or now if one of them must be. `first`: the number of the first draft's
    /// record. Returns what was written or is kept.
    fn disclose(
        &mut self,
        drafts: &[Draft],
        first: u64,
        fresh: Option<&Segment>,
        keep: Keep,
    ) -> io::Result<Vec<u8>> {
        let segment = match (fresh, &self.active) {
            (Some(fresh), _) => fresh.number,
            (None, Active::Live(active)) => active.number,
            (None, Active::Dead { segment, .. }) => *segment,
        };
        let mut text = Vec::new();
        let mut flush = false;
        for (draft, seq) in drafts.iter().zip(first..) {
            flush |= draft.flush_openings == Openings::WithRecord && !draft.openings.is_empty();
            for opening in &draft.openings {
                Opening::write_line(&mut text, seq, opening);
            }
        }
        if text.is_empty() {
            return Ok(text);
        }
        let may_be_held = keep == Keep::InMemory && !flush;
        // Held openings come first: a reader skips those that are behind the openings of later records.
        if may_be_held && let Some(earlier) = self.disclosures.failure() {
            let is_held = self.disclosures.hold(segment, &text);
            return if is_held { Ok(text) } else { Err(io::Error::new(earlier.kind(), earlier)) };
        }
        if let Err(error) = self.disclosures.write(&self.dir, segment, &text) {
            let is_held = may_be_held && self.disclosures.hold(segment, &text);
            return if is_held { Ok(text) } else { Err(error) };
        }
        if flush && let Err(error) = self.disclosures.flush() {
            self.disclosures.take_back(&text);
            return Err(error);
        }
        Ok(text)
    }
}

/// What is left of a group that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// Nothing: its segment was removed, and the group with it.
    Gone,
    /// Its bytes: until a later segment says where the log goes on, a crash may cause them to be read as part of it.
    MayBeRead,
}

/// What happens to openings that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// Their group is not written either.
    OnDisk,
    /// They are held in memory, within a bound, until they can be written.
    InMemory,
}

/// Whether a group consists only of results.
fn has_only_results(drafts: &[Draft]) -> bool {
    !drafts.is_empty() && drafts.iter().all(|draft| draft.kind == Kind::Result)
}

/// Names the part of the log that failed: the segments have room, made ahead, even when the disk has none
/// left.
fn openings_failed(error: &io::Error) -> CommitError {
    let said = format!("the openings of its values (`disclosures/`): {error}");
    CommitError::Openings(Arc::new(io::Error::new(error.kind(), said)))
}

fn write_failed(error: &io::Error) -> CommitError {
    let same = error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error);
    CommitError::Write(Arc::new(same))
}
