//! The operator: keeps a cluster in the state that its policy packs and bindings describe.
//!
//! What it is: one loop over the whole cluster. Watches fill a mirror, a pure function derives from it
//! everything that should exist, and what differs is written. What it is not: it decides no request (the
//! webhook does), it runs nothing on a node, and it has no storage of its own: all that it must remember is
//! in the API server.
//!
//! ```text
//!                    ┌ packs, bindings, exceptions, pools, namespaces ┐
//!  API server ─ watch ─ mirror                                        ├ derive (pure) ─ wanted ─┐
//!      ▲             └ objects of ours ───────────────────────────────┴─────────────────────────┴ apply ─ fence ─┐
//!      │                                                                                                         │
//!      └──────── server-side apply, statuses ───────────────────────────────────────────────────────────────────┘
//!  lease: who of several acts · certificates: authority, leaf, bundle · arming: when the webhook is registered
//! ```
//!
//! Guarantees: a pack or a binding that does not compile changes nothing that works. One operator writes at a
//! time. Nothing is written while the cluster is as wanted. Changes by other clients are undone.
//!
//! Terms. *Pass*: one comparison of everything. *Wanted*, *live*: an object as it should be, and as it is.
//! *Drift*: a difference that the operator did not make.

#![forbid(unsafe_code)]

pub mod apply;
pub mod arming;
mod backoff;
pub mod cell_usage;
pub mod certificates;
pub mod clock;
pub mod derive;
pub mod events;
pub mod http;
pub mod kind;
pub mod lease;
pub mod limits;
pub mod metrics;
pub mod mirror;
pub mod object;
pub mod operator;
pub mod plugin;
pub mod pools;
pub mod probe;
pub mod recall;
pub mod report;
mod serve;
pub mod status;
pub mod watch;
pub mod whole;
pub mod world;

pub use serve::{Log, LogFormat, Serve, ServeError, Switch, Webhook, serve};
