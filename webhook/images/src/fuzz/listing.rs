//! Lists of signatures: the referrers of an image, and the manifest of one of them.

use std::collections::BTreeSet;

use bailiwick_policy::admission::images::Reference;

use crate::evidence::{Manifest, bundles_of, collect};
use crate::limits::{BUNDLE_BYTES, LAYERS, REFERRERS};

/// The bytes as a list of referrers, and as a referrer's manifest. Nothing exceeds its limit, and the text
/// about them, which ends up in answers and logs, has no control characters.
pub fn fuzz(data: &[u8]) {
    let text = format!("registry.example.org/agents/app@sha256:{}", "0".repeat(64));
    let Some(reference) = Reference::parse(&text) else { return };
    let plain = |text: &str| assert!(!text.chars().any(char::is_control), "{text:?}");
    let mut found = Vec::new();
    let collected = collect(data, &reference, &mut found);
    assert!(found.len() <= REFERRERS + 1, "{} referrers", found.len());
    let digests: BTreeSet<&str> = found.iter().map(|one| one.digest.as_str()).collect();
    assert!(digests.len() == found.len(), "a referrer is listed twice");
    if let Err(error) = collected {
        plain(&error.to_string());
    }
    let referrer = found.first().map_or("", |one| one.digest.as_str());
    // The manifest may name any image as its subject.
    let subject = serde_json::from_slice::<Manifest>(data).ok().and_then(|manifest| manifest.subject);
    let reference = subject.map_or(reference.clone(), |subject| reference.at(&subject.digest));
    let mut passed_over = Vec::new();
    let bundles = bundles_of(data, &reference, referrer, &mut passed_over);
    assert!(bundles.len() + passed_over.len() <= LAYERS.max(1), "{} bundles", bundles.len());
    assert!(bundles.iter().all(|layer| layer.size <= BUNDLE_BYTES as u64), "a bundle beyond the limit");
    passed_over.iter().for_each(|text| plain(text));
}
