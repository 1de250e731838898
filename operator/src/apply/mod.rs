//! Keeps objects in their desired state: compares, writes what differs, removes what is no longer wanted.
//!
//! ```text
//!  wanted ─┐
//!  live ───┼► plan (pure) ─► writes ─► engine: fence ─ server-side apply ─► answer ─► mirror
//!  forms ──┘                              └ still not as wanted: replace ─ not possible: delete and create again
//! ```
//!
//! Terms. *Form*: how the API server stores our manifest when no other client modifies it, with all its
//! defaults. The answer to a creation is one; otherwise a dry run under another name fetches it. So there is no
//! table of defaults that could be wrong or outdated. An object is as wanted exactly if its body equals its
//! form. A field that another client *added* is therefore drift as well, which server-side apply alone would
//! leave in place (an added egress rule widens a policy). *Drift*: a difference that the operator did not make.
//!
//! Guarantees: nothing is written while live equals wanted. A write carries the version that was compared; if
//! the object changed since, it is compared again. Nothing that is not labelled as this operator's is ever
//! deleted.

mod created;
mod engine;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use engine::WriteError;
pub use engine::{Engine, Failure, Pass};
pub use plan::{Forms, Plan, Why, Write, plan};
