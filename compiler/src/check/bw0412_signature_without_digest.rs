//! A signature is over one digest. Unless the digest is resolved and written in, the tag may move between the check
//! and the pull, and what runs is not what was verified.
//!
//! ```yaml fails
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Any
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org", subject: "release"}}}]
//! ```
//!
//! ```text
//! error[BW0412] at spec.images[0].digest: evidence is required of images whose digest is not resolved
//!   help: write `digest: Resolve`
//!   spec.images[0].require: the evidence is required here
//! ```
//!
//! ```yaml passes
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org", subject: "release"}}}]
//! ```
//!
//! Remedy: write `digest: Resolve`

use bailiwick_crds::network::ImageDigest;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Signature of a moving image.
pub const CODE: Code = Code::new("BW0412", "signature of a moving image", Severity::Error, include_str!("bw0412_signature_without_digest.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (index, image) in view.spec.images.iter().flatten().enumerate() {
        if !image.require.is_empty() && image.digest != ImageDigest::Resolve {
            let at = FieldPath::spec().member("images").index(index);
            let message = "evidence is required of images whose digest is not resolved";
            let diagnostic = Diagnostic::new(CODE, at.member("digest"), message).with_help("write `digest: Resolve`");
            out.push(diagnostic.with_related(at.member("require"), "the evidence is required here"));
        }
    }
}
