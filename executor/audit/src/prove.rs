//! Proofs that single records are in a log, for whoever has a checkpoint of it and must not see the rest.
//!
//! ```text
//! checkpoint kept elsewhere ─┐
//! DIR ► leaves of its records ► for each record asked for: line, hashes beside its path to the root, openings
//!                                     └► check: line ► leaf ► root of the checkpoint; openings ► commitments in the line
//! ```
//! A proof holds against its recipient's own copy of the checkpoint. So it needs no key, and says nothing about who
//! signed that.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::course::{Course, ReadError};
use crate::dir::Dir;
use crate::field::{Held, Opening};
use crate::hash::Hash;
use crate::merkle::{self, ProofError};
use crate::note::Checkpoint;
use crate::record::Record;
use crate::seen::Seen;
use crate::stream::stream;
use crate::tip::Tip;
use crate::verify::disclosed;

/// A record with the proof that it is in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The origin of the log's checkpoints.
    pub origin: String,
    /// How many records the checkpoint covers.
    pub size: u64,
    /// The record as it is stored, without its line feed.
    pub line: String,
    /// The number of the record.
    pub seq: u64,
    /// The hashes beside the record's path to the root, the lowest first.
    pub hashes: Vec<Hash>,
    /// What opens the commitments of the record.
    pub openings: Vec<Opening>,
}

/// Why nothing is proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The log cannot be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The checkpoint covers more than the log has.
    #[error("the checkpoint covers {size} records, and the log has {records}")]
    Short {
        /// How many it covers.
        size: u64,
        /// How many there are.
        records: u64,
    },
    /// The checkpoint is not of this log.
    #[error("the checkpoint is of another log, or of another course of this one")]
    Other,
    /// The checkpoint does not cover the record.
    #[error("the checkpoint covers {size} records, and record {seq} came later; give a later one")]
    Later {
        /// How many it covers.
        size: u64,
        /// The number of the record.
        seq: u64,
    },
}

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error)]
pub enum NotProven {
    /// It is of another checkpoint.
    #[error("the proof is for {size} records of `{origin}`, and the checkpoint is of others")]
    Checkpoint {
        /// Its log.
        origin: String,
        /// How many records.
        size: u64,
    },
    /// The record is not where the proof says.
    #[error(transparent)]
    Path(#[from] ProofError),
    /// The line is no record.
    #[error("the line is not a record: {0}")]
    Line(String),
    /// A value is not the one that the record commits to.
    #[error("the value of `{0}` is not the one that the record commits to")]
    Opening(String),
}

/// Proves that these records, in the order of their numbers, are among those that the checkpoint covers.
///
/// # Errors
/// See [`ProveError`].
pub fn prove(dir: &Path, seqs: &[u64], checkpoint: &Checkpoint) -> Result<Vec<Proof>, ProveError> {
    let Checkpoint { origin, size, root } = checkpoint.clone();
    if let Some(seq) = seqs.iter().copied().find(|seq| *seq >= size) {
        return Err(ProveError::Later { size, seq });
    }
    let folder = Dir::new(dir);
    let (mut tip, mut leaves, mut found) = (Tip::start(), Vec::new(), Vec::new());
    let mut is_of_this_log = false;
    stream(&folder, &Course::read(&folder)?, None, &mut tip, &mut |good, tip| {
        leaves.push(Hash::leaf(good.line));
        if seqs.contains(&good.at.seq) {
            let line = String::from_utf8_lossy(good.line).into_owned();
            let openings = disclosed(dir, good.at.segment, good.at.seq);
            found.push((good.at.seq, opening(good.line, openings), line));
        }
        if tip.seq < size {
            return ControlFlow::Continue(());
        }
        let is_it = |tree: &merkle::Tree| tree.size() == size && tree.root() == root;
        is_of_this_log = tip.identity.as_ref().is_some_and(|identity| identity.origin == origin)
            && tip.tree.as_ref().is_some_and(is_it);
        ControlFlow::Break(())
    })?;
    if (leaves.len() as u64) < size {
        return Err(ProveError::Short { size, records: leaves.len() as u64 });
    }
    if !is_of_this_log {
        return Err(ProveError::Other);
    }
    let proof = |(seq, openings, line): (u64, Vec<Opening>, String)| {
        let index = usize::try_from(seq).unwrap_or(usize::MAX);
        let hashes = merkle::inclusion_proof(&leaves, index).unwrap_or_default();
        Proof { origin: origin.clone(), size, line, seq, hashes, openings }
    };
    Ok(found.into_iter().map(proof).collect())
}

/// Those that open a commitment of the record, one for each: what else is in the file is nobody's business, and
/// would keep the proof from holding.
fn opening(line: &[u8], mut openings: Vec<Opening>) -> Vec<Opening> {
    let Ok(record) = Record::parse(line) else { return Vec::new() };
    let mut fields = BTreeSet::new();
    openings.retain(|opening| opens(opening, &record) && fields.insert(opening.field.clone()));
    openings
}

/// Whether it opens a commitment of the record.
fn opens(opening: &Opening, record: &Record) -> bool {
    let held = match opening.field.as_str() {
        "arguments" => &record.arguments,
        "facts" => &record.facts,
        "reason" => &record.reason,
        "result" => &record.result,
        _ => &None,
    };
    matches!(held, Some(Held::Commitment(hash)) if opening.seq == record.seq && *hash == opening.commitment())
}

impl Proof {
    /// Checks the proof against a copy of the checkpoint that the recipient got elsewhere. Returns the record.
    ///
    /// # Errors
    /// See [`NotProven`].
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<Record, NotProven> {
        if (&self.origin, self.size) != (&checkpoint.origin, checkpoint.size) {
            return Err(NotProven::Checkpoint { origin: self.origin.clone(), size: self.size });
        }
        let leaf = Hash::leaf(self.line.as_bytes());
        merkle::verify_inclusion(self.seq, self.size, &leaf, &self.hashes, &checkpoint.root)?;
        let unread = |error: &dyn std::fmt::Display| NotProven::Line(error.to_string());
        // Whoever signs may have put there what two readers read differently.
        let seen = Seen::read(self.line.as_bytes()).map_err(|kind| unread(&kind))?;
        if seen.seq != self.seq {
            return Err(unread(&format_args!(
                "it is in place {} and says that it is record {}",
                self.seq, seen.seq
            )));
        }
        let record = Record::parse(self.line.as_bytes()).map_err(|error| unread(&error))?;
        match self.openings.iter().find(|opening| !opens(opening, &record)) {
            Some(opening) => Err(NotProven::Opening(opening.field.clone())),
            None => Ok(record),
        }
    }
}
