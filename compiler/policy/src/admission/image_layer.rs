//! The `images` section: what a pack says about an image, given what is known about it.
//!
//! Terms. *Layer*: the entries of one pack; every layer must allow an image. All entries whose patterns match
//! a reference's name apply: a denying entry wins, no match is a denial, and requirements add up. *Evidence*:
//! see [`super::evidence`]; it is requested by digest only, never by tag, since a tag may point to another
//! image a moment later.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use sha2::{Digest as _, Sha256};

use crate::policy::{ImageDigest, ImageEffect, ImageEntry, ImageLayer, ImageSigner, Origin, SubjectMatch};

use super::evidence::{Inquiry, Signatures, Signer, Signers, TrustRoot};
use super::images::{Reference, without_default_port};

/// The memory that one compiled pattern may use, in bytes. A pattern has no more states than characters.
const PATTERN_SIZE: usize = 1 << 20;

/// How many passed-over items a denial mentions, since people read it.
const TOLD: usize = 3;

/// The image entries of one pack, ready to match.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) from: Origin,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    patterns: Vec<Regex>,
    effect: ImageEffect,
    digest: ImageDigest,
    require: Vec<Required>,
    at: String,
}

/// A signature that an entry requires.
#[derive(Debug)]
enum Required {
    Key(String),
    Identity { trust_root: Arc<TrustRoot>, issuer: String, subject: Subject },
}

#[derive(Debug)]
enum Subject {
    Exact(String),
    Pattern(Regex),
}

/// A layer's objection to an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) message: String,
    pub(super) remedy: String,
}

/// How much of an image is judged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judge<'i> {
    /// The reference itself, and the evidence.
    Evidence(&'i Inquiry<'i>),
    /// The reference alone: the image was in the same place before.
    Words,
}

/// Why a layer cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    #[error(transparent)]
    Pattern(#[from] regex::Error),
    #[error("{at} names trust root {index}, which is not there")]
    TrustRoot { at: String, index: u32 },
}

impl Layer {
    /// Compiles the patterns of a layer.
    pub(super) fn new(layer: &ImageLayer) -> Result<Self, LayerError> {
        let roots: Vec<Arc<TrustRoot>> =
            layer.trust_roots.iter().map(|json| Arc::new(TrustRoot::new(json))).collect();
        let entries =
            layer.entries.iter().map(|entry| Entry::new(entry, &roots)).collect::<Result<_, _>>()?;
        Ok(Self { from: layer.from.clone(), entries })
    }

    fn matching<'l>(&'l self, reference: &'l Reference) -> impl Iterator<Item = &'l Entry> + Clone {
        let name = reference.name.as_str();
        self.entries.iter().filter(move |entry| entry.patterns.iter().any(|pattern| pattern.is_match(name)))
    }

    /// Whether to write in a digest where there is none.
    pub(super) fn resolves(&self, reference: &Reference) -> bool {
        let denied = self.matching(reference).any(|entry| entry.effect == ImageEffect::Deny);
        !denied && self.matching(reference).any(|entry| entry.digest == ImageDigest::Resolve)
    }

    /// Judges one reference.
    pub(super) fn objection(&self, image: &str, judge: Judge<'_>) -> Option<Objection> {
        let Some(reference) = Reference::parse(image) else {
            return Some(Objection {
                message: format!("`{image}` is not an image reference"),
                remedy: "write `registry/path:tag@sha256:digest`".to_owned(),
            });
        };
        let matching = self.matching(&reference);
        if let Some(entry) = matching.clone().find(|entry| entry.effect == ImageEffect::Deny) {
            let message = format!("image `{}` is denied by {}", reference.name, entry.at);
            return Some(Objection { message, remedy: "use another image".to_owned() });
        }
        if matching.clone().next().is_none() {
            return Some(Objection {
                message: format!("image `{}` matches no entry of the allowed images", reference.name),
                remedy: "use an image that the pack's `images` section allows".to_owned(),
            });
        }
        if reference.digest.is_none() {
            let demands = |digest| matching.clone().any(move |entry| entry.digest == digest);
            // A template keeps its tags; each of its pods gets the digest, and is judged, when it is created.
            let resolved_later = matches!(judge, Judge::Words) && demands(ImageDigest::Resolve);
            if demands(ImageDigest::Required) || (demands(ImageDigest::Resolve) && !resolved_later) {
                return Some(self.unpinned(image, &reference, judge));
            }
        }
        let required: Vec<&Required> = matching.flat_map(|entry| &entry.require).collect();
        match judge {
            Judge::Evidence(inquiry) if !required.is_empty() => {
                unsigned(image, &reference, &required, inquiry)
            }
            Judge::Evidence(_) | Judge::Words => None,
        }
    }

    fn unpinned(&self, image: &str, reference: &Reference, judge: Judge<'_>) -> Objection {
        let because = match judge {
            Judge::Evidence(inquiry) if self.resolves(reference) => match inquiry.digest(reference) {
                Err(refusal) => format!(": {refusal}"),
                Ok(_) => String::new(),
            },
            Judge::Evidence(_) | Judge::Words => String::new(),
        };
        Objection {
            message: format!("image `{image}` is not pinned by a digest{because}"),
            remedy: "append `@sha256:…` of the image that was reviewed".to_owned(),
        }
    }
}

impl Entry {
    fn new(entry: &ImageEntry, roots: &[Arc<TrustRoot>]) -> Result<Self, LayerError> {
        let patterns = entry.patterns.iter().map(|pattern| compile(pattern)).collect::<Result<_, _>>()?;
        let require = entry.require.iter().map(|signer| Required::new(signer, roots, &entry.at));
        Ok(Self {
            patterns,
            effect: entry.effect,
            digest: entry.digest,
            require: require.collect::<Result<_, _>>()?,
            at: entry.at.clone(),
        })
    }
}

impl Required {
    fn new(signer: &ImageSigner, roots: &[Arc<TrustRoot>], at: &str) -> Result<Self, LayerError> {
        Ok(match signer {
            ImageSigner::Key(key) => Self::Key(key.clone()),
            ImageSigner::Identity { issuer, subject, trust_root } => {
                let missing = || LayerError::TrustRoot { at: at.to_owned(), index: *trust_root };
                let root = usize::try_from(*trust_root).ok().and_then(|index| roots.get(index));
                Self::Identity {
                    trust_root: Arc::clone(root.ok_or_else(missing)?),
                    issuer: issuer.clone(),
                    subject: match subject {
                        SubjectMatch::Exact(subject) => Subject::Exact(subject.clone()),
                        // Anchored, whatever the author wrote: a pattern must match the whole subject.
                        SubjectMatch::Pattern(pattern) => Subject::Pattern(
                            RegexBuilder::new(&format!("^(?:{pattern})$"))
                                .size_limit(PATTERN_SIZE)
                                .build()?,
                        ),
                    },
                }
            }
        })
    }

    fn met_by(&self, signer: &Signer) -> bool {
        match (self, signer) {
            (Self::Key(wanted), Signer::Key(key)) => wanted == key,
            (
                Self::Identity { trust_root: wanted_root, issuer: wanted_issuer, subject: wanted },
                Signer::Identity { trust_root, issuer, subject },
            ) => {
                let subject_fits = match wanted {
                    Subject::Exact(exact) => exact == subject,
                    // `$` also matches before a last line break in other dialects; in this one it does not.
                    Subject::Pattern(pattern) => pattern.is_match(subject),
                };
                wanted_root.digest == *trust_root && wanted_issuer == issuer && subject_fits
            }
            _ => false,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Key(key) => format!("the key {}", key_words(key)),
            Self::Identity { issuer, subject: Subject::Exact(subject), .. } => {
                format!("`{subject}` of `{issuer}`")
            }
            Self::Identity { issuer, subject: Subject::Pattern(pattern), .. } => {
                let anchored = pattern.as_str();
                let written = anchored.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$"));
                format!("`{}` of `{issuer}`", written.unwrap_or(anchored))
            }
        }
    }
}

/// Enough of a key to tell it from others: the first eight hex digits of the SHA-256 of its base64.
fn key_words(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// What is missing of the signatures that the matching entries together require.
fn unsigned(
    image: &str,
    reference: &Reference,
    required: &[&Required],
    inquiry: &Inquiry<'_>,
) -> Option<Objection> {
    let mut signers = Signers::default();
    for one in required {
        match one {
            Required::Key(key) => drop(signers.keys.insert(key.clone())),
            Required::Identity { trust_root, .. } => drop(signers.trust_roots.insert(Arc::clone(trust_root))),
        }
    }
    let known = match inquiry.signatures(reference, &signers) {
        Ok(known) => known,
        Err(refusal) => return Some(unknown(image, &refusal)),
    };
    let missing: BTreeSet<String> = required
        .iter()
        .filter(|one| !known.verified.iter().any(|signature| one.met_by(&signature.signer)))
        .map(|one| one.words())
        .collect();
    if !missing.is_empty() && known.remembered {
        return Some(unknown(image, &inquiry.signatures_anew(reference)));
    }
    if let Some(refusal) = known.incomplete.as_ref().filter(|_| !missing.is_empty()) {
        return Some(unknown(image, refusal));
    }
    (!missing.is_empty()).then(|| {
        let missing: Vec<String> = missing.into_iter().collect();
        Objection {
            message: format!(
                "image `{image}` is not signed by {}{}",
                missing.join(", nor by "),
                found(known)
            ),
            remedy: "sign this digest with `cosign sign`, or use an image that is signed".to_owned(),
        }
    })
}

fn unknown(image: &str, refusal: &str) -> Objection {
    Objection {
        message: format!("the signatures of image `{image}` are not known: {refusal}"),
        remedy: "try again; nothing is admitted unverified".to_owned(),
    }
}

/// What was found instead of the signature, for the author of the manifest.
fn found(known: &Signatures) -> String {
    let mut others: Vec<String> =
        known.verified.iter().map(|one| format!("it is signed by {}", signer_words(&one.signer))).collect();
    others.extend(known.passed_over.iter().cloned());
    let more = others.len().saturating_sub(TOLD);
    others.truncate(TOLD);
    if more > 0 {
        others.push(format!("and {more} more"));
    }
    if others.is_empty() { String::new() } else { format!(": {}", others.join("; ")) }
}

fn signer_words(signer: &Signer) -> String {
    match signer {
        Signer::Key(key) => format!("the key {}", key_words(key)),
        Signer::Identity { issuer, subject, .. } => format!("`{subject}` of `{issuer}`"),
    }
}

/// `*` stays within a path segment, `**` crosses segments; every other character matches itself.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    let (registry, path) = pattern.split_at(pattern.find('/').unwrap_or(pattern.len()));
    let pattern = format!("{}{path}", without_default_port(registry));
    let mut source = String::from("^(?:");
    let mut rest = pattern.as_str();
    while let Some((literal, tail)) = rest.split_once('*') {
        source.push_str(&regex::escape(literal));
        match tail.strip_prefix('*') {
            Some(tail) => {
                source.push_str(".*");
                rest = tail;
            }
            None => {
                source.push_str("[^/]*");
                rest = tail;
            }
        }
    }
    source.push_str(&regex::escape(rest));
    source.push_str(")$");
    RegexBuilder::new(&source).size_limit(PATTERN_SIZE).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ImageEntry;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn layer(entries: &[(&[&str], ImageEffect, ImageDigest)]) -> Layer {
        let entries = entries.iter().enumerate().map(|(at, (patterns, effect, digest))| ImageEntry {
            patterns: patterns.iter().map(ToString::to_string).collect(),
            effect: *effect,
            digest: *digest,
            require: Vec::new(),
            at: format!("spec.images[{at}]"),
        });
        let from = Origin { pack: 0, at: "spec.images".into() };
        Layer::new(&ImageLayer { entries: entries.collect(), trust_roots: Vec::new(), from }).unwrap()
    }

    #[test]
    fn one_star_stays_in_its_segment_and_two_cross() {
        let one = layer(&[(&["r.example.org/a/*"], ImageEffect::Allow, ImageDigest::Any)]);
        let two = layer(&[(&["r.example.org/a/**"], ImageEffect::Allow, ImageDigest::Any)]);
        for (image, with_one, with_two) in [
            ("r.example.org/a/x", true, true),
            ("r.example.org/a/x/y", false, true),
            ("r.example.org/b/x", false, false),
            ("rxexample.org/a/x", false, false),
            ("evil.org/r.example.org/a/x", false, false),
            ("r.example.org/a", false, false),
        ] {
            assert_eq!(one.objection(image, Judge::Words).is_none(), with_one, "{image}");
            assert_eq!(two.objection(image, Judge::Words).is_none(), with_two, "{image}");
        }
    }

    #[test]
    fn a_denying_entry_wins_and_demands_add_up() {
        let layer = layer(&[
            (&["r.example.org/**"], ImageEffect::Allow, ImageDigest::Any),
            (&["r.example.org/agents/**"], ImageEffect::Allow, ImageDigest::Required),
            (&["r.example.org/old/*"], ImageEffect::Deny, ImageDigest::Any),
        ]);
        assert_eq!(layer.objection("r.example.org/x:1", Judge::Words), None);
        assert_eq!(layer.objection(&format!("r.example.org/agents/x@{DIGEST}"), Judge::Words), None);
        let unpinned = layer.objection("r.example.org/agents/x:1", Judge::Words).unwrap();
        assert_eq!(unpinned.message, "image `r.example.org/agents/x:1` is not pinned by a digest");
        // For every spelling of the host.
        for denied in ["R.Example.Org/old/x", "r.example.org:443/old/x"] {
            assert!(
                layer.objection(denied, Judge::Words).unwrap().message.contains("denied by spec.images[2]"),
                "{denied}"
            );
        }
        let denied = layer.objection(&format!("r.example.org/old/x@{DIGEST}"), Judge::Words).unwrap();
        assert_eq!(denied.message, "image `r.example.org/old/x` is denied by spec.images[2]");
        assert!(
            layer
                .objection("nginx", Judge::Words)
                .unwrap()
                .message
                .contains("`docker.io/library/nginx` matches no entry")
        );
        assert!(layer.objection("a b", Judge::Words).unwrap().message.contains("not an image reference"));
    }

    #[test]
    fn no_spelling_of_a_host_leads_around_its_denial() {
        let layer = layer(&[
            (&["**"], ImageEffect::Allow, ImageDigest::Any),
            (&["evil.example.org/**", "192.0.2.1/**"], ImageEffect::Deny, ImageDigest::Any),
        ]);
        assert_eq!(layer.objection("good.example.org:443/x", Judge::Words), None);
        for image in [
            "evil.example.org/x",
            "EVIL.example.org:443/x",
            "evil.example.org:0443/x",
            "evil.example.org:000443/x",
            "[::ffff:192.0.2.1]/x",
            "[0:0:0:0:0:ffff:c000:201]:443/x",
        ] {
            assert!(layer.objection(image, Judge::Words).is_some(), "{image}");
        }
    }
}
