//! Required signers of an image: keys, identities, and the trust roots that vouch for identities.

use bailiwick_crds::network::{Identity, ImageRequirement};
use bailiwick_policy::policy::{ImageEntry, ImageSigner, SubjectMatch};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use regex::RegexBuilder;

use super::super::Findings;
use crate::check::bw0236_image_signer;
use crate::diagnostic::{Diagnostic, FieldPath};

/// Sigstore's public good instance, as in `sigstore-trust-root` 0.15.1; `webhook/images` compares the two.
/// <https://github.com/sigstore/root-signing>
const PUBLIC: &str = include_str!("public-trust-root.json");

/// Size limit of a trust root, in bytes; the public one has 7 kB. A bundle has to fit into a ConfigMap.
const MAX_TRUST_ROOT: usize = 128 << 10;

/// Memory limit of a compiled pattern, in bytes; the same as when the policy is loaded.
const PATTERN_SIZE: usize = 1 << 20;

/// The SubjectPublicKeyInfo prefix of a key: Ed25519 (RFC 8410 §4), and an uncompressed point of P-256 (RFC
/// 5480 §2).
const ED25519: (&[u8], usize) =
    (&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], 32);
const P256: (&[u8], usize) = (
    &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ],
    64,
);

/// Collects the trust roots of a pack's entries, without duplicates.
#[derive(Default)]
pub(super) struct Signers {
    roots: Vec<String>,
}

impl Signers {
    /// The signers that an entry requires. Attestations are rejected elsewhere.
    pub(super) fn lower(
        &mut self,
        wire: &[ImageRequirement],
        at: &FieldPath,
        out: &mut Findings<'_>,
    ) -> Vec<ImageSigner> {
        let mut signers = Vec::new();
        for (index, requirement) in wire.iter().enumerate() {
            let Some(signature) = &requirement.signature else { continue };
            let at = at.index(index).member("signature").member("identity");
            match self.signer(&signature.identity) {
                Ok(signer) => signers.push(signer),
                Err((member, message, help)) => {
                    let at = if member.is_empty() { at } else { at.member(member) };
                    out.push(Diagnostic::new(bw0236_image_signer::CODE, at, message).with_help(help));
                }
            }
        }
        signers.sort();
        signers.dedup();
        signers
    }

    fn signer(&mut self, identity: &Identity) -> Result<ImageSigner, Wrong> {
        if let Some(pem) = &identity.public_key {
            return Ok(ImageSigner::Key(key(pem)?));
        }
        let whole =
            |message: &str| ("", message.to_owned(), "name the issuer and the subject, or a public key");
        let issuer = identity.issuer.clone().filter(|issuer| !issuer.is_empty());
        let issuer = issuer.ok_or_else(|| whole("a subject means nothing without its issuer"))?;
        let subject = match (&identity.subject, &identity.subject_pattern) {
            (Some(subject), _) if !subject.is_empty() => SubjectMatch::Exact(subject.clone()),
            (None, Some(text)) => SubjectMatch::Pattern(pattern(text)?),
            _ => return Err(whole("an issuer alone would let everybody sign who has an account there")),
        };
        let root = identity.trust_root.as_deref().unwrap_or(PUBLIC);
        let trust_root = self.root(root)?;
        Ok(ImageSigner::Identity { issuer, subject, trust_root })
    }

    fn root(&mut self, text: &str) -> Result<u32, Wrong> {
        check_root(text).map_err(|message| {
            (
                "trustRoot",
                message,
                "paste what `cosign trusted-root create` writes, or leave it out for Sigstore's public one",
            )
        })?;
        let at = self.roots.iter().position(|root| root == text).unwrap_or_else(|| {
            self.roots.push(text.to_owned());
            self.roots.len() - 1
        });
        // Each takes up space in a pack of at most some megabytes, so the index fits.
        Ok(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// The trust roots in byte order; renumbers the entries' indices to match.
    pub(super) fn trust_roots(self, entries: &mut [ImageEntry]) -> Vec<String> {
        let mut sorted = self.roots.clone();
        sorted.sort();
        let place = |index: u32| {
            let root = usize::try_from(index).ok().and_then(|at| self.roots.get(at));
            let at = root.and_then(|root| sorted.iter().position(|one| one == root));
            at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
        };
        for signer in entries.iter_mut().flat_map(|entry| &mut entry.require) {
            if let ImageSigner::Identity { trust_root, .. } = signer {
                *trust_root = place(*trust_root);
            }
        }
        sorted
    }
}

/// The member, the error, and the help.
type Wrong = (&'static str, String, &'static str);

/// A PEM public key in the form that policies and facts use; `None` if it cannot sign images.
pub(crate) fn known_key(pem: &str) -> Option<String> {
    key(pem).ok()
}

/// A PEM public key as the base64 of its DER.
fn key(pem: &str) -> Result<String, Wrong> {
    let wrong = |message: &str| {
        (
            "publicKey",
            message.to_owned(),
            "write what `cosign public-key` or `openssl pkey -pubout` prints for such a key",
        )
    };
    let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----");
    let body = body.and_then(|body| body.strip_suffix("-----END PUBLIC KEY-----"));
    let body = body.ok_or_else(|| wrong("it is not a public key in PEM"))?;
    let text: String = body.split_whitespace().collect();
    let der = BASE64_STANDARD.decode(text).map_err(|_| wrong("it is not a public key in PEM"))?;
    let known = [ED25519, P256]
        .into_iter()
        .any(|(prefix, len)| der.strip_prefix(prefix).is_some_and(|key| key.len() == len));
    // Anyone can forge signatures for a key of small order: <https://eprint.iacr.org/2020/1244>.
    let weak = der.starts_with(ED25519.0)
        && !VerifyingKey::from_public_key_der(&der).is_ok_and(|key| !key.is_weak());
    if weak {
        return Err(wrong("it is a key for which anybody can sign"));
    }
    if known { Ok(BASE64_STANDARD.encode(der)) } else { Err(wrong("it is neither Ed25519 nor ECDSA P-256")) }
}

fn pattern(text: &str) -> Result<String, Wrong> {
    let wrong = |message: String| {
        (
            "subjectPattern",
            message,
            "write a regular expression that the whole subject matches, as `^https://…$`",
        )
    };
    if text.is_empty() {
        return Err(wrong("it matches no subject".to_owned()));
    }
    // Alone first: `a)|(?:b` is a regular expression only within the group, and would end it.
    let compile = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_SIZE).build();
    match compile(text).and_then(|_| compile(&format!("^(?:{text})$"))) {
        Ok(pattern) if pattern.is_match("") => Err(wrong("it matches an empty subject".to_owned())),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(wrong(format!("it is not a regular expression: {error}"))),
    }
}

/// Checks the form of a trust root; its certificates and keys are read where they are used.
fn check_root(text: &str) -> Result<(), String> {
    if text.len() > MAX_TRUST_ROOT {
        return Err(format!("it is larger than {MAX_TRUST_ROOT} bytes"));
    }
    let root: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let media_type = root.get("mediaType").and_then(serde_json::Value::as_str).unwrap_or_default();
    if !media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
        return Err("it is not a Sigstore trusted root".to_owned());
    }
    let some = |member: &str| {
        root.get(member).and_then(serde_json::Value::as_array).is_some_and(|list| !list.is_empty())
    };
    if !some("certificateAuthorities") {
        return Err("it names no certificate authority, so nobody can sign under it".to_owned());
    }
    if !some("tlogs") && !some("timestampAuthorities") {
        return Err("it names neither a log nor a timestamp authority, so no time can be proven".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn no_pattern_ends_the_group_that_anchors_it() {
        for good in ["^https://a/.*$", "(a|b)c", "a[)]"] {
            assert!(pattern(good).is_ok(), "{good}");
        }
        for bad in ["", ".*", "a|", "a)|(?:.+", "a)(b", "(?x)a #", "("] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
    }
}
