//! From the bytes of a bundle to verified signatures, or to the reason why there are none.
//!
//! It reads Sigstore bundles of version 0.3 that hold an in-toto statement in a DSSE envelope, as
//! `cosign sign` of version 3 makes them. The signer is a key, or an identity that a trust root vouches for.
//! Everything else (older bundles, simple signing, attestations, other kinds of log entries) is unverified,
//! and is named in the reason.
//! Only this module knows the `sigstore-verify` crates. Terms. *Statement*: the signed content, subjects and
//! a predicate. *Key*: DER of SubjectPublicKeyInfo, base64.

mod identity;
mod key;
mod statement;

pub use key::{PublicKeyError, public_key};

use bailiwick_policy::admission::evidence::{Signature, Signers};
use sigstore_verify::types::bundle::MediaType;
use sigstore_verify::types::{Bundle, SignatureContent};

pub(crate) use identity::TrustRoots;

use crate::limits::PROOFS;

/// Why a bundle has no valid signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unverified {
    #[error("is not a bundle: {0}")]
    NotABundle(String),
    #[error("is a bundle of version `{0}`, and only 0.3 is read")]
    Version(&'static str),
    #[error("signs bytes and not a statement about an image")]
    NotAStatement,
    #[error("holds a statement that cannot be read: {0}")]
    Statement(String),
    #[error("is an attestation of type `{0}`, not a signature")]
    OtherPredicate(String),
    #[error("is a statement about another image")]
    OtherImage,
    #[error("is signed by none of the keys that count")]
    OtherKey,
    #[error("is signed by a certificate, and no identity counts")]
    NoTrustRoot,
    #[error("has more than {PROOFS} log entries or timestamps")]
    TooManyProofs,
    #[error("is in a log as `{kind}` {version}, and only the entries of `cosign sign` 3 are read")]
    LogEntry { kind: &'static str, version: &'static str },
    #[error("is not vouched for by the trust root: {0}")]
    Identity(String),
    #[error("cannot be held to the trust root: {0}")]
    TrustRoot(String),
}

/// Verifies one bundle against an image's digest. The cheap checks come first; nothing of a statement counts
/// before its signature is verified.
pub(crate) fn verify(
    bundle: &[u8],
    digest: &str,
    signers: &Signers,
    trust_roots: &TrustRoots,
) -> Result<Vec<Signature>, Unverified> {
    let text = str::from_utf8(bundle).map_err(|error| Unverified::NotABundle(error.to_string()))?;
    let bundle = Bundle::from_json(text).map_err(|error| Unverified::NotABundle(error.to_string()))?;
    if bundle.media_type() != MediaType::Bundle0_3 {
        return Err(Unverified::Version(bundle.media_type().as_str()));
    }
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        return Err(Unverified::NotAStatement);
    };
    statement::check(envelope, digest)?;
    if bundle.signing_certificate().is_some() {
        identity::verify(&bundle, digest, signers, trust_roots)
    } else {
        key::verify(envelope, signers)
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::admission::evidence::Signers;
    use proptest::prelude::*;

    use super::{TrustRoots, verify};

    proptest! {
        /// Arbitrary attached bytes are unverified, and cause no failure.
        #[test]
        fn no_bytes_break_it_and_none_are_a_signature(
            mut text in "\\{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3\\+json\",.{0,200}\\}|.{0,300}",
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let digest = format!("sha256:{}", "0".repeat(64));
            let roots = TrustRoots::default();
            prop_assert!(verify(&bytes, &digest, &Signers::default(), &roots).is_err());
            prop_assert!(verify(text.as_bytes(), &digest, &Signers::default(), &roots).is_err());
            text.push('}');
            prop_assert!(verify(text.as_bytes(), &digest, &Signers::default(), &roots).is_err());
        }
    }
}
