//! From an image's digest to the bundles that are attached to it, each hashed, verified and let go again: no
//! more than one bundle is held for each request in progress.
//!
//! ```text
//! digest ► referrers API ─ none ► tag `sha256-<hex>` ─ 404 ► nothing attached
//!              └────────┬────────┘
//!         descriptors ► manifest (subject is the digest?) ► layers of a bundle's media type ► bytes
//! ```
//!
//! The media type in a descriptor is not trusted: cosign 3.1.1 writes the type of an empty config into the
//! tag's index. The referrer's own layers decide. Terms. *Attached*: listed as a referrer of the digest.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use std::sync::Arc;

use bailiwick_policy::admission::evidence::Signature;
use bailiwick_policy::admission::images::Reference;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::limits::{
    BUNDLE_BYTES, DIGEST_CHARS, IMAGE_BYTES, LAYERS, PASSED_OVER, QUOTED_CHARS, READ_AT_ONCE, REFERRER_BYTES,
    REFERRER_PAGES, REFERRERS, WORDS_CHARS,
};
use crate::reader::{Allowance, ReadError, Reader, Repository};

/// Media types of bundles; only version 0.3 is read any further.
const BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";

/// What is attached to an image.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    /// The signatures that were verified.
    pub(crate) verified: Vec<Signature>,
    /// What else is attached, in words.
    pub(crate) passed_over: Vec<String>,
    /// Why not all of it could be read.
    pub(crate) incomplete: Option<String>,
}

/// Verifies the bytes of a bundle, or says why it does not count.
pub(crate) type Verify = dyn Fn(&[u8]) -> Result<Vec<Signature>, String> + Send + Sync;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    media_type: String,
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) subject: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// The content of one referrer.
#[derive(Default)]
struct Held {
    verified: Vec<Signature>,
    passed_over: Vec<String>,
    /// How many bytes of bundles were read.
    bytes: usize,
}

/// Fetches everything that is attached to `reference`, which has a digest.
pub(crate) async fn attached(
    reader: &Arc<Reader>,
    reference: &Reference,
    allowance: Allowance,
    verify: &Arc<Verify>,
) -> Result<Attached, ReadError> {
    let digest = reference.digest.as_deref().unwrap_or_default();
    if !digest.starts_with("sha256:") {
        return Err(ReadError::Digest(digest.to_owned()));
    }
    let referrers = referrers(reader, reference, digest, allowance).await?;
    let mut attached = Attached::default();
    let mut reading = JoinSet::new();
    let mut pending = referrers.into_iter();
    let mut bytes = 0_usize;
    loop {
        while reading.len() < READ_AT_ONCE {
            let Some(referrer) = pending.next() else { break };
            let (reader, reference, verify) = (Arc::clone(reader), reference.clone(), Arc::clone(verify));
            reading.spawn(async move { held(&reader, &reference, &referrer, allowance, &*verify).await });
        }
        let Some(joined) = reading.join_next().await else { break };
        let held = match joined {
            Ok(Ok(held)) => held,
            Ok(Err(error)) => {
                attached.incomplete = Some(brief(&error.to_string()));
                continue;
            }
            Err(error) => {
                attached.incomplete = Some(format!("reading it failed: {error}"));
                continue;
            }
        };
        bytes += held.bytes;
        if bytes > IMAGE_BYTES {
            attached.incomplete =
                Some(format!("its signatures are larger than {IMAGE_BYTES} bytes together"));
            break;
        }
        attached.verified.extend(held.verified);
        attached.passed_over.extend(held.passed_over.iter().map(|words| brief(words)));
    }
    // They arrive in any order.
    attached.verified.sort();
    attached.verified.dedup();
    attached.passed_over.sort();
    attached.passed_over.truncate(PASSED_OVER);
    Ok(attached)
}

/// The referrers of a digest, each once.
async fn referrers(
    reader: &Reader,
    reference: &Reference,
    digest: &str,
    allowance: Allowance,
) -> Result<Vec<Descriptor>, ReadError> {
    let at = reader.repository(reference)?;
    let mut found: Vec<Descriptor> = Vec::new();
    let mut page = None;
    for _ in 0..REFERRER_PAGES {
        let read = match reader.referrers(&at, digest, page.as_deref(), allowance).await {
            Ok(read) => read,
            // The API is missing, or lists nothing for this digest: the list may be behind a tag.
            Err(error) if error.leads_to_tag() && page.is_none() => {
                return tagged_referrers(reader, &at, reference, digest, allowance).await;
            }
            Err(error) => return Err(error),
        };
        collect(&read.bytes, reference, &mut found)?;
        match read.next {
            Some(next) => page = Some(next),
            None => return Ok(found),
        }
    }
    Err(ReadError::TooMany { image: reference.to_string(), limit: REFERRER_PAGES, of: "pages of referrers" })
}

async fn tagged_referrers(
    reader: &Reader,
    at: &Repository<'_>,
    reference: &Reference,
    digest: &str,
    allowance: Allowance,
) -> Result<Vec<Descriptor>, ReadError> {
    let mut found = Vec::new();
    match reader.tagged(at, &digest.replace(':', "-"), allowance).await {
        Ok(bytes) => collect(&bytes, reference, &mut found)?,
        Err(error) if error.is_absence() => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

pub(crate) fn collect(
    bytes: &[u8],
    reference: &Reference,
    found: &mut Vec<Descriptor>,
) -> Result<(), ReadError> {
    let index: Index = serde_json::from_slice(bytes).map_err(|error| ReadError::Malformed {
        what: format!("the list of referrers of `{reference}`"),
        why: error.to_string(),
    })?;
    for one in index.manifests {
        if one.digest.len() > DIGEST_CHARS {
            return Err(ReadError::Malformed {
                what: format!("the list of referrers of `{reference}`"),
                why: format!("a digest has more than {DIGEST_CHARS} characters"),
            });
        }
        // Only the digest is used; what else the list says would be held as long as it is worked on.
        let one = Descriptor { media_type: String::new(), ..one };
        if found.iter().all(|other| other.digest != one.digest) {
            found.push(one);
        }
        if found.len() > REFERRERS {
            return Err(ReadError::TooMany {
                image: reference.to_string(),
                limit: REFERRERS,
                of: "referrers",
            });
        }
    }
    Ok(())
}

/// The content of one referrer. One that is listed but missing has none; one that cannot be read is an error.
async fn held(
    reader: &Reader,
    reference: &Reference,
    referrer: &Descriptor,
    allowance: Allowance,
    verify: &Verify,
) -> Result<Held, ReadError> {
    let mut held = Held::default();
    let at = reader.repository(reference)?;
    let bytes = match reader.manifest(&at, &referrer.digest, REFERRER_BYTES, allowance).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_absence() => {
            held.passed_over.push(format!("{} is listed and not there", short(&referrer.digest)));
            return Ok(held);
        }
        Err(error) => return Err(error),
    };
    let layers = bundles_of(&bytes, reference, &referrer.digest, &mut held.passed_over);
    drop(bytes);
    for layer in layers {
        let bundle = reader.blob(&at, &layer.digest, BUNDLE_BYTES, allowance).await?;
        held.bytes += bundle.len();
        match verify(&bundle) {
            Ok(signatures) => held.verified.extend(signatures),
            Err(why) => held.passed_over.push(format!("{} {why}", short(&layer.digest))),
        }
    }
    Ok(held)
}

/// The layers of a referrer's manifest that may be bundles, and in words what else it has.
pub(crate) fn bundles_of(
    bytes: &[u8],
    reference: &Reference,
    referrer: &str,
    passed_over: &mut Vec<String>,
) -> Vec<Descriptor> {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else {
        passed_over.push(format!("{} is not a manifest", short(referrer)));
        return Vec::new();
    };
    if manifest.subject.map(|subject| subject.digest).as_deref() != reference.digest.as_deref() {
        passed_over.push(format!("{} is attached to another image", short(referrer)));
        return Vec::new();
    }
    if manifest.layers.len() > LAYERS {
        passed_over.push(format!("{} has more than {LAYERS} layers", short(referrer)));
        return Vec::new();
    }
    let mut bundles = Vec::new();
    for layer in manifest.layers {
        if !layer.media_type.starts_with(BUNDLE_PREFIX) {
            passed_over.push(format!(
                "{} is not a signature: `{}`",
                short(referrer),
                quoted(&layer.media_type)
            ));
        } else if layer.size > BUNDLE_BYTES as u64 {
            passed_over.push(format!("{} is larger than {BUNDLE_BYTES} bytes", short(&layer.digest)));
        } else {
            bundles.push(layer);
        }
    }
    bundles
}

/// A registry's text, as far as an explanation quotes it; escaped, since it ends up in answers and logs.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect::<String>().escape_debug().to_string()
}

/// An explanation that no registry can make long, nor use to control a terminal: errors of libraries repeat what
/// they could not read.
pub(crate) fn brief(words: &str) -> String {
    let mut brief = String::new();
    let mut left = WORDS_CHARS;
    for char in words.chars() {
        // Printable, and part of what is escaped already.
        let is_plain = matches!(char, '\\' | '\'' | '"');
        let written = if is_plain { char.to_string() } else { char.escape_debug().to_string() };
        let Some(rest) = left.checked_sub(written.chars().count()) else {
            brief.push('…');
            break;
        };
        left = rest;
        brief.push_str(&written);
    }
    brief
}

/// Enough of a digest to find it by. A registry's text is escaped, since it ends up in answers and logs.
pub(crate) fn short(digest: &str) -> String {
    let cut: String = digest.chars().take("sha256:".len() + 12).collect();
    format!("`{}`", cut.escape_debug())
}
