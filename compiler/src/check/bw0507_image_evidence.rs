//! Signatures and attestations of images. It is read and checked, but not enforced yet, and what is accepted is
//! enforced: so it is refused until then.
//!
//! ```yaml fails
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//!   require: [{signature: {identity: {issuer: "https://issuer.example.org", subject: "release"}}}]
//! ```
//!
//! ```text
//! error[BW0507] at spec.images[0].require: `require` is not enforced yet
//! ```
//!
//! ```yaml passes
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Required
//! ```

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// Image evidence is not enforced yet.
pub const CODE: Code = Code::new("BW0507", "image evidence is not enforced yet", Severity::Error, include_str!("bw0507_image_evidence.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (index, image) in view.spec.images.iter().flatten().enumerate() {
        if !image.require.is_empty() {
            let at = FieldPath::spec().member("images").index(index).member("require");
            out.push(Diagnostic::new(CODE, at, "`require` is not enforced yet").about_key());
        }
    }
}
