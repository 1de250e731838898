//! Judging Kubernetes objects: one path for the webhook's `/mutate` and `/validate` and for `bailiwick
//! review`.
//!
//! Not a server and not a reader of files: it takes the bytes of an AdmissionReview and returns a
//! [`Decision`](crate::decision::Decision) or the bytes of the answer.
//!
//! ```text
//! bytes ► request::parse ┐                       ┌ Phase::Mutate   ► mutate ► patch
//! manifest ► manifest  ──┴► AdmissionRequest ► decide             ┌ subjects
//!                                                └ Phase::Validate ┤ sections (podSecurity, images, …) ► ratchet ► Decision ► response
//!                                                                  └ rules (CEL, Rego)
//! ```
//!
//! Terms. *View*: the pod that is judged, either the object itself or the one that a workload's template
//! makes. *Governed*: in a namespace and with labels that a policy's subject selects, before or after the
//! change. *Stage*: how far a policy is in force, from `Audit`, where what it would deny is recorded, to
//! `Enforce`. *Section finding*: made by a section of the pack (`isolation`, `network`, `images`,
//! `subjects`), as opposed to an authored rule. *Ratchet*: an UPDATE is judged on what it changes.
//!
//! `/validate` judges the pod that will be stored, exactly as it came: what `/mutate` should have written
//! must be there. Templates are judged after the mutations that their pods will get. A policy that is not
//! enforced yet writes nothing, and judges what it would have written. [`Reviewer::admit`] calls both in turn,
//! as the API server does.

pub mod defaults;
pub mod evidence;
pub mod images;
pub mod in_force;
pub mod manifest;
pub mod namespaces;
pub mod pod_security;
pub mod rego;
pub mod request;
pub mod response;
pub mod schema;
pub mod templates;

mod allowance;
mod annotation;
mod apply;
mod changeable;
mod decide;
mod digests;
mod field;
mod fuzz;
mod image_layer;
mod json_patch;
mod matching;
mod mutate;
mod patch;
mod pointer;
mod ratchet;
mod reads;
mod ready;
mod review;
mod reviewer;
mod rules;
mod sections;
mod selector;
mod shape;
mod subjects;
mod targets;
mod unread;
mod watched;

#[cfg(test)]
mod tests;

pub use annotation::annotation_name;
pub use decide::{Admitted, Facts, LEARNING_ROUNDS, Phase, Reviewed, Wanted};
pub use fuzz::fuzz;
pub use in_force::{Excepted, Exception, InForce, Moment, Stage};
pub use manifest::ManifestContext;
pub use matching::{WAYS_INTO_A_POD, takes_in_pods};
pub use namespaces::Namespaces;
pub use pointer::MAX_SEGMENTS;
pub use ratchet::WRITTEN_WHEN_FINALIZED;
pub use reads::RuleReads;
pub use request::{AdmissionRequest, Operation};
pub use reviewer::{LoadError, Reviewer};
pub use watched::WatchedAt;

/// The label that ties a pod to the policies that admitted it.
pub const CELL_LABEL: &str = "bailiwick.dev/cell";
