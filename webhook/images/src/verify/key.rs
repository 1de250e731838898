//! Signatures by a bare key: Ed25519, or ECDSA over P-256 with SHA-256.
//!
//! This short path exists next to `sigstore-verify`, which requires a log entry or a timestamp in every
//! bundle; `cosign sign --key` without services makes bundles that have neither. With the key pinned in the
//! pack, nothing else is needed. Whatever else a bundle contains (log entries, timestamps, the key hint) is
//! ignored.

use bailiwick_policy::admission::evidence::{Signature, Signer, Signers};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
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
    /// Anyone can sign for it.
    #[error("it is a key for which anybody can sign")]
    Weak,
}

/// Reads a public key in PEM into the form in which policies and facts name it.
///
/// # Errors
/// The text is not such a key.
pub fn public_key(pem: &str) -> Result<String, PublicKeyError> {
    let key = DerPublicKey::from_pem(pem).map_err(|error| PublicKeyError::Pem(error.to_string()))?;
    let algorithm = algorithm(&key).ok_or(PublicKeyError::Algorithm)?;
    if is_weak(&key, algorithm) {
        return Err(PublicKeyError::Weak);
    }
    Ok(STANDARD.encode(key.as_bytes()))
}

fn algorithm(key: &DerPublicKey) -> Option<KeyAlgorithm> {
    let algorithm = KeyAlgorithm::from_spki(key).ok()?;
    matches!(algorithm, KeyAlgorithm::Ed25519 | KeyAlgorithm::EcdsaP256).then_some(algorithm)
}

/// Whether an Ed25519 key is of small order: anyone can forge signatures for it, <https://eprint.iacr.org/2020/1244>.
/// The compiler refuses such a key in a pack, too.
fn is_weak(key: &DerPublicKey, algorithm: KeyAlgorithm) -> bool {
    algorithm == KeyAlgorithm::Ed25519
        && !VerifyingKey::from_public_key_der(key.as_bytes()).is_ok_and(|key| !key.is_weak())
}

fn accepted(key: &DerPublicKey) -> Option<KeyAlgorithm> {
    algorithm(key).filter(|algorithm| !is_weak(key, *algorithm))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pem(key: [u8; 32]) -> (String, String) {
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend(key);
        let text = STANDARD.encode(der);
        (format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"), text)
    }

    /// A number that is 32 bytes of `fill` but for its first and last.
    const fn bytes(first: u8, fill: u8, last: u8) -> [u8; 32] {
        let mut bytes = [fill; 32];
        bytes[0] = first;
        bytes[31] = last;
        bytes
    }

    #[test]
    fn a_key_for_which_anybody_can_sign_is_none() {
        // The neutral element. Of a signature by it, R = sB holds for every message: here of s = 0.
        let neutral = bytes(1, 0, 0);
        let mut forged = [0; 64];
        forged[..32].copy_from_slice(&neutral);
        let envelope = json!({
            "payload": STANDARD.encode("anything"), "payloadType": "application/vnd.in-toto+json",
            "signatures": [{ "sig": STANDARD.encode(forged) }],
        });
        let envelope: DsseEnvelope = serde_json::from_value(envelope).expect("an envelope");
        // Of order 1, 4 and 2, and the first in another form.
        for weak in [neutral, bytes(0, 0, 0), bytes(0xec, 0xff, 0x7f), bytes(0xee, 0xff, 0x7f)] {
            let (pem, text) = pem(weak);
            let signers = Signers { keys: [text].into(), ..Signers::default() };
            assert!(matches!(verify(&envelope, &signers), Err(Unverified::OtherKey)), "{weak:?} signed");
            assert!(matches!(public_key(&pem), Err(PublicKeyError::Weak)), "{weak:?}");
        }
        let (pem, text) = pem([
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ]);
        assert_eq!(public_key(&pem).expect("the key of RFC 8032 §7.1"), text);
    }
}
