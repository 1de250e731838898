//! Signatures by a bare key: Ed25519, or ECDSA over P-256 with SHA-256.
//!
//! This short path exists next to `sigstore-verify`, which requires a log entry or a timestamp in every
//! bundle; `cosign sign --key` without services makes bundles that have neither. With the key pinned in the
//! pack, nothing else is needed. Whatever else a bundle contains (log entries, timestamps, the key hint) is
//! ignored.

use bailiwick_policy::admission::evidence::{Signature, Signer, Signers};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore_verify::crypto::{KeyAlgorithm, verify_signature};
use sigstore_verify::types::{DerPublicKey, DsseEnvelope};

use super::Unverified;

/// Why a text is not a usable key.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeyError {
    /// Not PEM, or PEM of something else.
    #[error("not a public key in PEM: {0}")]
    Pem(String),
    /// The key's algorithm is not accepted.
    #[error("a key is Ed25519 or ECDSA P-256")]
    Algorithm,
}

/// Reads a public key in PEM into the form in which policies and facts name it.
///
/// # Errors
/// The text is not such a key.
pub fn public_key(pem: &str) -> Result<String, PublicKeyError> {
    let key = DerPublicKey::from_pem(pem).map_err(|error| PublicKeyError::Pem(error.to_string()))?;
    accepted(&key).ok_or(PublicKeyError::Algorithm)?;
    Ok(STANDARD.encode(key.as_bytes()))
}

fn accepted(key: &DerPublicKey) -> Option<KeyAlgorithm> {
    let algorithm = KeyAlgorithm::from_spki(key).ok()?;
    matches!(algorithm, KeyAlgorithm::Ed25519 | KeyAlgorithm::EcdsaP256).then_some(algorithm)
}

/// Which of the keys signed an envelope.
pub(super) fn verify(envelope: &DsseEnvelope, signers: &Signers) -> Result<Vec<Signature>, Unverified> {
    let signed = envelope.pae();
    for text in &signers.keys {
        let Ok(der) = STANDARD.decode(text) else { continue };
        let key = DerPublicKey::from_bytes(&der);
        let Some(algorithm) = accepted(&key) else { continue };
        let scheme = algorithm.default_signing_scheme();
        if verify_signature(&key, &signed, &envelope.signature.sig, scheme).is_ok() {
            return Ok(vec![Signature { signer: Signer::Key(text.clone()), times_s: Vec::new() }]);
        }
    }
    Err(Unverified::OtherKey)
}
