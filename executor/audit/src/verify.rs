//! Verifies a log in its folder with nothing but a public key or a checkpoint held elsewhere, and folds it.
//!
//! Anyone who can write to the folder can cut off what follows the last checkpoint held elsewhere, and
//! nothing in the folder shows it. That is why a log without a seal is *incomplete*, never *intact*, and so
//! is a log that is compared with nothing from outside.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::Path;

use ed25519_dalek::VerifyingKey;
use serde::Serialize;

use crate::blobs;
use crate::course::{Course, ReadError};
use crate::damage::{Damage, DamageKind, Position};
use crate::dir::{Dir, open_regular};
use crate::field::{MAX_VALUE_BYTES, Opening};
use crate::hash::Hash;
use crate::note;
use crate::record::{Cut, Kind, Record};
use crate::seen::Stored;
use crate::stream::{Good, stream};
use crate::tip::{Ending, Place, Tip};

/// Longest line of openings that is read, with its line feed: a value with every byte escaped once, and its name.
const MAX_OPENING_BYTES: u64 = 2 * MAX_VALUE_BYTES as u64 + 1024;

/// What the caller knows of a log from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The first public key.
    pub log_key: Option<VerifyingKey>,
    /// The log's id.
    pub log: Option<Hash>,
    /// Signed notes of this log, in any order: the log must still begin with what they state.
    pub checkpoints: Vec<String>,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Sealed, whole, and the expected log.
    Intact,
    /// Nothing is wrong, but something is missing: see [`Report::remarks`].
    Incomplete,
    /// See [`Report::damage`].
    Tampered,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The verdict.
    pub status: Status,
    /// The first damage.
    pub damage: Option<Damage>,
    /// Why it is not intact, each for a person.
    pub remarks: Vec<String>,
    /// Leaf of the genesis: the log's id.
    pub log: Option<Hash>,
    /// The first key as verifier key.
    pub log_key: Option<String>,
    /// Good records, up to the first damage.
    pub records: u64,
    /// How many of them the last checkpoint covers.
    pub covered: u64,
    /// Root of the tree of the good records.
    pub root: Hash,
    /// Number of the last writer.
    pub epoch: u64,
    /// Whether the log ends with a seal and the checkpoint over it.
    pub is_sealed: bool,
    /// Intents without a result.
    pub open: u64,
    /// Intents whose result is lost.
    pub lost: u64,
    /// What a crash left behind the last good record.
    pub tails: Vec<Cut>,
    /// Openings that open their commitment.
    pub opened: u64,
    /// Commitments without a readable opening: their values can no longer be shown.
    pub unopened: u64,
}

/// Verifies the log in this folder.
///
/// # Errors
/// [`ReadError::Io`] only: all damage to the log is in the report.
pub fn verify(dir: &Path, known: &Known) -> Result<Report, ReadError> {
    let dir = Dir::new(dir);
    match walk(&dir, known) {
        // A flush failed meanwhile, and the log goes on before what was read last.
        Err(ReadError::NoSuchPosition) => walk(&dir, known),
        walked => walked,
    }
}

fn walk(dir: &Dir, known: &Known) -> Result<Report, ReadError> {
    let mut walk = Walk::new(dir, known);
    let damage = match walk.run() {
        Ok(()) => None,
        Err(ReadError::Damaged(damage)) => Some(damage),
        Err(error) => return Err(error),
    };
    Ok(walk.report(damage))
}

/// One verification in progress.
struct Walk<'w> {
    dir: &'w Dir,
    known: &'w Known,
    pins: Vec<(note::Checkpoint, &'w str)>,
    /// Whether a pin matched.
    is_pinned: bool,
    tip: Tip,
    tails: Vec<Cut>,
    lost: u64,
    openings: Option<Openings>,
    opened: u64,
    unopened: u64,
}

impl<'w> Walk<'w> {
    fn new(dir: &'w Dir, known: &'w Known) -> Self {
        Self {
            dir,
            known,
            pins: Vec::new(),
            is_pinned: false,
            tip: Tip::start(),
            tails: Vec::new(),
            lost: 0,
            openings: None,
            opened: 0,
            unopened: 0,
        }
    }

    fn run(&mut self) -> Result<(), ReadError> {
        let nowhere = |kind| Damage { kind, seq: 0, segment: 0, offset: 0 };
        for text in &self.known.checkpoints {
            let pin = note::Checkpoint::parse(text)
                .map_err(|error| nowhere(DamageKind::OtherLog(format!("the known checkpoint is {error}"))))?;
            self.pins.push((pin, text));
        }
        // The smallest is checked first.
        self.pins.sort_by_key(|(pin, _)| std::cmp::Reverse(pin.size));
        let course = Course::read(self.dir)?;
        let mut tip = std::mem::replace(&mut self.tip, Tip::start());
        let mut wrong = None;
        let result =
            stream(self.dir, &course, None, &mut tip, &mut |good, tip| match self.look_at(good, tip) {
                Ok(()) => ControlFlow::Continue(()),
                Err(kind) => {
                    let Position { seq, segment, offset, .. } = good.at;
                    wrong = Some(Damage { kind, seq, segment, offset });
                    ControlFlow::Break(())
                }
            });
        self.tip = tip;
        if let Some(damage) = wrong {
            return Err(damage.into());
        }
        let finish = result?;
        self.tails = finish.tails;
        if let Some((pin, _)) = self.pins.last() {
            let Position { seq, segment, offset, .. } = finish.position;
            let kind = DamageKind::RolledBack { found: self.tip.seq, pinned: pin.size };
            return Err(Damage { kind, seq, segment, offset }.into());
        }
        Ok(())
    }

    /// What verification requires beyond the rules of the format.
    fn look_at(&mut self, good: &Good<'_>, tip: &Tip) -> Result<(), DamageKind> {
        if good.seen.kind == Kind::Genesis {
            self.identify(tip)?;
        }
        let recovery = good.seen.control.as_ref().and_then(|record| record.recovered.as_ref());
        self.lost += recovery.map_or(0, |found| found.lost.len() as u64);
        while let Some((pin, text)) = self.pins.last().filter(|(pin, _)| pin.size <= tip.seq) {
            // A pin of zero records states nothing, and nobody can have signed it.
            if pin.size == tip.seq {
                check_pin(pin, text, tip)?;
                self.is_pinned = true;
            }
            self.pins.pop();
        }
        self.check_values(good)
    }

    fn identify(&self, tip: &Tip) -> Result<(), DamageKind> {
        let Some(identity) = &tip.identity else { return Ok(()) };
        if self.known.log.is_some_and(|log| log != identity.log) {
            return Err(DamageKind::OtherLog(format!("its id is {}", identity.log)));
        }
        if self.known.log_key.is_some_and(|key| key != identity.first) {
            let key = note::verifier_key(&identity.origin, &identity.first);
            return Err(DamageKind::OtherLog(format!("its first key is {key}")));
        }
        Ok(())
    }

    /// Checks what is stored next to the record: files of large values, which must exist, and openings, which
    /// may be deleted.
    fn check_values(&mut self, good: &Good<'_>) -> Result<(), DamageKind> {
        for (field, stored) in good.seen.stored() {
            let commitment = match stored {
                Stored::Opening(commitment) => commitment,
                Stored::Blob(name) if blobs::read(self.dir, &name).is_none() => {
                    return Err(DamageKind::Blob(field.to_owned()));
                }
                Stored::Blob(_) => continue,
            };
            if self.openings.as_ref().is_none_or(|openings| openings.segment != good.at.segment) {
                self.openings = Some(Openings::of(self.dir, good.at.segment));
            }
            let opening = self.openings.as_mut().and_then(|openings| openings.find(good.at.seq, field));
            match opening {
                None => self.unopened += 1,
                Some(opening) if opening.commitment() == commitment => self.opened += 1,
                Some(_) => return Err(DamageKind::Opening(field.to_owned())),
            }
        }
        Ok(())
    }

    fn report(self, damage: Option<Damage>) -> Report {
        let is_sealed = self.tip.ending == Ending::Sealed;
        let open = self.tip.open.len() as u64;
        let mut remarks = Vec::new();
        if self.tip.seq == 0 {
            remarks.push("the log holds no record".to_owned());
        } else if !is_sealed {
            let uncovered = self.tip.seq - self.tip.covered;
            remarks.push(format!(
                "the log is open: it has no seal, and no checkpoint in it covers its last {uncovered} records"
            ));
        }
        for tail in &self.tails {
            let Cut { segment, offset, bytes, .. } = tail;
            remarks.push(format!(
                "{bytes} bytes of a group that was not finished stand in segment {segment} at offset {offset}"
            ));
        }
        if open > 0 {
            remarks.push(format!("{open} intents have no result"));
        }
        if self.known.log.is_none() && self.known.log_key.is_none() && !self.is_pinned {
            remarks.push("whose log it is was not checked: give its key, its id or a checkpoint".to_owned());
        }
        let status = match (&damage, remarks.is_empty()) {
            (Some(_), _) => Status::Tampered,
            (None, true) => Status::Intact,
            (None, false) => Status::Incomplete,
        };
        let identity = self.tip.identity.as_deref();
        Report {
            status,
            damage,
            remarks,
            log: identity.map(|identity| identity.log),
            log_key: identity.map(|identity| note::verifier_key(&identity.origin, &identity.first)),
            records: self.tip.seq,
            covered: self.tip.covered,
            root: self.tip.tree.map_or(Hash::ZERO, |tree| tree.root()),
            epoch: self.tip.epoch,
            is_sealed,
            open,
            lost: self.lost,
            tails: self.tails,
            opened: self.opened,
            unopened: self.unopened,
        }
    }
}

fn check_pin(pin: &note::Checkpoint, text: &str, tip: &Tip) -> Result<(), DamageKind> {
    let (Some(tree), Some(identity), Some(key)) = (&tip.tree, &tip.identity, &tip.key) else {
        return Ok(());
    };
    if pin.origin != identity.origin {
        return Err(DamageKind::OtherLog(format!("the known checkpoint is of `{}`", pin.origin)));
    }
    if pin.root != tree.root() {
        return Err(DamageKind::Forked(pin.size));
    }
    note::verify(text, &identity.origin, key)
        .map_err(|error| DamageKind::OtherLog(format!("the known checkpoint: {error}")))
}

/// The openings of one segment, read in parallel with it: both are in the order of the records.
#[derive(Debug)]
struct Openings {
    segment: u32,
    reader: Option<BufReader<File>>,
    next: Option<Opening>,
}

impl Openings {
    /// A missing file opens nothing, nor does anything that is not a regular file.
    fn of(dir: &Dir, segment: u32) -> Self {
        let reader = open_regular(&dir.disclosure(segment)).ok().map(BufReader::new);
        let mut openings = Self { segment, reader, next: None };
        openings.advance();
        openings
    }

    /// Reads on to the next line that is an opening.
    fn advance(&mut self) {
        self.next = None;
        let Some(reader) = &mut self.reader else { return };
        let mut line = Vec::new();
        while self.next.is_none() {
            line.clear();
            let read = reader.by_ref().take(MAX_OPENING_BYTES).read_until(b'\n', &mut line);
            if read.is_err() || line.is_empty() {
                return;
            }
            if !line.ends_with(b"\n") && line.len() as u64 == MAX_OPENING_BYTES {
                // What follows is the rest of this line, and no line of its own.
                if reader.skip_until(b'\n').is_err() {
                    return;
                }
                continue;
            }
            // A list of its members in order is no opening.
            let is_object = line.trim_ascii_start().starts_with(b"{");
            self.next = serde_json::from_slice(&line).ok().filter(|_| is_object);
        }
    }

    /// The opening of a field. Those of earlier records are skipped.
    fn find(&mut self, seq: u64, field: &str) -> Option<Opening> {
        while self.next.as_ref().is_some_and(|next| next.seq < seq) {
            self.advance();
        }
        let is_it = self.next.as_ref().is_some_and(|next| next.seq == seq && next.field == field);
        let found = self.next.take_if(|_| is_it);
        if found.is_some() {
            self.advance();
        }
        found
    }
}

/// The openings of one record that are still there.
#[must_use]
pub fn disclosed(dir: &Path, segment: u32, seq: u64) -> Vec<Opening> {
    openings(dir, segment).filter(|opening| opening.seq == seq).collect()
}

/// The openings of a segment that are still there, in the order of its records. The caller must compare the
/// commitment of each one it uses with the record's.
pub fn openings(dir: &Path, segment: u32) -> impl Iterator<Item = Opening> + use<> {
    let mut openings = Openings::of(&Dir::new(dir), segment);
    std::iter::from_fn(move || {
        let next = openings.next.take();
        openings.advance();
        next
    })
}

/// Runs the verifier on any bytes, as the only segment of a log: the entry for fuzzing. It runs twice, on the
/// bytes as they are and with the sum of each line corrected, so that the code behind the sum check is
/// reached too.
pub fn fuzz(bytes: &[u8]) {
    const CONTINUES: &[u8] = b"\"continues\"";
    let mut tips = [Tip::start(), Tip::start()];
    for line in bytes.split(|byte| *byte == b'\n') {
        let summed = crate::record::with_sum(line);
        for (tip, line) in tips.iter_mut().zip([line, &summed]) {
            // As if a segment began where one says so.
            let begins = tip.seq == 0 || line.windows(CONTINUES.len()).any(|bytes| bytes == CONTINUES);
            let place = if begins { Place::Beginning } else { Place::Within };
            if let Ok(seen) = tip.accept(line, place) {
                // A record that was judged good can be folded, except one with numbers beyond the range of a
                // double.
                drop(Record::parse(line));
                let _ = seen.stored().count();
            }
        }
    }
    let text = String::from_utf8_lossy(bytes);
    drop(note::Checkpoint::parse(&text));
    drop(note::parse_verifier_key(&text));
    drop(serde_json::from_slice::<Opening>(bytes));
}

/// Why a fold ended early.
#[derive(Debug, thiserror::Error)]
pub enum FoldError<E> {
    /// The log cannot be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The caller ended it.
    #[error("{0}")]
    Caller(E),
}

/// Passes each record, once judged, to `each`, in order, with the position behind it. From a position that a
/// caller kept with a snapshot of its fold, the chain is checked and everything before it is trusted; from
/// `None`, everything is verified. Returns the position behind the last record.
///
/// # Errors
/// See [`FoldError`].
pub fn fold<E>(
    dir: &Path,
    from: Option<Position>,
    mut each: impl FnMut(&Record, Position) -> Result<(), E>,
) -> Result<Position, FoldError<E>> {
    let dir = Dir::new(dir);
    let course = Course::read(&dir)?;
    let mut tip = from.map_or_else(Tip::start, |from| Tip::middle(from.seq, from.chain));
    let mut ended = None;
    let finish = stream(&dir, &course, from, &mut tip, &mut |good, tip| {
        let offset = good.at.offset + good.line.len() as u64 + 1;
        let behind = Position { segment: good.at.segment, offset, seq: tip.seq, chain: tip.chain };
        // A line that was judged good can fail to be a value only through a number beyond the range of a
        // double.
        let record = Record::parse(good.line).map_err(|error| {
            let Position { seq, segment, offset, .. } = good.at;
            let kind = DamageKind::Record(error.to_string());
            FoldError::Read(Damage { kind, seq, segment, offset }.into())
        });
        match record.and_then(|record| each(&record, behind).map_err(FoldError::Caller)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                ended = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match ended {
        Some(error) => Err(error),
        None => Ok(finish.position),
    }
}
