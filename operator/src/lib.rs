//! The operator: keeps in a cluster what its policy packs and bindings say.
//!
//! What it is: one loop over the whole cluster. Watches fill a mirror; a pure function makes of it everything that there is to be; what differs is
//! written. What it is not: it decides no request (the webhook does), it runs nothing on a node, and it keeps nothing of its own: whatever it must
//! remember stands in the API server.
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
//! Guarantees: a pack or a binding that does not compile changes nothing that works; one operator writes at a time; nothing is written while the
//! cluster is as wanted; what somebody else changed is put back.
//!
//! Terms. *Pass*: one comparison of everything. *Wanted*, *live*: an object as it is to be, and as it is. *Drift*: a difference that the
//! operator did not make.

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
pub mod report;
mod serve;
pub mod status;
pub mod watch;
pub mod whole;
pub mod world;

pub use serve::{Log, LogFormat, Serve, ServeError, Switch, Webhook, serve};
