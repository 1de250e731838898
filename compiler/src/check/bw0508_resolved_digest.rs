//! Looking up the digest of a tag and writing it in. It is read and checked, but not enforced yet, and what is
//! accepted is enforced: so it is refused until then.
//!
//! ```yaml fails
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Resolve
//! ```
//!
//! ```text
//! error[BW0508] at spec.images[0].digest: `digest: Resolve` is not enforced yet
//!   help: until then ask for a digest in the manifest: `digest: Required`
//! ```
//!
//! ```yaml passes
//! images:
//! - match: ["registry.example.org/**"]
//!   digest: Required
//! ```

use bailiwick_crds::network::ImageDigest;
use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::lower::Findings;
use super::View;

/// Resolving digests is not enforced yet.
pub const CODE: Code = Code::new("BW0508", "resolving digests is not enforced yet", Severity::Error, include_str!("bw0508_resolved_digest.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    for (index, image) in view.spec.images.iter().flatten().enumerate() {
        if image.digest == ImageDigest::Resolve {
            let at = FieldPath::spec().member("images").index(index).member("digest");
            let diagnostic = Diagnostic::new(CODE, at, "`digest: Resolve` is not enforced yet");
            out.push(diagnostic.with_help("until then ask for a digest in the manifest: `digest: Required`"));
        }
    }
}
