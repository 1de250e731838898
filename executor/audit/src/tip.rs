//! The state of a log after some record, against which the next line is judged. Verifier and recovery share
//! it; the writer advances it with each line that it writes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::damage::DamageKind;
use crate::hash::Hash;
use crate::merkle::Tree;
use crate::note;
use crate::record::{FORMAT, Genesis, KeyChange, Kind, Record, write_line};
use crate::seen::Seen;

/// Most intents without a result at one time. Each reserves room in the segment for its result, and a
/// checkpoint lists them all.
pub const MAX_OPEN: usize = 512;

/// Most records in one group, which bounds what a crash can cut.
pub const MAX_GROUP_RECORDS: u64 = 256;

/// The identity of a log, from its genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Leaf of the genesis.
    pub(crate) log: Hash,
    /// Origin of its checkpoints, and name of its keys.
    pub(crate) origin: String,
    /// The first key.
    pub(crate) first: VerifyingKey,
}

/// What may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Anything may follow.
    Open,
    /// The seal is written; only the checkpoint that covers it may follow.
    Sealing,
    /// Nothing may follow.
    Sealed,
}

/// Where in its segment a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the first.
    Beginning,
    /// Others stand before it.
    Within,
}

/// A log after some record.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    /// Number of the next record.
    pub(crate) seq: u64,
    /// First record of the last record's group.
    pub(crate) group: u64,
    /// The chain.
    pub(crate) chain: Hash,
    /// The tree; `None` when reading began in the middle, so that checkpoints cannot be judged.
    pub(crate) tree: Option<Tree>,
    /// Intents without a result.
    pub(crate) open: BTreeSet<u64>,
    /// `None` before the genesis, and when reading began in the middle.
    pub(crate) identity: Option<Arc<Identity>>,
    /// The key in force.
    pub(crate) key: Option<VerifyingKey>,
    /// Number of the writer.
    pub(crate) epoch: u64,
    /// How many records the last checkpoint covers.
    pub(crate) covered: u64,
    /// Whether more may follow.
    pub(crate) ending: Ending,
}

impl Tip {
    /// Before the genesis.
    pub(crate) fn start() -> Self {
        Self {
            seq: 0,
            group: 0,
            chain: Hash::ZERO,
            tree: Some(Tree::default()),
            open: BTreeSet::new(),
            identity: None,
            key: None,
            epoch: 0,
            covered: 0,
            ending: Ending::Open,
        }
    }

    /// In the middle: only numbers and chain can be judged from here on.
    pub(crate) fn middle(seq: u64, chain: Hash) -> Self {
        Self { seq, group: seq, chain, tree: None, ..Self::start() }
    }

    /// Judges the next line (without its line feed) and advances past it. A line that fails leaves the tip as it is.
    pub(crate) fn accept(&mut self, line: &[u8], place: Place) -> Result<Seen, DamageKind> {
        let seen = Seen::read(line)?;
        if seen.seq != self.seq {
            return Err(DamageKind::Sequence { found: seen.seq });
        }
        if seen.prev != self.chain {
            return Err(DamageKind::Chain);
        }
        let begins = seen.group == seen.seq;
        let goes_on = seen.group == self.group && seen.seq.saturating_sub(seen.group) < MAX_GROUP_RECORDS;
        if !begins && !goes_on {
            return Err(DamageKind::Group { found: seen.group });
        }
        match (self.ending, seen.kind) {
            (Ending::Open, _) | (Ending::Sealing, Kind::Checkpoint) => {}
            _ => return Err(DamageKind::AfterSeal),
        }
        if (seen.kind == Kind::Genesis) != (seen.seq == 0) {
            return Err(DamageKind::Genesis("a log has one genesis, and it is the record 0"));
        }
        self.judge_continues(&seen, place)?;
        if let Some(record) = &seen.control {
            self.judge(record, line)?;
        }
        if seen.kind == Kind::Intent && self.open.len() >= MAX_OPEN {
            return Err(DamageKind::TooManyOpen(MAX_OPEN));
        }
        let step = seen.step();
        self.judge_closed(&step.ends)?;
        self.advance(&step, line);
        Ok(seen)
    }

    /// Checks what its kind requires of a control record.
    fn judge(&mut self, record: &Record, line: &[u8]) -> Result<(), DamageKind> {
        match record.kind {
            Kind::Genesis => self.judge_genesis(record, line),
            Kind::Checkpoint => self.judge_checkpoint(record, line),
            Kind::Key => self.judge_key(record),
            _ => Ok(()),
        }
    }

    /// The first record of a segment, and no other, says what the segment continues.
    fn judge_continues(&self, seen: &Seen, place: Place) -> Result<(), DamageKind> {
        let continues = seen.control.as_ref().and_then(|record| record.continues.as_ref());
        match (continues, place) {
            (Some(continues), Place::Beginning) if self.seq > 0 && continues.hash == self.chain => Ok(()),
            (None, Place::Within) => Ok(()),
            (None, Place::Beginning) if self.seq == 0 => Ok(()),
            (Some(_), Place::Beginning) if self.seq > 0 => {
                Err(DamageKind::Continues("its hash is not that of the chain there"))
            }
            _ => Err(DamageKind::Continues("only the first record of a segment continues another")),
        }
    }

    fn judge_genesis(&mut self, record: &Record, line: &[u8]) -> Result<(), DamageKind> {
        let Some(genesis) = &record.genesis else { return Ok(()) };
        let identity = Identity::of(genesis, line)?;
        self.key = Some(identity.first);
        self.identity = Some(Arc::new(identity));
        self.epoch = 1;
        Ok(())
    }

    /// A checkpoint's line is fully determined: the records before it and the signature allow exactly one
    /// text.
    fn judge_checkpoint(&self, record: &Record, line: &[u8]) -> Result<(), DamageKind> {
        if record.group != record.seq {
            return Err(DamageKind::Checkpoint("it does not begin its group"));
        }
        let (Some(tree), Some(identity), Some(key)) = (&self.tree, &self.identity, &self.key) else {
            return Ok(());
        };
        let Some(said) = &record.note else { return Ok(()) };
        let checkpoint =
            note::Checkpoint { origin: identity.origin.clone(), size: self.seq, root: tree.root() };
        match note::Checkpoint::parse(said) {
            Ok(said) if said == checkpoint => {}
            Ok(_) => return Err(DamageKind::Checkpoint("origin, size or root")),
            Err(_) => return Err(DamageKind::Checkpoint("it holds no note")),
        }
        let only = Record {
            open: Some(self.open.iter().copied().collect()),
            peaks: Some(tree.peaks().to_vec()),
            note: record.note.clone(),
            continues: record.continues.clone(),
            ..Record::new(Kind::Checkpoint)
        };
        let body = only.body().map_err(|error| DamageKind::Record(error.to_string()))?;
        let mut expected = Vec::with_capacity(line.len() + 1);
        write_line(&mut expected, record.seq, record.group, &record.prev, &body);
        expected.pop();
        if expected != line || said.split('\n').count() != 6 {
            return Err(DamageKind::Checkpoint("its open intents, its peaks or its form"));
        }
        note::verify(said, &identity.origin, key).map_err(|_| DamageKind::Signature)
    }

    fn judge_key(&mut self, record: &Record) -> Result<(), DamageKind> {
        let Some(change) = &record.key else { return Ok(()) };
        let next = note::public_key(change.public.as_bytes()).ok_or(DamageKind::Key("no key"))?;
        if let (Some(identity), Some(key)) = (&self.identity, &self.key) {
            if change.epoch != self.epoch.saturating_add(1) {
                return Err(DamageKind::Key("the epoch is not the next one"));
            }
            if change.previous.as_bytes() != key.as_bytes() {
                return Err(DamageKind::Key("another key was in force"));
            }
            verify_key_change(&identity.log, record.seq, &record.prev, change, key)?;
        }
        self.key = self.key.map(|_| next);
        self.epoch = change.epoch;
        Ok(())
    }

    fn judge_closed(&self, intents: &[u64]) -> Result<(), DamageKind> {
        // In the middle of a log, the open intents are not known.
        if self.identity.is_none() {
            return Ok(());
        }
        let mut last = None;
        for intent in intents {
            if !self.open.contains(intent) || last.is_some_and(|last| last >= *intent) {
                return Err(DamageKind::NotOpen { intent: *intent });
            }
            last = Some(*intent);
        }
        Ok(())
    }

    /// Advances past a record that is known to be good, and returns its leaf. The writer calls it for what it
    /// writes.
    pub(crate) fn advance(&mut self, step: &Step<'_>, line: &[u8]) -> Hash {
        let leaf = Hash::leaf(line);
        self.chain = self.chain.link(&leaf);
        if let Some(tree) = &mut self.tree {
            tree.push(leaf);
        }
        for intent in step.ends.iter() {
            self.open.remove(intent);
        }
        match step.kind {
            Kind::Intent => drop(self.open.insert(self.seq)),
            Kind::Checkpoint => {
                self.covered = self.seq;
                if self.ending == Ending::Sealing {
                    self.ending = Ending::Sealed;
                }
            }
            Kind::Seal => self.ending = Ending::Sealing,
            _ => {}
        }
        self.group = step.group;
        self.seq = self.seq.saturating_add(1);
        leaf
    }
}

/// The part of a record that moves the tip.
#[derive(Clone, Debug)]
pub(crate) struct Step<'r> {
    pub(crate) kind: Kind,
    /// Its group.
    pub(crate) group: u64,
    /// Numbers of the intents that it ends.
    pub(crate) ends: Cow<'r, [u64]>,
}

impl Identity {
    /// The identity that a genesis states, from its line.
    pub(crate) fn of(genesis: &Genesis, line: &[u8]) -> Result<Self, DamageKind> {
        if genesis.format != FORMAT {
            return Err(DamageKind::Genesis("another format or another version of it"));
        }
        let log = Hash::leaf(line);
        let origin = genesis.origin.clone().unwrap_or_else(|| format!("bailiwick.dev/log/{log}"));
        if !is_origin(&origin) {
            return Err(DamageKind::Genesis("the origin cannot stand in a note"));
        }
        let first = note::public_key(genesis.public.as_bytes());
        let first = first.ok_or(DamageKind::Genesis("it holds no public key"))?;
        Ok(Self { log, origin, first })
    }
}

/// Whether a text can be the name of a key in a signed note: not empty, no white space, no plus.
pub(crate) fn is_origin(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 256
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn verify_key_change(
    log: &Hash,
    seq: u64,
    prev: &Hash,
    change: &KeyChange,
    key: &VerifyingKey,
) -> Result<(), DamageKind> {
    let wrong = || DamageKind::Key("the signature is wrong");
    let bytes = STANDARD.decode(&change.signature).map_err(|_| wrong())?;
    let signature = Signature::from_slice(&bytes).map_err(|_| wrong())?;
    let message = KeyChange::message(log, seq, prev, change.epoch, &change.public);
    key.verify_strict(&message, &signature).map_err(|_| wrong())
}
