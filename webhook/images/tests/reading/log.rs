//! What a signature log proves about a keyless signature: every part of the proof is changed in turn, and
//! entries of every kind are put into a log of this test's own, which the trust root then trusts.

use std::sync::Arc;

use bailiwick_policy::admission::evidence::{Signatures, Signers, TrustRoot};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sigstore_verify::crypto::KeyPair;

use super::loopback::{Content, content_folder};
use super::signatures::{signature_of, with_bundle};

/// An image with a keyless signature. Its log entry is not the first, so that its proof has hashes.
const SIGNED: &str = "other-identity";

/// A keyless signature as cosign made it, and its image.
struct Keyless {
    digest: String,
    manifest: Value,
    bundle: Value,
}

impl Keyless {
    fn of(tag: &str) -> Self {
        let content = Content::load();
        let digest = content.digest(tag);
        let (manifest, bundle) = signature_of(&content, &digest);
        Self { digest, manifest, bundle: serde_json::from_slice(&bundle).unwrap() }
    }

    /// What is found when the registry has this bundle instead.
    async fn with(&self, bundle: &Value, signers: &Signers) -> Signatures {
        with_bundle(&self.digest, &self.manifest, serde_json::to_vec(bundle).unwrap(), signers).await
    }
}

/// The trust root of the images, changed.
fn root(change: impl FnOnce(&mut Value)) -> Signers {
    let text = std::fs::read(content_folder().join("trust-root.json")).unwrap();
    let mut root: Value = serde_json::from_slice(&text).unwrap();
    change(&mut root);
    Signers { trust_roots: [Arc::new(TrustRoot::new(&root.to_string()))].into(), ..Signers::default() }
}

/// Replaces one character of a base64 text, in the middle.
fn altered(text: &Value) -> Value {
    let mut bytes = text.as_str().unwrap().as_bytes().to_vec();
    let at = bytes.len() / 2;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap().into()
}

#[tokio::test]
async fn every_changed_part_of_the_proof_ends_a_keyless_signature() {
    let signed = Keyless::of(SIGNED);
    let other = Keyless::of("identity").bundle["verificationMaterial"].clone();
    let ours = root(|_| {});
    assert_eq!(signed.with(&signed.bundle, &ours).await.verified.len(), 1, "the control");
    let entry = |at: &str| format!("/verificationMaterial/tlogEntries/0{at}");
    let proof = &signed.bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"];
    let checkpoint = proof["checkpoint"]["envelope"].as_str().unwrap();
    let stamp = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    let first_stamp = format!("{stamp}/0/signedTimestamp");
    let at = |path: &str| signed.bundle.pointer(path).unwrap_or_else(|| panic!("{path}"));
    let changes: [(&str, String, Value, &str); 11] = [
        (
            "a hash of the proof",
            entry("/inclusionProof/hashes/0"),
            altered(&proof["hashes"][0]),
            "inclusion proof",
        ),
        ("no hashes", entry("/inclusionProof/hashes"), json!([]), "inclusion proof"),
        ("another place in the log", entry("/logIndex"), "0".into(), "inclusion proof"),
        ("no proof", entry("/inclusionProof"), Value::Null, ""),
        (
            "the size in the checkpoint",
            entry("/inclusionProof/checkpoint/envelope"),
            checkpoint.replacen("\n2\n", "\n3\n", 1).into(),
            "",
        ),
        (
            "the checkpoint's signature",
            entry("/inclusionProof/checkpoint/envelope"),
            format!("{}AAAA=\n", &checkpoint[..checkpoint.len() - 6]).into(),
            "No valid Rekor signature found on checkpoint",
        ),
        ("another image's entry", entry(""), other["tlogEntries"][0].clone(), "mismatch"),
        ("no entry", "/verificationMaterial/tlogEntries".to_owned(), json!([]), ""),
        (
            "another image's timestamp",
            stamp.to_owned(),
            other["timestampVerificationData"]["rfc3161Timestamps"].clone(),
            "timestamp",
        ),
        ("a changed timestamp", first_stamp.clone(), altered(at(&first_stamp)), ""),
        ("no timestamp", stamp.to_owned(), json!([]), "timestamp"),
    ];
    for (what, path, value, says) in changes {
        let mut bundle = signed.bundle.clone();
        *bundle.pointer_mut(&path).unwrap_or_else(|| panic!("{what}: nothing at {path}")) = value;
        assert!(bundle != signed.bundle, "{what} is the same");
        let found = signed.with(&bundle, &ours).await;
        assert!(found.verified.is_empty() && found.passed_over[0].contains(says), "{what}: {found:?}");
    }
    // The certificate of another identity of the same authority.
    let mut bundle = signed.bundle.clone();
    bundle["verificationMaterial"]["certificate"] = other["certificate"].clone();
    assert_eq!(signed.with(&bundle, &ours).await.verified, []);
}

#[tokio::test]
async fn the_log_that_a_trust_root_has_is_required_and_no_other_key_speaks_for_it() {
    let signed = Keyless::of(SIGNED);
    let key = STANDARD.encode(KeyPair::generate_ecdsa_p256().unwrap().public_key_der().unwrap().as_bytes());
    let other_key = root(|root| root["tlogs"][0]["publicKey"]["rawBytes"] = key.into());
    let other_log = Log::new();
    for (what, signers) in [("another key", &other_key), ("another log", &other_log.trusted())] {
        let found = signed.with(&signed.bundle, signers).await;
        assert!(found.verified.is_empty() && found.passed_over[0].contains("Rekor"), "{what}: {found:?}");
    }
    // A trust root without a log asks for none; the timestamp authority alone proves the time.
    let no_log = root(|root| root["tlogs"] = json!([]));
    assert_eq!(signed.with(&signed.bundle, &no_log).await.verified.len(), 1);
    let mut bundle = signed.bundle.clone();
    bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    assert_eq!(signed.with(&bundle, &no_log).await.verified.len(), 1);
}

/// A log of one entry.
struct Log(KeyPair);

impl Log {
    fn new() -> Self {
        Self(KeyPair::generate_ecdsa_p256().unwrap())
    }

    fn key(&self) -> Vec<u8> {
        self.0.public_key_der().unwrap().as_bytes().to_vec()
    }

    /// The trust root of the images, with this log in place of theirs.
    fn trusted(&self) -> Signers {
        let key = json!({
            "rawBytes": STANDARD.encode(self.key()), "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": { "start": "2026-01-01T00:00:00Z" },
        });
        let id = json!({ "keyId": STANDARD.encode(Sha256::digest(self.key())) });
        root(|root| {
            root["tlogs"][0]["publicKey"] = key;
            root["tlogs"][0]["logId"] = id;
        })
    }

    /// The bundle with one entry, in this log. RFC 6962 for the tree; for the checkpoint
    /// <https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md>.
    fn entered(&self, bundle: &Value, kind: &str, version: &str, body: &[u8]) -> Value {
        let root = STANDARD.encode(Sha256::digest([&[0], body].concat()));
        let checkpoint = format!("localhost\n1\n{root}\n");
        let id = Sha256::digest(self.key());
        let signature = [&id[..4], self.0.sign(checkpoint.as_bytes()).unwrap().as_bytes()].concat();
        let mut bundle = bundle.clone();
        bundle["verificationMaterial"]["tlogEntries"] = json!([{
            "logIndex": "0", "logId": { "keyId": STANDARD.encode(id) }, "kindVersion": { "kind": kind, "version": version },
            "canonicalizedBody": STANDARD.encode(body),
            "inclusionProof": {
                "logIndex": "0", "rootHash": root, "treeSize": "1", "hashes": [],
                "checkpoint": { "envelope": format!("{checkpoint}\n\u{2014} localhost {}\n", STANDARD.encode(signature)) },
            },
        }]);
        bundle
    }
}

/// A certificate of a bundle as Rekor 1 writes it: PEM, in base64.
fn verifier(bundle: &Value) -> String {
    let der = bundle["verificationMaterial"]["certificate"]["rawBytes"].as_str().unwrap();
    let lines: Vec<&str> = der.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    STANDARD.encode(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
}

/// The entry of a bundle in a log of Rekor 1, as each kind has it.
fn rekor_1(bundle: &Value, kind: &str, version: &str) -> Value {
    let envelope = &bundle["dsseEnvelope"];
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let hash = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "algorithm": "sha256", "value": hex })
    };
    let signature = envelope["signatures"][0]["sig"].as_str().unwrap();
    let whole = hash(envelope.to_string().as_bytes());
    let spec = match kind {
        "dsse" => json!({
            "envelopeHash": whole, "payloadHash": hash(&payload),
            "signatures": [{ "signature": signature, "verifier": verifier(bundle) }],
        }),
        "intoto" => json!({ "content": {
            "envelope": {
                "payloadType": envelope["payloadType"],
                "signatures": [{ "sig": STANDARD.encode(signature), "publicKey": verifier(bundle) }],
            },
            "hash": whole, "payloadHash": hash(&payload),
        } }),
        _ => json!({
            "data": { "hash": hash(&payload) },
            "signature": { "content": signature, "publicKey": { "content": verifier(bundle) } },
        }),
    };
    json!({ "apiVersion": version, "kind": kind, "spec": spec })
}

#[tokio::test]
async fn entries_count_if_they_are_of_a_kind_that_cosign_writes_and_of_no_other() {
    let signed = Keyless::of(SIGNED);
    let log = Log::new();
    let trusted = log.trusted();
    let found = async |kind: &str, version: &str, body: &[u8]| {
        signed.with(&log.entered(&signed.bundle, kind, version, body), &trusted).await
    };
    let body = |at: &Value| STANDARD.decode(at["canonicalizedBody"].as_str().unwrap()).unwrap();
    let rekor_2 = body(&signed.bundle["verificationMaterial"]["tlogEntries"][0]);
    assert_eq!(found("hashedrekord", "0.0.2", &rekor_2).await.verified.len(), 1);
    let dsse = rekor_1(&signed.bundle, "dsse", "0.0.1");
    let taken = found("dsse", "0.0.1", dsse.to_string().as_bytes()).await;
    assert_eq!(taken.verified.len(), 1, "{taken:?}");
    for (kind, version) in [("intoto", "0.0.2"), ("hashedrekord", "0.0.1")] {
        let entry = rekor_1(&signed.bundle, kind, version).to_string();
        let refused = found(kind, version, entry.as_bytes()).await;
        let says =
            format!("is in a log as `{kind}` {version}, and only the entries of `cosign sign` 3 are read");
        assert!(refused.verified.is_empty() && refused.passed_over[0].contains(&says), "{refused:?}");
    }
    for (kind, version) in [("dsse", "0.0.2"), ("intoto", "0.0.1"), ("rekord", "0.0.1")] {
        let refused = found(kind, version, dsse.to_string().as_bytes()).await;
        let says = format!("unsupported Rekor entry format: {kind}/{version}");
        assert!(refused.verified.is_empty() && refused.passed_over[0].contains(&says), "{refused:?}");
    }
    // One kind's name on the other's entry.
    assert_eq!(found("dsse", "0.0.1", &rekor_2).await.verified, []);
    assert_eq!(found("hashedrekord", "0.0.2", dsse.to_string().as_bytes()).await.verified, []);
}

#[tokio::test]
async fn a_dsse_entry_is_about_this_payload_this_signature_and_this_certificate() {
    let signed = Keyless::of(SIGNED);
    let other = Keyless::of("identity").bundle;
    let log = Log::new();
    let trusted = log.trusted();
    let entry = |bundle: &Value| rekor_1(bundle, "dsse", "0.0.1")["spec"].clone();
    let (ours, theirs) = (entry(&signed.bundle), entry(&other));
    for part in ["/payloadHash", "/signatures/0/signature", "/signatures/0/verifier"] {
        let mut spec = ours.clone();
        *spec.pointer_mut(part).unwrap() = theirs.pointer(part).unwrap().clone();
        assert_ne!(spec, ours, "{part}");
        let body = json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": spec }).to_string();
        let bundle = log.entered(&signed.bundle, "dsse", "0.0.1", body.as_bytes());
        let found = signed.with(&bundle, &trusted).await;
        assert!(found.verified.is_empty() && found.passed_over[0].contains("match"), "{part}: {found:?}");
    }
}

#[tokio::test]
async fn a_bundle_of_many_proofs_is_not_checked_and_none_of_its_bytes_reach_a_terminal() {
    let signed = Keyless::of(SIGNED);
    let ours = root(|_| {});
    let material = "/verificationMaterial";
    for proofs in ["/tlogEntries", "/timestampVerificationData/rfc3161Timestamps"] {
        for (count, counts) in [(8, true), (9, false)] {
            let mut bundle = signed.bundle.clone();
            let list = bundle.pointer_mut(&format!("{material}{proofs}")).unwrap();
            *list = vec![list[0].clone(); count].into();
            let found = signed.with(&bundle, &ours).await;
            assert_eq!(found.verified.len(), usize::from(counts), "{count} {proofs}: {found:?}");
            let says = "has more than 8 log entries or timestamps";
            assert!(counts || found.passed_over[0].contains(says), "{found:?}");
        }
    }
    for path in ["/mediaType", "/verificationMaterial/tlogEntries/0/kindVersion/kind"] {
        let mut bundle = signed.bundle.clone();
        *bundle.pointer_mut(path).unwrap() = "a\u{1b}[31m\u{202e}b".into();
        let found = signed.with(&bundle, &ours).await;
        let [words] = found.passed_over.as_slice() else { panic!("{found:?}") };
        assert!(words.contains(r"a\u{1b}[31m\u{202e}b"), "{words:?}");
    }
}
