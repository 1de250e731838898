//! Leader election over a `coordination.k8s.io/v1` Lease: which of several operators acts.
//!
//! Guarantees: at no moment do two operators find their [`Fence`] open (`decide` has the argument, `tests`
//! the simulation). A leader that cannot be sure to lead still writes nothing more and ends; the same process
//! does not follow again. No API server can promise that a write which was sent in time is also stored in
//! time. Therefore writes carry the `resourceVersion` that they were decided on wherever one is known, and a
//! write that takes longer than [`crate::limits::WRITE_TIMEOUT`] is given up.

mod decide;
mod fence;
mod keep;
#[cfg(test)]
mod tests;

pub use decide::{Memory, Move, Record, Stop, Terms, decide};
pub use fence::{Fence, Shut};
pub use keep::{Election, LeaseError};
