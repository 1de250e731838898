//! The admission webhook: decides AdmissionReviews over TLS by compiled policy.
//!
//! What it is: a server around [`bailiwick_policy::admission::Reviewer`]. It holds no policy logic: it says
//! about an object what `bailiwick review` says, because both call the same function. What it is not: with
//! policies from files it contacts no API server. With policies from the cluster it reads the packs and
//! bindings, and asks the API server who may widen them. It writes nothing but logs. Between judgements,
//! [`bailiwick_images`] contacts registries.
//!
//! ```text
//!             ┌ listen: accept ─ TLS ─ HTTP/1.1 or 2 ┐      ┌ body: bounded ┐
//!  API server ┤ limits, watchdog, drain              ├ http ┤               ├ judge ─ Snapshot (ArcSwap) ─ Reviewer
//!             └──────────────────────────────────────┘      └ deadline      ┘            ▲
//!  files: bundles, namespaces, certificate and key ───── reload: fingerprint, load, swap ─┤
//!  cluster: packs, bindings, exceptions, namespaces ──── follow: watch, compile, swap ────┘
//! ```
//!
//! Terms. *Snapshot*: the bundles and namespaces in force, immutable; a reload replaces it as a whole.
//! *Refused*: answered without a judgement, because the request was malformed or a limit was reached. A
//! refused request is never allowed.

#![forbid(unsafe_code)]

mod activity;
mod body;
mod cluster;
mod deadline;
mod follow;
mod http;
mod judge;
mod limits;
mod listen;
mod metrics;
mod reload;
mod serve;
mod shares;
mod snapshot;
mod state;
mod tls;
mod turns;
mod user;

pub use limits::Limits;
pub use serve::{Serve, ServeError, serve};
