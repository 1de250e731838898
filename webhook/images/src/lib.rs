//! Evidence about container images: which digest a tag points to, and who signed a digest.
//!
//! What it is: a thin reader of registries and a verifier of cosign's bundles, both made for the few seconds
//! and the little trust that admission has. Bytes are fetched once, hashed here, and become facts; the pack's
//! `images` rules decide by those facts ([`bailiwick_policy::admission::evidence`]). What it is not: it
//! pushes nothing, reads no layers and evaluates no policy. It never treats a failure as an answer: what
//! could not be learned is reported as unknown.
//!
//! ```text
//!  demands ─► Checker ─┬ cache, by digest and signers; one flight for equal demands
//!                      ├ reader ─ access (credentials, tokens) ─ pool ─ net (addresses, TLS) ─► registry
//!                      ├ evidence: referrers, manifests, bundles; each hashed
//!                      └ verify: key ┐
//!                                keyless ┴ statement ─► facts
//! ```
//!
//! Terms. *Demand*, *facts*: see the policy crate. *Bundle*: a Sigstore bundle, version 0.3. *Referrer*: a
//! manifest whose `subject` is the image. *Allowance*: the time and bytes that one image may cost.

#![forbid(unsafe_code)]

mod access;
mod cache;
mod checker;
mod evidence;
pub mod fuzz;
mod limits;
mod net;
mod pool;
mod reader;
mod settings;
mod verify;

/// Sigstore's public trust root, as of this version.
pub use sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT as PUBLIC_TRUST_ROOT;

pub use checker::{Checker, Figures};
pub use reader::ReadError;
pub use settings::{Settings, SettingsError};
pub use verify::{PublicKeyError, public_key};
