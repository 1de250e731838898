//! The entry matches images of every registry and asks nothing of their digest: whoever may name an image chooses what
//! runs.
//!
//! ```yaml fails
//! images: [{match: ["**"], digest: Any}]
//! ```
//!
//! ```text
//! warning[BW0705] at spec.images[0].match[0]: any image of any registry may run
//!   help: name your registry, and ask for digests
//! ```
//!
//! ```yaml passes
//! images: [{match: ["registry.example.org/**"], digest: Any}]
//! ```
//!
//! Remedy: name your registry, and ask for digests

use bailiwick_crds::network::ImageDigest;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use super::View;

/// Any image at all.
pub const CODE: Code = Code::new("BW0705", "any image at all", Severity::Warning, include_str!("bw0705_any_image.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (index, image) in view.spec.images.iter().flatten().enumerate() {
        for (position, pattern) in image.matches.iter().enumerate() {
            if pattern.starts_with("**") && !image.deny && image.digest == ImageDigest::Any && image.require.is_empty() {
                let at = FieldPath::spec().member("images").index(index).member("match").index(position);
                let message = "any image of any registry may run";
                out.push(Diagnostic::new(CODE, at, message).with_help("name your registry, and ask for digests"));
            }
        }
    }
}
