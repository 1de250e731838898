//! Keeping objects as they are wanted: compare, write what differs, remove what is not wanted any more.
//!
//! ```text
//!  wanted ─┐
//!  live ───┼► plan (pure) ─► writes ─► engine: fence ─ server-side apply ─► answer ─► mirror
//!  forms ──┘                              └ not as wanted even so: replace ─ not possible: delete and make anew
//! ```
//!
//! Terms. *Form*: how an object looks when the API server took our manifest and nobody else touched it, with all its defaults. The API
//! server itself tells, by a dry run under another name, so no table of defaults can be wrong or old. An object is as wanted exactly if its
//! body equals its form: a field that somebody *added* is drift as well, which server-side apply alone would leave in place (an added
//! egress rule widens a policy). *Drift*: a difference that did not come from the operator.
//!
//! Guarantees: nothing is written while live equals wanted. A write carries the version that was compared; if the object changed since, it
//! is compared again. Nothing that is not labelled as this operator's is ever deleted.

mod engine;
mod plan;
#[cfg(test)]
mod tests;

pub use engine::{Engine, Failure, Pass};
pub use plan::{Forms, Plan, Why, Write, plan};
