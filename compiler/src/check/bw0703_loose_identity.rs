//! An identity pattern that is not anchored, or does not fix repository, workflow and ref, also matches what somebody
//! else signed.
//!
//! ```yaml fails
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org", subjectPattern: "github.com/example"}}}]
//! ```
//!
//! ```text
//! warning[BW0703] at spec.images[0].require[0].signature.identity.subjectPattern: this pattern does not fix repository, workflow and ref
//!   help: anchor it with `^` and `$`, and spell out all three
//! ```
//!
//! ```yaml passes
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org", subjectPattern: "^https://github\\.com/example/app/\\.github/workflows/release\\.yml@refs/tags/v1$"}}}]
//! ```
//!
//! Remedy: anchor the pattern with `^` and `$`, and spell out repository, workflow and ref

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Loose identity pattern.
pub const CODE: Code = Code::new("BW0703", "loose identity pattern", Severity::Warning, include_str!("bw0703_loose_identity.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (index, image) in view.spec.images.iter().flatten().enumerate() {
        for (position, require) in image.require.iter().enumerate() {
            let at = FieldPath::spec().member("images").index(index).member("require").index(position);
            let signature = require.signature.iter().map(|one| (at.member("signature"), &one.identity));
            let attestation = require.attestation.iter().map(|one| (at.member("attestation"), &one.identity));
            for (at, identity) in signature.chain(attestation) {
                let Some(pattern) = &identity.subject_pattern else { continue };
                let anchored = pattern.starts_with('^') && pattern.ends_with('$');
                let fixed = !pattern.contains(".*") && !pattern.contains(".+") && pattern.contains('@');
                if !anchored || !fixed {
                    let at = at.member("identity").member("subjectPattern");
                    let message = "this pattern does not fix repository, workflow and ref";
                    out.push(Diagnostic::new(CODE, at, message).with_help("anchor it with `^` and `$`, and spell out all three"));
                }
            }
        }
    }
}
