//! What is in force in a cluster: from packs, bindings, exceptions and namespaces to what governs each pod, and to the objects that hold
//! it there. The operator applies them, the webhook decides by them; both call the same functions, so that neither can know another policy.
//!
//! Pure: nothing is watched, read or applied here, and no clock is read. Whoever calls this has the objects as the API server gave them.
//!
//! ```text
//! PolicyPack ► ClusterPacks ┐
//! PolicyBinding ────────────┴► InForce::update ► BoundPolicy (one of each binding, the last that compiled) ┐
//! Namespaces ──────────────────────────────────────────────────────────────────────────────────────────────┴► cells ► Cell
//! BoundPolicy, Cell, PolicyException ► emit::objects ► Object (for server-side apply), webhook configurations (only to be armed)
//! ```
//!
//! Terms. *Bound policy*: one pack with what it extends, met, with the binding's values and narrower subjects. *In force*: of each binding the
//! last bound policy that compiled; a pack or a value that does not compile changes nothing that works. *Cell*: bindings that
//! govern some pods together; its name is what admission stamps on these pods. The stage of a binding is not part of the name, so
//! that a pod need not be made anew when a stage changes. *Effective policy of a cell*: the meet of its bindings that are enforced.
//!
//! How a caller uses it:
//!
//! 1. Put every `PolicyPack` into [`ClusterPacks`] as JSON. Not as the typed kind: `"${name}"` may stand where the type has a number.
//! 2. [`InForce::update`] with all bindings; keep the value for the next time. A [`Verdict`] of each binding says what its status should.
//! 3. [`cells`] with the namespaces; publish [`Effective::bundle`] of each cell by its digest.
//! 4. [`crate::emit::objects`] for what is to be applied; [`crate::emit::webhooks`] for the webhook configurations.
//! 5. In the webhook: [`InForce::reviewable`] gives what `bailiwick_policy::admission::Reviewer::with_rego` takes.

mod asked;
mod binding;
mod cells;
mod exception;
mod packs;
mod widening;

pub use asked::{Answers, Asked};
pub use binding::{Binding, BoundPolicy, InForce, PackId, Reason, Verdict};
pub use cells::{Cell, Cells, Effective, MAX_CELLS, Problem, cells};
pub use exception::{ExceptionError, MAX_EXCEPTION_S, exception};
pub use packs::{ClusterPacks, LOCK_ANNOTATION, PackError};
pub use widening::{Widening, opens, widens};

/// Labels of namespaces, by name, as the API server has them.
pub type NamespaceLabels = std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>;
