//! Image entries. Signatures and resolved digests come with their own issue; until then they are refused (BW0507, BW0508).

use bailiwick_crds::network::ImageDigest as WireDigest;
use bailiwick_crds::pack::PolicyPackSpec;
use bailiwick_policy::policy::{ImageDigest, ImageEffect, ImageEntry, ImageLayer};

use super::{Findings, origin, pattern};
use crate::check::bw0224_image_pattern;
use crate::diagnostic::{Diagnostic, FieldPath};

pub(super) fn lower(spec: &PolicyPackSpec, out: &mut Findings<'_>) -> Vec<ImageLayer> {
    let Some(wire) = &spec.images else { return Vec::new() };
    let at = FieldPath::spec().member("images");
    let mut entries = Vec::with_capacity(wire.len());
    for (index, image) in wire.iter().enumerate() {
        let at = at.index(index);
        for (index, text) in image.matches.iter().enumerate() {
            if let Err(error) = pattern::check(text) {
                let diagnostic = Diagnostic::new(
                    bw0224_image_pattern::CODE,
                    at.member("match").index(index),
                    error.to_string(),
                );
                out.push(diagnostic.with_help(
                    "write `registry.example.org/team/**`; tags and digests are no part of a pattern",
                ));
            }
        }
        entries.push(ImageEntry {
            patterns: image.matches.clone(),
            effect: if image.deny { ImageEffect::Deny } else { ImageEffect::Allow },
            digest: match image.digest {
                WireDigest::Any => ImageDigest::Any,
                // `Resolve` is refused; were it not, its digest would be there by the time this is asked.
                WireDigest::Required | WireDigest::Resolve => ImageDigest::Required,
            },
            at: at.to_string(),
        });
    }
    vec![ImageLayer { entries, from: origin(&at) }]
}
