//! Lowers image entries: patterns, digests, and required signers.
//!
//! Trust roots are copied into the policy unchanged, including Sigstore's public root where a pack names
//! none. The bundle's digest therefore fixes what the bundle trusts, and no later version of anything changes
//! it.

pub(crate) mod signers;

use bailiwick_crds::network::ImageDigest as WireDigest;
use bailiwick_crds::pack::PolicyPackSpec;
use bailiwick_policy::policy::{ImageDigest, ImageEffect, ImageEntry, ImageLayer};

use super::{Findings, origin, pattern};
use crate::check::bw0224_image_pattern;
use crate::diagnostic::{Diagnostic, FieldPath};
use signers::Signers;

pub(super) fn lower(spec: &PolicyPackSpec, out: &mut Findings<'_>) -> Vec<ImageLayer> {
    let Some(wire) = &spec.images else { return Vec::new() };
    let at = FieldPath::spec().member("images");
    let mut entries = Vec::with_capacity(wire.len());
    let mut signers = Signers::default();
    for (index, image) in wire.iter().enumerate() {
        let at = at.index(index);
        for (index, text) in image.matches.iter().enumerate() {
            if let Err(error) = pattern::check(text) {
                let diagnostic = Diagnostic::new(
                    bw0224_image_pattern::CODE,
                    at.member("match").index(index),
                    error.to_string(),
                );
                out.push(diagnostic.with_help(error.help()));
            }
        }
        entries.push(ImageEntry {
            patterns: image.matches.clone(),
            effect: if image.deny { ImageEffect::Deny } else { ImageEffect::Allow },
            digest: match image.digest {
                WireDigest::Any => ImageDigest::Any,
                WireDigest::Required => ImageDigest::Required,
                WireDigest::Resolve => ImageDigest::Resolve,
            },
            require: signers.lower(&image.require, &at.member("require"), out),
            at: at.to_string(),
        });
    }
    let trust_roots = signers.trust_roots(&mut entries);
    vec![ImageLayer { entries, trust_roots, from: origin(&at) }]
}
