//! A signer of images is a public key (Ed25519 or ECDSA P-256), or a subject of an issuer under a trust root. What cannot be verified, or would let
//! anybody sign, is refused.
//!
//! ```yaml fails
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org"}}}]
//! ```
//!
//! ```text
//! error[BW0236] at spec.images[0].require[0].signature.identity: an issuer alone would let everybody sign who has an account there
//!   help: name the issuer and the subject, or a public key
//! ```
//!
//! ```yaml passes
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org", subject: "release@example.org"}}}]
//! ```
//!
//! Remedy: name an issuer and a subject, or a public key

use crate::diagnostic::{Code, Severity};

/// Signer of images that cannot be used.
pub const CODE: Code =
    Code::new("BW0236", "signer of images that cannot be used", Severity::Error, include_str!("bw0236_image_signer.rs"));
