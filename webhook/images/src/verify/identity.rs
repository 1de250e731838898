//! Signatures by an identity: a short-lived certificate from an authority in the trust root, at a time that a
//! log or a timestamp proves.
//!
//! `sigstore-verify` does all of the work: the chain, validity at every proven time, the certificate's own
//! log, inclusion in the signature log, and that the entry describes this signature. The identity is a fact;
//! whether it may sign this image is up to the pack. Only what a trust root has can be required: without
//! certificate logs, nothing proves that the certificate was published, and without signature logs, only a
//! timestamp authority proves the time. The public root has all of them.
//!
//! A log entry must be of a kind that `cosign sign` 3 writes for a statement: `hashedrekord` 0.0.2 into Rekor
//! 2, and `dsse` 0.0.1 into Rekor 1, Sigstore's public log. Both name the certificate and the signature, and
//! the signed bytes: the first by their hash, the second by the payload's, whose type the signature covers.
//! (The hash of the whole envelope in a `dsse` entry cannot be computed again, and nothing rests on it.)
//! <https://github.com/sigstore/sigstore-go/blob/main/pkg/sign/transparency.go>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_policy::admission::evidence::{Signature, Signer, Signers, TrustRoot};
use sigstore_trust_root::TrustedRoot;
use sigstore_verify::types::{Bundle, KindVersion, Sha256Hash};
use sigstore_verify::{VerificationPolicy, Verifier};

use super::Unverified;
use crate::limits::{PROOFS, TRUST_ROOTS};

/// Parsed trust roots, by their digest.
#[derive(Default)]
pub(crate) struct TrustRoots(Mutex<BTreeMap<String, Arc<Parsed>>>);

struct Parsed {
    verifier: Verifier,
    policy: VerificationPolicy,
}

impl TrustRoots {
    fn parsed(&self, root: &TrustRoot) -> Result<Arc<Parsed>, Unverified> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = known.get(&root.digest) {
            return Ok(Arc::clone(parsed));
        }
        let wrong = |error: &dyn std::fmt::Display| Unverified::TrustRoot(error.to_string());
        let trusted = TrustedRoot::from_json(&root.json).map_err(|error| wrong(&error))?;
        let mut policy = VerificationPolicy::any_identity();
        if trusted.ctlogs.is_empty() {
            policy = policy.skip_sct();
        }
        if trusted.tlogs.is_empty() {
            policy = policy.skip_tlog_unsafe();
        }
        let verifier = Verifier::new(&trusted).map_err(|error| wrong(&error))?;
        let parsed = Arc::new(Parsed { verifier, policy });
        if known.len() >= TRUST_ROOTS {
            known.clear();
        }
        known.insert(root.digest.clone(), Arc::clone(&parsed));
        Ok(parsed)
    }
}

/// Who signed a bundle with a certificate, under each of the trust roots.
pub(super) fn verify(
    bundle: &Bundle,
    digest: &str,
    signers: &Signers,
    trust_roots: &TrustRoots,
) -> Result<Vec<Signature>, Unverified> {
    let material = &bundle.verification_material;
    let stamps = &material.timestamp_verification_data.rfc3161_timestamps;
    if material.tlog_entries.len().max(stamps.len()) > PROOFS {
        return Err(Unverified::TooManyProofs);
    }
    for entry in &material.tlog_entries {
        let form = entry.kind_version;
        if !matches!(form, KindVersion::HashedRekordV002 | KindVersion::DsseV001) {
            return Err(Unverified::LogEntry { kind: form.kind(), version: form.version() });
        }
    }
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let hash = Sha256Hash::from_hex(hex).map_err(|error| Unverified::Statement(error.to_string()))?;
    let mut found = Vec::new();
    let mut failure = Unverified::NoTrustRoot;
    for root in &signers.trust_roots {
        let parsed = match trust_roots.parsed(root) {
            Ok(parsed) => parsed,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        match parsed.verifier.verify(hash, bundle, &parsed.policy) {
            Ok(result) if result.certificate_verified() => match (result.identity(), result.issuer()) {
                (Some(subject), Some(issuer)) => found.push(Signature {
                    signer: Signer::Identity {
                        trust_root: root.digest.clone(),
                        issuer: issuer.to_owned(),
                        subject: subject.as_str().to_owned(),
                    },
                    times_s: result.verified_timestamps().iter().map(|time| time.as_second()).collect(),
                }),
                _ => {
                    failure =
                        Unverified::Identity("its certificate names no identity or no issuer".to_owned())
                }
            },
            Ok(_) => failure = Unverified::Identity("its certificate was not verified".to_owned()),
            Err(error) => failure = Unverified::Identity(error.to_string()),
        }
    }
    if found.is_empty() { Err(failure) } else { Ok(found) }
}
