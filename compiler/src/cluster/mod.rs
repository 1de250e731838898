//! What is in force in a cluster: from packs, bindings, exceptions and namespaces to what governs each pod,
//! and to the objects that enforce it. The operator applies the objects and the webhook decides by the
//! policies; both call the same functions, so they cannot disagree.
//!
//! Pure: this module watches, reads and applies nothing, and reads no clock. The caller supplies the objects
//! as the API server returned them.
//!
//! ```text
//! PolicyPack ► ClusterPacks ┐
//! PolicyBinding ────────────┴► InForce::update ► BoundPolicy (one of each binding, the last that compiled) ┐
//! Namespaces ──────────────────────────────────────────────────────────────────────────────────────────────┴► cells ► Cell
//! BoundPolicy, Cell, PolicyException ► emit::objects ► Object (for server-side apply), webhook configurations (only to be armed)
//! ```
//!
//! Terms. *Bound policy*: one pack met with what it extends, with the binding's values and narrower subjects.
//! *In force*: for each binding, the last bound policy that compiled; a pack or value that does not compile
//! changes nothing that works. *Cell*: bindings that govern some pods together; admission stamps its name on
//! these pods. The stage of a binding is not part of the name, so that a new stage does not require new pods.
//! *Effective policy of a cell*: the meet of its enforced bindings.
//!
//! How a caller uses it:
//!
//! 1. Put every `PolicyPack` into [`ClusterPacks`] as JSON, sorted by [`precedence`]. Not as the typed kind: `"${name}"` may be where
//!    the type has a number.
//! 2. [`InForce::update`] with all bindings; keep the value for the next time. A [`Verdict`] for each binding
//!    says what its status should be.
//! 3. [`cells`] with the namespaces; publish [`Effective::bundle`] of each cell by its digest.
//! 4. [`crate::emit::objects`] gives the objects to apply; [`crate::emit::webhooks`] the webhook
//!    configurations.
//! 5. In the webhook: [`InForce::reviewable`] gives the argument of
//!    `bailiwick_policy::admission::Reviewer::with_rego`.

mod asked;
mod binding;
mod cells;
mod exception;
mod packs;
mod widening;

pub use asked::{Answers, Asked};
pub(crate) use binding::stage;
pub use binding::{Binding, BoundPolicy, InForce, PackId, Reason, Taken, Verdict};
pub use cells::{Cell, Cells, Effective, MAX_CELLS, Problem, cells};
pub use exception::{ExceptionError, MAX_EXCEPTION_S, exception, exceptions};
pub use packs::{ClusterPacks, LOCK_ANNOTATION, PackError, precedence};
pub use widening::{Widening, opens, widens};

/// Labels of namespaces, by name, as in the API server.
pub type NamespaceLabels = std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>;
