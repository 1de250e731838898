//! Attestations of images. They are read and checked, but not enforced yet, and what is accepted is enforced: so they are refused until
//! then. Signatures are enforced.
//!
//! ```yaml fails
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{attestation: {predicateType: "https://slsa.dev/provenance/v1", identity: {issuer: "https://issuer.example.org", subject: "release"}}}]
//! ```
//!
//! ```text
//! error[BW0507] at spec.images[0].require[0].attestation: attestations are not enforced yet
//!   help: ask for a signature by the same identity: `signature`
//! ```
//!
//! ```yaml passes
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org", subject: "release"}}}]
//! ```
//!
//! Remedy: ask for a `signature` by the same identity

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Attestations are not enforced yet.
pub const CODE: Code = Code::new("BW0507", "attestations are not enforced yet", Severity::Error, include_str!("bw0507_image_evidence.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (index, image) in view.spec.images.iter().flatten().enumerate() {
        for (position, _) in image.require.iter().enumerate().filter(|(_, one)| one.attestation.is_some()) {
            let at = FieldPath::spec().member("images").index(index).member("require").index(position);
            let diagnostic = Diagnostic::new(CODE, at.member("attestation"), "attestations are not enforced yet");
            out.push(diagnostic.about_key().with_help("ask for a signature by the same identity: `signature`"));
        }
    }
}
