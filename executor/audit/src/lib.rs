//! The audit log: a chain of records that cannot be changed unnoticed, and the only truth about what was
//! decided and run.
//!
//! It is neither a policy nor a judge: it records what it is given, in an order that cannot be disputed
//! later. The format is `docs/formats/audit-log.md`. No async: a caller that appends waits in its own thread
//! until the record is on disk.
//!
//! ```text
//! Entry ► entry (commitments) ► draft (body) ► backlog (what waits) ► queue (who leads) ► commit (chain, tree, checkpoint) ► segment (write, flush)
//! DIR ► course (which segments) ► stream (record by record) ► tip (judges each) ► verify, fold, prove, open
//! ```
//!
//! Terms. A *line* is a record as written in the file. Its *leaf* is the line's hash, the *chain* links all
//! leaves so far, and the *tree* is the Merkle tree over them. A *group* is what one flush makes durable. A
//! *checkpoint* is the signed size and root of all records before it. An *intent* is *open* until it has a
//! result.
#![forbid(unsafe_code)]

mod attendant;
mod backlog;
mod blobs;
mod commit;
mod course;
mod crc;
mod damage;
mod dir;
mod disclosures;
mod draft;
mod entry;
mod field;
mod hash;
mod health;
mod keys;
pub mod merkle;
pub mod note;
mod open;
mod options;
mod prove;
mod queue;
pub mod record;
mod resume;
mod scan;
mod seen;
mod segment;
mod signer;
mod stream;
mod tip;
mod verify;
mod waiter;
mod writer;

pub use backlog::Failures;
pub use blobs::blob;
pub use course::ReadError;
pub use damage::{Damage, DamageKind, Position};
pub use draft::Appended;
pub use entry::{Entry, Event, Intent, Openings};
pub use field::{FieldError, Held, MAX_INLINE_BYTES, MAX_VALUE_BYTES, Mode, Opening};
pub use hash::{Hash, NotAHash, hex, unhex};
pub use health::{AppendError, Health};
pub use open::{OpenError, Recovered};
pub use options::{MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES, Options, Prepare};
pub use prove::{NotProven, Proof, ProveError, prove};
pub use tip::{MAX_GROUP_RECORDS, MAX_OPEN};
pub use verify::{FoldError, Known, Report, Status, disclosed, fold, fuzz, openings, verify};
pub use waiter::{Pending, Watch};
pub use writer::{PendingIntent, Recorded, Writer};
