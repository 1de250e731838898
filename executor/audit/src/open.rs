//! Opens a log: takes charge, finds the end, keeps what a crash left, and rotates the key.
//!
//! ```text
//! lock ► token ► course ► last checkpoint ► read on to the end ► keep the tail ► `recovered` + `key` ► delete the old key ► checkpoint
//! ```
//! Reading begins at the last checkpoint, which is signed and holds the tree's peaks and the open intents. If
//! that fails, the whole log is read from the genesis, and the damage found there is the answer. Nothing is
//! cut below a checkpoint, because a record behind the cut would say that what is cut was durable (`stream`).

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::commit::{Active, CommitError, Demand, Log, Numbers};
use crate::course::{Course, ReadError};
use crate::damage::{Damage, DamageKind, Position};
use crate::dir::{self, Dir, Lock, open_regular};
use crate::disclosures::Disclosures;
use crate::draft::Draft;
use crate::field::random;
use crate::hash::{Hash, hex};
use crate::keys::{self, CURRENT, Key, NEXT};
use crate::options::{Limits, Options};
use crate::record::{Cut, Genesis, Kind, Record, Recovery, write_line};
use crate::signer::Signer;
use crate::stream::{Finish, stream};
use crate::tip::{Ending, Identity, Tip, is_origin};

/// Why a log cannot be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process on this machine holds it.
    #[error("another process writes this audit log")]
    Locked,
    /// The operating system refuses.
    #[error("the audit log cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// The existing log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log has ended.
    #[error("the audit log is sealed; start a new log in another directory")]
    Sealed,
    /// The private key in force is missing.
    #[error("the private key of epoch {epoch} is not in `keys/`; the log can be verified but not written on")]
    KeyLost {
        /// The epoch of the key.
        epoch: u64,
    },
    /// The origin is not valid in a note.
    #[error("`{0}` cannot be the origin of a log: it is empty, long, or has white space or a plus")]
    Origin(String),
}

/// What was found on opening.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Leaf of the genesis: the log's id.
    pub log: Hash,
    /// Whether the log begins now.
    pub is_new: bool,
    /// Number of this writer.
    pub epoch: u64,
    /// Intents whose result will never come; a `recovered` record says so.
    pub lost: Vec<u64>,
    /// What a crash left behind the last good record; kept in `recovered/`.
    pub cuts: Vec<Cut>,
    /// Behind the last record: the position of the caller's first one.
    pub position: Position,
}

/// The end that was found.
struct Found {
    tip: Tip,
    finish: Finish,
}

/// Opens the log in this folder, or begins one. The lock returned is held as long as it lives.
pub(crate) fn open(root: &Path, options: &Options) -> Result<(Log, Lock, Recovered), OpenError> {
    if let Some(origin) = options.origin.as_ref().filter(|origin| !is_origin(origin)) {
        return Err(OpenError::Origin(origin.clone()));
    }
    let dir = Dir::new(root);
    dir.create()?;
    let lock = dir.lock()?.ok_or(OpenError::Locked)?;
    let token = hex(&random().map_err(io::Error::other)?);
    dir.take_charge(&token)?;
    let course = Course::read(&dir)?;
    let found = find_end(&dir, &course)?;
    let mut highest = dir.list()?.last().copied().unwrap_or_default();
    highest = highest.max(found.finish.position.segment);
    for number in &course.beyond {
        if !found.finish.tails.iter().any(|tail| tail.segment == *number) {
            drop(std::fs::remove_file(dir.segment(*number)));
        }
    }
    for tail in &found.finish.tails {
        keep(&dir, tail)?;
    }
    let numbers = Arc::new(Numbers::from(highest.saturating_add(1)));
    let (log, recovered) = if found.tip.seq == 0 {
        begin(dir, token, options, found, numbers)?
    } else {
        go_on(dir, token, options, found, numbers)?
    };
    Ok((log, lock, recovered))
}

/// Reads to the end of the log.
fn find_end(dir: &Dir, course: &Course) -> Result<Found, ReadError> {
    let to_end = |from, mut tip: Tip| {
        let finish = stream(dir, course, from, &mut tip, &mut |_, _| ControlFlow::Continue(()))?;
        Ok::<_, ReadError>(Found { tip, finish })
    };
    // Any failure on the short path occurs again on the long one, which reports it.
    if let Ok(Some((from, tip))) = crate::resume::last_checkpoint(dir, course)
        && let Ok(found) = to_end(Some(from), tip)
    {
        return Ok(found);
    }
    to_end(None, Tip::start())
}

/// Keeps the bytes of a tail, so that recovery never loses anything.
fn keep(dir: &Dir, tail: &Cut) -> io::Result<()> {
    let file = open_regular(&dir.segment(tail.segment))?;
    let mut bytes = vec![0; usize::try_from(tail.bytes).unwrap_or_default()];
    file.read_exact_at(&mut bytes, tail.offset)?;
    dir::write_whole(&dir.recovered(tail.segment, tail.offset), &bytes)
}

fn new_log(
    dir: Dir,
    token: String,
    options: &Options,
    tip: Tip,
    active: Active,
    numbers: Arc<Numbers>,
    signer: Signer,
) -> Log {
    Log {
        dir,
        token,
        limits: Limits::of(options),
        checkpoint_every: options.checkpoint_every,
        tip,
        active,
        numbers,
        attempted: 0,
        spare: None,
        signer: Arc::new(signer),
        checkpointed: Instant::now(),
        disclosures: Disclosures::default(),
    }
}

/// Begins a log.
fn begin(
    dir: Dir,
    token: String,
    options: &Options,
    found: Found,
    numbers: Arc<Numbers>,
) -> Result<(Log, Recovered), OpenError> {
    let key = Key::generate(1, None)?;
    key.write(&dir, CURRENT)?;
    let genesis = Genesis {
        format: crate::record::FORMAT.to_owned(),
        nonce: Hash::new(random().map_err(io::Error::other)?),
        public: Hash::new(key.public().to_bytes()),
        origin: options.origin.clone(),
    };
    let record = Record {
        time: Some(crate::entry::now_ms()),
        policy_digest: options.policy_digest.clone(),
        genesis: Some(genesis.clone()),
        ..Record::new(Kind::Genesis)
    };
    let draft = Draft::of(&record).map_err(io::Error::from)?;
    // The line is known before it is written, because it is the first.
    let mut line = Vec::new();
    write_line(&mut line, 0, 0, &Hash::ZERO, &draft.body);
    line.pop();
    let identity = Identity::of(&genesis, &line)
        .map_err(|kind| ReadError::Damaged(Damage { kind, seq: 0, segment: 0, offset: 0 }))?;
    let signer = Signer { key, identity: Arc::new(identity.clone()) };
    let active = Active::Dead { segment: 0, offset: 0, recovery: Recovery::default() };
    let tip = Tip { key: Some(identity.first), epoch: 1, ..Tip::start() };
    let tip = Tip { identity: Some(Arc::new(identity)), ..tip };
    let mut log = new_log(dir, token, options, tip, active, numbers, signer);
    let mut drafts = vec![draft];
    if !found.finish.tails.is_empty() {
        let (time, recovered) = (Some(crate::entry::now_ms()), Some(recovery(&found)));
        let record = Record { time, recovered, ..Record::new(Kind::Recovered) };
        drafts.push(Draft::of(&record).map_err(io::Error::from)?);
    }
    commit(&mut log, &drafts, Demand::WhenDue)?;
    commit(&mut log, &[], Demand::Checkpoint)?;
    let recovered = describe(&log, true, found);
    Ok((log, recovered))
}

fn recovery(found: &Found) -> Recovery {
    Recovery {
        cause: "open".to_owned(),
        cuts: found.finish.tails.clone(),
        lost: found.tip.open.iter().copied().collect(),
    }
}

fn describe(log: &Log, is_new: bool, found: Found) -> Recovered {
    Recovered {
        log: log.signer.identity.log,
        is_new,
        epoch: log.tip.epoch,
        lost: found.tip.open.into_iter().collect(),
        cuts: found.finish.tails,
        position: log.position(),
    }
}

fn commit(log: &mut Log, drafts: &[Draft], demand: Demand) -> Result<(), OpenError> {
    match log.commit(drafts, demand) {
        Ok(_) => Ok(()),
        Err(CommitError::Fenced) => Err(OpenError::Locked),
        Err(CommitError::Room(error) | CommitError::Write(error) | CommitError::Openings(error)) => {
            Err(OpenError::Io(io::Error::new(error.kind(), error)))
        }
    }
}

/// The private key that the log says is in force. A crash may have left it under the name of the next one.
fn key_in_force(dir: &Dir, tip: &Tip) -> Result<Key, OpenError> {
    let is_it = |key: &Key| tip.key.is_some_and(|public| public == key.public());
    if let Some(key) = Key::read(dir, CURRENT)?.filter(is_it) {
        return Ok(key);
    }
    match Key::read(dir, NEXT)?.filter(is_it) {
        Some(key) => {
            keys::install(dir)?;
            Ok(key)
        }
        None => Err(OpenError::KeyLost { epoch: tip.epoch }),
    }
}

/// Goes on with a log that has records.
fn go_on(
    dir: Dir,
    token: String,
    options: &Options,
    found: Found,
    numbers: Arc<Numbers>,
) -> Result<(Log, Recovered), OpenError> {
    if found.tip.ending == Ending::Sealed {
        drop(keys::destroy(&dir));
        return Err(OpenError::Sealed);
    }
    let damaged = || {
        let Position { segment, offset, seq, .. } = found.finish.position;
        let kind = DamageKind::Genesis("the log does not begin with one");
        ReadError::Damaged(Damage { kind, seq, segment, offset })
    };
    let identity = found.tip.identity.clone().ok_or_else(damaged)?;
    let key = key_in_force(&dir, &found.tip)?;
    let next = Key::generate(key.epoch.saturating_add(1), Some(key.public()))?;
    let Position { segment, offset, .. } = found.finish.position;
    // Always in another segment: a writer that a lock did not stop may still write to this one, behind the
    // place where the log leaves it.
    let active = Active::Dead { segment, offset, recovery: recovery(&found) };
    let signer = Signer { key, identity: Arc::clone(&identity) };
    let mut log = new_log(dir, token, options, found.tip.clone(), active, numbers, signer);
    if log.tip.ending == Ending::Sealing {
        commit(&mut log, &[], Demand::Checkpoint)?;
        drop(keys::destroy(&log.dir));
        return Err(OpenError::Sealed);
    }
    next.write(&log.dir, NEXT)?;
    commit(&mut log, &[Draft::key(next.public())], Demand::WhenDue)?;
    keys::install(&log.dir)?;
    log.tip.key = Some(next.public());
    log.tip.epoch = next.epoch;
    log.signer = Arc::new(Signer { key: next, identity });
    commit(&mut log, &[], Demand::Checkpoint)?;
    trim(&log, segment, offset, &found.finish.tails);
    let recovered = describe(&log, false, found);
    Ok((log, recovered))
}

/// Frees the room behind the place where the log leaves its old segment, including what was cut: it is kept
/// elsewhere, and no course leads to it. A failure costs only disk space.
fn trim(log: &Log, segment: u32, offset: u64, tails: &[Cut]) {
    let cuts = tails.iter().map(|tail| (tail.segment, tail.offset));
    for (segment, offset) in cuts.chain([(segment, offset)]) {
        if let Ok(file) = File::options().write(true).open(log.dir.segment(segment)) {
            drop(file.set_len(offset));
        }
    }
}
