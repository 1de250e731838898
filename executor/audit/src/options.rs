//! How a log is written, and the limits that follow from it.

use std::time::Duration;

use crate::record::MAX_LINE_BYTES;
use crate::tip::MAX_OPEN;

/// Smallest segment: below it, no record of a useful length fits next to the room for results.
pub const MIN_SEGMENT_BYTES: u64 = 64 * 1024;

/// Largest segment: offsets stay far from any limit of a file system.
pub const MAX_SEGMENT_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Whether the next segment is made before it is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prepare {
    /// By the attendant, as soon as the active segment is half full. No append waits for zeros to be written.
    #[default]
    Ahead,
    /// When it is needed.
    OnDemand,
}

/// How a log is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a segment; from [`MIN_SEGMENT_BYTES`] to [`MAX_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Room reserved for the result of each open intent, and so the longest record of a result.
    pub result_room_bytes: u64,
    /// How long records may go without a checkpoint in the log.
    pub checkpoint_every: Duration,
    /// How long a result that no thread waits for may wait for a group to join.
    pub linger: Duration,
    /// Whether the next segment is made before it is needed.
    pub prepare: Prepare,
    /// For a new log: the origin of its checkpoints, instead of `bailiwick.dev/log/` and the log's id.
    pub origin: Option<String>,
    /// For a new log: SHA-256 of the bundle that it begins with.
    pub policy_digest: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // Filled within some ten milliseconds, and never a reason to wait at any rate that a disk can
            // sustain.
            segment_bytes: 16 * 1024 * 1024,
            result_room_bytes: 8 * 1024,
            checkpoint_every: Duration::from_secs(1),
            linger: Duration::from_millis(5),
            prepare: Prepare::Ahead,
            origin: None,
            policy_digest: None,
        }
    }
}

/// What follows from the options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) segment_bytes: u64,
    pub(crate) result_room: u64,
    /// Most intents without a result.
    pub(crate) max_open: usize,
    /// Room reserved for checkpoints, a key and a seal.
    pub(crate) control_room: u64,
    /// Longest line.
    pub(crate) max_line: usize,
    /// Most bytes of one group, without its checkpoint.
    pub(crate) max_group: usize,
}

/// Two checkpoints without open intents, a key record and a seal.
const CONTROL_BYTES: u64 = 16 * 1024;

/// What one open intent adds to two checkpoints: twice a number of at most 20 digits and a comma.
const CONTROL_BYTES_PER_OPEN: u64 = 42;

/// Most bytes of records in one group; together with the checkpoint before them they fit into the limit on a
/// tail.
const GROUP_BYTES: u64 = 896 * 1024;

impl Limits {
    pub(crate) fn of(options: &Options) -> Self {
        let segment_bytes = options.segment_bytes.clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES);
        let result_room = options.result_room_bytes.clamp(1024, segment_bytes / 16);
        // At most half of a segment is reserved for results; the other half takes new records.
        let held = (segment_bytes / 2).saturating_sub(CONTROL_BYTES);
        let max_open = held / (result_room + CONTROL_BYTES_PER_OPEN);
        let max_open = usize::try_from(max_open).unwrap_or(usize::MAX).min(MAX_OPEN);
        let quarter = segment_bytes / 4;
        Self {
            segment_bytes,
            result_room,
            max_open,
            control_room: CONTROL_BYTES + CONTROL_BYTES_PER_OPEN * max_open as u64,
            max_line: usize::try_from(quarter).unwrap_or(usize::MAX).min(MAX_LINE_BYTES),
            max_group: usize::try_from(quarter.min(GROUP_BYTES)).unwrap_or(usize::MAX),
        }
    }
}
