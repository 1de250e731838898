//! Images of governed pods: the entries of the section `images`, and who must have signed the images that
//! they match.

use serde::{Deserialize, Serialize};

use super::Origin;

/// The image entries of one pack. All matching entries apply; a denying entry wins; no match is a denial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageLayer {
    /// Entries in the pack's order.
    pub entries: Vec<ImageEntry>,
    /// Sigstore trusted roots that [`ImageSigner::Identity`] points to: JSON texts, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trust_roots: Vec<String>,
    /// The pack that they come from.
    pub from: Origin,
}

/// One entry of `images`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageEntry {
    /// Patterns over the normalised reference without tag and digest; `*` within a segment, `**` across.
    pub patterns: Vec<String>,
    /// Whether matching images are denied.
    pub effect: ImageEffect,
    /// What is required of the digest.
    pub digest: ImageDigest,
    /// Who must have signed the image: all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<ImageSigner>,
    /// Field path.
    pub at: String,
}

/// What an image entry does with a matching image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageEffect {
    /// Allowed, if the entry's other requirements are met.
    Allow,
    /// Denied.
    Deny,
}

/// What is required of an image's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ImageDigest {
    /// Nothing.
    Any,
    /// The reference must have one.
    Required,
    /// The reference must have one, and `/mutate` adds it to a tag.
    Resolve,
}

/// Who must have signed an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ImageSigner {
    /// The holder of a key, Ed25519 or ECDSA P-256: DER of SubjectPublicKeyInfo, base64.
    Key(String),
    /// A holder of this subject, as attested by an identity issuer.
    #[serde(rename_all = "camelCase")]
    Identity {
        /// The OIDC issuer, exactly.
        issuer: String,
        /// The subject.
        subject: SubjectMatch,
        /// Whose certificates count: index into [`ImageLayer::trust_roots`].
        trust_root: u32,
    },
}

/// Which subjects are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SubjectMatch {
    /// This one.
    Exact(String),
    /// Those that this regular expression matches as a whole.
    Pattern(String),
}
