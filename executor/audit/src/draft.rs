//! A record before it has a position in the log, and the position that it gets.

use ed25519_dalek::VerifyingKey;

use crate::damage::Position;
use crate::entry::Openings;
use crate::hash::Hash;
use crate::record::{Kind, Record};

/// Bound of a key record's body: two keys, a signature, an epoch and a time.
const KEY_BODY_BYTES: usize = 400;

/// A record that waits to be written.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
    /// Numbers of the intents that it ends.
    pub(crate) ends: Vec<u64>,
    /// For each opening of its commitments, the text that follows the record's number.
    pub(crate) openings: Vec<Vec<u8>>,
    pub(crate) flush_openings: Openings,
    /// Of a key record: the key that takes over. The body is made when the record's position is known,
    /// because the position is signed too.
    pub(crate) next_key: Option<VerifyingKey>,
}

impl Draft {
    /// A key record.
    pub(crate) fn key(next: VerifyingKey) -> Self {
        Self {
            kind: Kind::Key,
            // As long as the body will be, so that the room can be counted.
            body: vec![0; KEY_BODY_BYTES],
            ends: Vec::new(),
            openings: Vec::new(),
            flush_openings: Openings::WithCheckpoint,
            next_key: Some(next),
        }
    }

    pub(crate) fn of(record: &Record) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: record.kind,
            body: record.body()?,
            ends: record.ends().to_vec(),
            openings: Vec::new(),
            flush_openings: Openings::WithCheckpoint,
            next_key: None,
        })
    }
}

impl Draft {
    /// What it costs in memory while it waits.
    pub(crate) fn weight(&self) -> usize {
        self.body.len() + self.openings.iter().map(Vec::len).sum::<usize>()
    }
}

/// The position of a durable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its number.
    pub seq: u64,
    /// Its leaf.
    pub leaf: Hash,
    /// The position behind it, where a fold that included it goes on.
    pub next: Position,
}
