//! What `/mutate` writes for `digest: Resolve`: the digest that a tag points to, after the tag.
//!
//! `registry/app:1.2` becomes `registry/app:1.2@sha256:…`: the tag stays for readers, runtimes use the
//! digest. The fetcher of the digest hashed the bytes itself; `/validate` judges the digest that is written
//! here and never looks at the tag again. An image that an update leaves in its place is not changed. Terms:
//! see [`super::evidence`].

use std::borrow::Cow;

use crate::json::Json;

use super::evidence::Inquiry;
use super::images::Reference;
use super::mutate::Draft;
use super::pointer::set;
use super::reviewer::Bound;
use super::sections::{Statement, image_references};

/// Writes digests where a governing policy wants them; reports where no digest can be had.
pub(super) fn pin(draft: &mut Draft<'_>, governing: &[&Bound], images: &Inquiry<'_>, old: Option<&Json<'_>>) {
    let before = old.map(image_references).unwrap_or_default();
    let mut writes = Vec::new();
    let mut findings = Vec::new();
    for (field, image) in image_references(&draft.object) {
        let Some(reference) = Reference::parse(image).filter(|reference| reference.digest.is_none()) else {
            continue;
        };
        if before.iter().any(|(at, old)| (at, *old) == (&field, image)) {
            continue;
        }
        let wants = governing
            .iter()
            .flat_map(|bound| bound.images.iter().map(move |layer| (bound, layer)))
            .find(|(_, layer)| layer.resolves(&reference));
        let Some((bound, layer)) = wants else {
            continue;
        };
        match images.digest(&reference) {
            Ok(digest) => writes.push((path(&field), format!("{image}@{digest}"))),
            Err(refusal) => {
                let message = format!("the digest of image `{image}` is not known: {refusal}");
                let remedy = "append `@sha256:…` yourself, or try again";
                let statement = Statement { rule: "images", message, field, remedy };
                findings.push(bound.denial(std::slice::from_ref(&layer.from), statement));
            }
        }
    }
    for (path, image) in writes {
        // Cannot fail: the path was found in this object.
        let _ = set(&mut draft.object, &path, Json::Str(Cow::Owned(image)));
    }
    draft.findings.append(&mut findings);
}

/// The segments of a field of [`image_references`].
fn path(field: &str) -> Vec<String> {
    let segments = field.split(['.', '[', ']']).filter(|segment| !segment.is_empty());
    segments.map(str::to_owned).collect()
}
