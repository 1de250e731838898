//! Who of several operators acts: an election over a `coordination.k8s.io/v1` Lease.
//!
//! Guarantees: at no moment do two operators find their [`Fence`] open (`decide` has the argument, `tests` the simulation); whoever led and
//! cannot be sure to lead still writes nothing more and ends, and does not follow again in the same process. What the API server cannot
//! promise to anybody: that a write which was sent in time is also stored in time. Therefore writes carry the `resourceVersion` that they
//! were decided on wherever one is known, and a write that takes longer than [`crate::limits::WRITE_TIMEOUT`] is given up.

mod decide;
mod fence;
mod keep;
#[cfg(test)]
mod tests;

pub use decide::{Memory, Move, Record, Stop, Terms, decide};
pub use fence::{Fence, Shut};
pub use keep::{Election, LeaseError};
