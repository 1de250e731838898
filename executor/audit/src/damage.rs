//! Every kind of damage to a log, by name. The name is for programs and tests; the text is for a person.

use std::fmt;

use crate::hash::Hash;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The bytes are not a whole line: the line feed is missing, the line is too long, or the sum does not
    /// match.
    #[error("the line is torn or its bytes were changed: {0}")]
    Line(&'static str),
    /// A line whose sum matches but that no writer writes.
    #[error("the line is not a record: {0}")]
    Record(String),
    /// A record is missing, duplicated or in another place.
    #[error("record {found} stands here")]
    Sequence {
        /// The number that was found.
        found: u64,
    },
    /// The record follows a different record from the one before it.
    #[error("it does not follow the record before it: one of the two was changed, removed or put here")]
    Chain,
    /// The group is not that of the record before, and does not begin here.
    #[error("it says group {found}, which no writer would")]
    Group {
        /// The group that was found.
        found: u64,
    },
    /// The first record does not begin a log, or a later record claims to.
    #[error("{0}")]
    Genesis(&'static str),
    /// Something follows the seal.
    #[error("the log was sealed before this record")]
    AfterSeal,
    /// A checkpoint states a different tree from that of the records before it.
    #[error("the checkpoint does not state the records before it: {0}")]
    Checkpoint(&'static str),
    /// A checkpoint is not signed by the key in force.
    #[error("the checkpoint is not signed by the log's key")]
    Signature,
    /// The previous key did not sign a key record.
    #[error("the new key is not handed over by the key before it: {0}")]
    Key(&'static str),
    /// A result, or a loss, of an intent that is not open.
    #[error("it ends the intent {intent}, which is not open")]
    NotOpen {
        /// Number of the intent.
        intent: u64,
    },
    /// More intents are open than a writer allows.
    #[error("more than {0} intents are open")]
    TooManyOpen(usize),
    /// A segment does not begin where the one before it ends.
    #[error("the segment does not go on where it says: {0}")]
    Continues(&'static str),
    /// A segment that the next one names is not there.
    #[error("the segment {0} is missing")]
    SegmentMissing(u32),
    /// Behind the damaged place is a record whose writer knew the lost ones to be durable.
    #[error("records that were acknowledged are damaged or missing here")]
    Acknowledged,
    /// More bytes are behind the last good record than one group can have.
    #[error("{0} bytes stand behind the last good record, more than one group")]
    TailTooLong(u64),
    /// There are bytes where nothing was ever written.
    #[error("bytes stand behind the end of the segment")]
    BehindEnd,
    /// The log is shorter than a checkpoint held elsewhere.
    #[error("the log holds {found} records, and a checkpoint of {pinned} is known")]
    RolledBack {
        /// Records in the log.
        found: u64,
        /// Records of the checkpoint.
        pinned: u64,
    },
    /// A checkpoint held elsewhere states another tree.
    #[error("the first {0} records are not those of the checkpoint that is known")]
    Forked(u64),
    /// The log is whole, but it is another log.
    #[error("this is another log: {0}")]
    OtherLog(String),
    /// An opening does not open its commitment.
    #[error("the opening of `{0}` does not open its commitment")]
    Opening(String),
    /// The file of a large value is missing or holds something else.
    #[error("the file in `blobs` with the value of `{0}` is missing or was changed")]
    Blob(String),
}

impl DamageKind {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Line(_) => "line",
            Self::Record(_) => "record",
            Self::Sequence { .. } => "sequence",
            Self::Chain => "chain",
            Self::Group { .. } => "group",
            Self::Genesis(_) => "genesis",
            Self::AfterSeal => "after-seal",
            Self::Checkpoint(_) => "checkpoint",
            Self::Signature => "signature",
            Self::Key(_) => "key",
            Self::NotOpen { .. } => "not-open",
            Self::TooManyOpen(_) => "too-many-open",
            Self::Continues(_) => "continues",
            Self::SegmentMissing(_) => "segment-missing",
            Self::Acknowledged => "acknowledged",
            Self::TailTooLong(_) => "tail-too-long",
            Self::BehindEnd => "behind-end",
            Self::RolledBack { .. } => "rolled-back",
            Self::Forked(_) => "forked",
            Self::OtherLog(_) => "other-log",
            Self::Opening(_) => "opening",
            Self::Blob(_) => "blob",
        }
    }
}

/// What is wrong, and with which record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub kind: DamageKind,
    /// Number that the record in this place has or should have.
    pub seq: u64,
    /// Number of its segment.
    pub segment: u32,
    /// Offset of its first byte in the segment.
    pub offset: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, seq, segment, offset } = self;
        write!(f, "record {seq} (segment {segment}, offset {offset}): {kind}")
    }
}

impl std::error::Error for Damage {}

/// A position between two records, with all that is needed to read on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Number of the segment.
    pub segment: u32,
    /// Offset in it.
    pub offset: u64,
    /// Number of the record that is or will be here.
    pub seq: u64,
    /// The chain after the record before.
    pub chain: Hash,
}
