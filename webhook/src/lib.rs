//! The admission webhook: AdmissionReviews over TLS, decided by compiled policy.
//!
//! What it is: a server around [`bailiwick_policy::admission::Reviewer`]. It holds no policy logic: what `bailiwick review`
//! says about an object is what this says, because both call the same function. What it is not: with policies from files it talks to
//! no API server; with policies from the cluster it reads what is bound and asks the API server who may widen. It writes nothing but logs. Registries are
//! asked between judgements, by [`bailiwick_images`].
//!
//! ```text
//!             ┌ listen: accept ─ TLS ─ HTTP/1.1 or 2 ┐      ┌ body: bounded ┐
//!  API server ┤ limits, watchdog, drain              ├ http ┤               ├ judge ─ Snapshot (ArcSwap) ─ Reviewer
//!             └──────────────────────────────────────┘      └ deadline      ┘            ▲
//!  files: bundles, namespaces, certificate and key ───── reload: fingerprint, load, swap ─┤
//!  cluster: packs, bindings, exceptions, namespaces ──── follow: watch, compile, swap ────┘
//! ```
//!
//! Terms. *Snapshot*: the bundles and namespaces in force, immutable; a reload replaces it as a whole. *Refused*: answered without
//! a judgement, because the request was malformed or a limit was reached; nothing that is refused is ever allowed.

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
mod snapshot;
mod state;
mod tls;
mod user;

pub use limits::Limits;
pub use serve::{Serve, ServeError, serve};
