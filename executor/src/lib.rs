//! Decides, confines and records every tool call of an agent, by the policy in a bundle.
//!
//! ```text
//! call.sock ─► api ─► executor ─► docket: decide, record ─► run ─► warm: a sandbox ─► supervise ─► output, outcome ─► docket: settle
//! admin.sock ► api ─► approvals ─► docket: record
//! ```
//!
//! It does not know how a policy is written (the compiler does), how a decision is made (`bailiwick-policy`),
//! how a record is kept (`bailiwick-audit`), or how the kernel is called (`bailiwick-sys`). It links no
//! compiler, no YAML and no Kubernetes client.
//!
//! Two proofs separate an allegation from a process: `Permit`, which only a decision makes, and `Recorded`,
//! which only a durable record makes. [`run::Job`] takes `Recorded<Permit<PlannedCall>>`, and nothing else
//! starts anything.
#![forbid(unsafe_code)]

pub mod api;
pub mod approvals;
mod book;
pub mod call_table;
pub mod calls;
mod clerk;
mod client;
pub mod clock;
pub mod commands;
pub mod confine;
pub mod connection;
mod delivered;
pub mod docket;
pub mod executor;
mod filter;
pub mod host;
mod ids;
pub mod input;
mod judge;
pub mod limits;
pub mod links;
mod logging;
pub mod metrics;
pub mod output;
mod places;
pub mod refusal;
pub mod room;
pub mod run;
pub mod sessions;
pub mod subject;
mod supervise;
mod view;
pub mod warm;
pub mod wire;
