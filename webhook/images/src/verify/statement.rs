//! Checks the signed content: it must be cosign's signature statement, about this very image.
//!
//! An attestation by the same key over the same digest is not a signature: it may say that the image failed
//! its tests. So the predicate type is compared exactly, and a statement that cannot be read is an error
//! (CVE-2022-35929, CVE-2026-39395). <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>

use std::collections::BTreeMap;

use serde::Deserialize;
use sigstore_verify::types::DsseEnvelope;

use super::Unverified;
use crate::evidence::quoted;

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The predicate type of `cosign sign` version 3.
/// <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>
const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// Whether an envelope holds a signature statement about this digest (`sha256:…`).
pub(super) fn check(envelope: &DsseEnvelope, digest: &str) -> Result<(), Unverified> {
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(Unverified::Statement(format!("its type is `{}`", quoted(&envelope.payload_type))));
    }
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|error| Unverified::Statement(error.to_string()))?;
    if statement.predicate_type != SIGNATURE {
        return Err(Unverified::OtherPredicate(quoted(&statement.predicate_type)));
    }
    if statement.kind != STATEMENT_TYPE {
        return Err(Unverified::Statement(format!("it is a `{}`", quoted(&statement.kind))));
    }
    let hex = digest.strip_prefix("sha256:");
    let about_it =
        |subject: &Subject| hex.is_some() && subject.digest.get("sha256").map(String::as_str) == hex;
    if statement.subject.iter().any(about_it) { Ok(()) } else { Err(Unverified::OtherImage) }
}
