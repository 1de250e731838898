//! What cosign 3.1.1 signed, by key and by identity, found in both ways.

use std::sync::Arc;

use bailiwick_policy::admission::evidence::{Signatures, Signer, Signers, TrustRoot};

use super::loopback::{Api, Content, LoopbackRegistry, Reply, checker, digest, image, key, root, signatures};

const ISSUER: &str = "https://issuer.example.org";

#[tokio::test]
async fn a_signature_by_the_key_is_found_by_the_api_and_by_the_tag() {
    let content = Content::load();
    for api in [Api::Referrers, Api::Tags] {
        let registry = LoopbackRegistry::with_content(api).await;
        let checker = checker(&[&registry.host], "");
        let tagged = image(&registry, ":signed");
        let digest = digest(&checker, &tagged).await.unwrap();
        assert_eq!(digest, content.digest("signed"), "{api:?}");
        let ours = key("ours.pub");
        let found = signatures(&checker, &tagged.at(&digest), &ours).await.unwrap();
        let signers: Vec<&Signer> = found.verified.iter().map(|one| &one.signer).collect();
        assert_eq!(signers, [&Signer::Key(ours.keys.first().unwrap().clone())], "{api:?} {found:?}");
        assert_eq!(found.incomplete, None);
    }
}

#[tokio::test]
async fn a_registry_without_the_api_is_asked_for_the_tag_however_it_says_so() {
    let content = Content::load();
    let (signed, unsigned) = (content.digest("signed"), content.digest("unsigned"));
    for (status, leads_to_tag) in [(404, true), (400, true), (406, true), (405, false), (418, false)] {
        let registry = LoopbackRegistry::start(move |request| match request.target.contains("/referrers/") {
            true => Reply::status(status),
            false => Content::load().answer(request, Api::Tags),
        })
        .await;
        let checker = checker(&[&registry.host], "");
        let found = signatures(&checker, &image(&registry, "").at(&signed), &key("ours.pub")).await;
        assert_eq!(
            found.as_ref().is_ok_and(|found| found.verified.len() == 1),
            leads_to_tag,
            "{status}: {found:?}"
        );
        let found = signatures(&checker, &image(&registry, "").at(&unsigned), &key("ours.pub")).await;
        assert_eq!(found.is_ok_and(|found| found.verified.is_empty()), leads_to_tag, "{status}");
    }
}

#[tokio::test]
async fn other_keys_twins_and_attestations_are_no_signature() {
    let content = Content::load();
    let registry = LoopbackRegistry::with_content(Api::Tags).await;
    let checker = checker(&[&registry.host], "");
    for (tag, says) in [
        ("other-key", "is signed by none of the keys that count"),
        ("unsigned", ""),
        ("attested", "is an attestation of type `https://example.org/tests/v1`, not a signature"),
        ("identity", "is signed by a certificate, and no identity counts"),
    ] {
        let found =
            signatures(&checker, &image(&registry, "").at(&content.digest(tag)), &key("ours.pub")).await;
        let found = found.unwrap();
        assert_eq!(found.verified, [], "{tag}");
        assert!(
            found.passed_over.iter().any(|one| one.contains(says)) || says.is_empty(),
            "{tag}: {found:?}"
        );
        assert_eq!(found.incomplete, None, "{tag}");
    }
    // The key that did sign it is a fact, but not the one that was looked for.
    let found =
        signatures(&checker, &image(&registry, "").at(&content.digest("other-key")), &key("theirs.pub"))
            .await;
    assert_eq!(found.unwrap().verified.len(), 1);
}

#[tokio::test]
async fn an_identity_is_vouched_for_by_the_pinned_trust_root_and_by_no_other() {
    let content = Content::load();
    let registry = LoopbackRegistry::with_content(Api::Referrers).await;
    let checker = checker(&[&registry.host], "");
    let ours = root();
    let pinned = ours.trust_roots.first().unwrap().digest.clone();
    for (tag, subject) in [
        ("identity", "https://git.example.org/agents/.workflows/release.yml@refs/tags/v1"),
        ("both", "https://git.example.org/agents/.workflows/release.yml@refs/tags/v1"),
        ("other-identity", "https://git.example.org/agents/.workflows/release.yml@refs/heads/feature"),
    ] {
        let found =
            signatures(&checker, &image(&registry, "").at(&content.digest(tag)), &ours).await.unwrap();
        let [signature] = found.verified.as_slice() else { panic!("{tag}: {found:?}") };
        let expected = Signer::Identity {
            trust_root: pinned.clone(),
            issuer: ISSUER.to_owned(),
            subject: subject.to_owned(),
        };
        assert_eq!(signature.signer, expected, "{tag}");
        assert!(!signature.times_s.is_empty(), "{tag}: the time of the timestamp authority");
    }
    // Sigstore's public authorities did not issue these certificates.
    let public = Signers {
        trust_roots: [Arc::new(TrustRoot::new(bailiwick_images::PUBLIC_TRUST_ROOT))].into(),
        ..Signers::default()
    };
    let found =
        signatures(&checker, &image(&registry, "").at(&content.digest("identity")), &public).await.unwrap();
    assert_eq!(found.verified, []);
    assert!(
        found.passed_over.iter().any(|one| one.contains("is not vouched for by the trust root")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_trust_root_without_the_authority_or_the_clock_vouches_for_nothing() {
    let content = Content::load();
    let registry = LoopbackRegistry::with_content(Api::Referrers).await;
    let checker = checker(&[&registry.host], "");
    let json = &root().trust_roots.first().unwrap().json.clone();
    for member in ["timestampAuthorities", "certificateAuthorities"] {
        let mut changed: serde_json::Value = serde_json::from_str(json).unwrap();
        changed[member] = serde_json::json!([]);
        let signers = Signers {
            trust_roots: [Arc::new(TrustRoot::new(&changed.to_string()))].into(),
            ..Signers::default()
        };
        let found = signatures(&checker, &image(&registry, "").at(&content.digest("identity")), &signers)
            .await
            .unwrap();
        assert_eq!(found.verified, [], "without {member}");
    }
    let broken = Signers { trust_roots: [Arc::new(TrustRoot::new("{}"))].into(), ..Signers::default() };
    let found =
        signatures(&checker, &image(&registry, "").at(&content.digest("identity")), &broken).await.unwrap();
    assert!(
        found.verified.is_empty() && found.passed_over.iter().any(|one| one.contains("trust root")),
        "{found:?}"
    );
}

#[tokio::test]
async fn every_changed_byte_of_a_bundle_ends_the_signature() {
    // A bundle is changed, and the registry's manifest with it, so that the hashes match: only the signature
    // can reveal it.
    let content = Content::load();
    let image_digest = content.digest("signed");
    let (manifest, bundle) = signature_of(&content, &image_digest);
    let signers = key("ours.pub");
    let envelope: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
    let mut tried = 0;
    for member in ["payload", "signature"] {
        let text = match member {
            "payload" => envelope["dsseEnvelope"]["payload"].as_str().unwrap(),
            _ => envelope["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap(),
        };
        for at in (0..text.len()).step_by(7) {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let bytes = String::from_utf8(bundle.clone()).unwrap().replace(text, &changed).into_bytes();
            let found = with_bundle(&image_digest, &manifest, bytes, &signers).await;
            assert_eq!(found.verified, [], "{member}, byte {at}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
    // The control: unchanged, it counts.
    assert_eq!(with_bundle(&image_digest, &manifest, bundle, &signers).await.verified.len(), 1);
}

/// The manifest and the bundle of the first signature that is attached to an image.
pub(crate) fn signature_of(content: &Content, image_digest: &str) -> (serde_json::Value, Vec<u8>) {
    let index: serde_json::Value = serde_json::from_slice(&content.referrers(image_digest)).unwrap();
    let manifest = content.bytes(index["manifests"][0]["digest"].as_str().unwrap());
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let bundle = content.bytes(manifest["layers"][0]["digest"].as_str().unwrap());
    (manifest, bundle)
}

/// What is found when a registry holds this bundle for this image.
pub(crate) async fn with_bundle(
    image_digest: &str,
    manifest: &serde_json::Value,
    bundle: Vec<u8>,
    signers: &Signers,
) -> Signatures {
    let mut manifest = manifest.clone();
    manifest["layers"][0]["digest"] = hash(&bundle).into();
    manifest["layers"][0]["size"] = bundle.len().into();
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let index = serde_json::json!({"manifests": [{"digest": hash(&manifest), "size": manifest.len()}]});
    let registry = LoopbackRegistry::start(move |request| {
        if request.target.contains("/referrers/") {
            Reply::bytes(serde_json::to_vec(&index).unwrap())
        } else if request.target.contains("/manifests/") {
            Reply::bytes(manifest.clone())
        } else {
            Reply::bytes(bundle.clone())
        }
    })
    .await;
    let checker = checker(&[&registry.host], "");
    signatures(&checker, &image(&registry, "").at(image_digest), signers).await.unwrap()
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[tokio::test]
async fn a_signature_of_one_image_attached_to_another_does_not_count() {
    let content = Content::load();
    let (signed, unsigned) = (content.digest("signed"), content.digest("unsigned"));
    let (mut manifest, bundle) = signature_of(&content, &signed);
    // Listed unchanged for the unsigned image: its subject is the other image.
    let lists = content.referrers(&signed);
    let registry = LoopbackRegistry::start(move |request| {
        let content = Content::load();
        if request.target.contains("/referrers/") {
            Reply::bytes(lists.clone())
        } else {
            content.answer(request, Api::Referrers)
        }
    })
    .await;
    let found =
        signatures(&checker(&[&registry.host], ""), &image(&registry, "").at(&unsigned), &key("ours.pub"))
            .await
            .unwrap();
    assert!(
        found.verified.is_empty() && found.passed_over[0].contains("attached to another image"),
        "{found:?}"
    );
    // With the subject rewritten, the statement still names the other image.
    manifest["subject"]["digest"] = unsigned.clone().into();
    assert_eq!(with_bundle(&unsigned, &manifest, bundle, &key("ours.pub")).await.verified, []);
}

#[tokio::test]
async fn older_bundles_and_signed_bytes_are_no_signature_and_older_tags_are_not_looked_up() {
    let content = Content::load();
    let (digest, signers) = (content.digest("signed"), key("ours.pub"));
    let (manifest, bundle) = signature_of(&content, &digest);
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
        change(&mut bundle);
        serde_json::to_vec(&bundle).unwrap()
    };
    for version in ["0.1", "0.2"] {
        let media_type = format!("application/vnd.dev.sigstore.bundle+json;version={version}");
        let older = changed(&|bundle| bundle["mediaType"] = media_type.clone().into());
        let found = with_bundle(&digest, &manifest, older, &signers).await;
        let says = format!("is a bundle of version `{media_type}`, and only 0.3 is read");
        assert!(found.verified.is_empty() && found.passed_over[0].contains(&says), "{found:?}");
    }
    let bytes = changed(&|bundle| {
        let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].clone();
        bundle.as_object_mut().unwrap().remove("dsseEnvelope");
        let hash = serde_json::json!({"algorithm": "SHA2_256", "digest": "A".repeat(43) + "="});
        bundle["messageSignature"] = serde_json::json!({"messageDigest": hash, "signature": signature});
    });
    let found = with_bundle(&digest, &manifest, bytes, &signers).await;
    let says = "signs bytes and not a statement about an image";
    assert!(found.verified.is_empty() && found.passed_over[0].contains(says), "{found:?}");
    // The tag of cosign 2: whatever is there, it is not even fetched.
    let unsigned = content.digest("unsigned");
    let registry = LoopbackRegistry::start(move |request| match request.target.ends_with(".sig") {
        true => Reply::bytes(serde_json::to_vec(&manifest).unwrap()),
        false => Content::load().answer(request, Api::Tags),
    })
    .await;
    let (checker, reference) = (checker(&[&registry.host], ""), image(&registry, "").at(&unsigned));
    let found = signatures(&checker, &reference, &signers).await.unwrap();
    assert_eq!((found.verified, found.passed_over, found.incomplete), (vec![], vec![], None));
    let targets = registry.targets();
    assert!(!targets.is_empty() && targets.iter().all(|target| !target.ends_with(".sig")), "{targets:?}");
}

#[tokio::test]
async fn eight_containers_with_one_image_are_one_verification() {
    let content = Content::load();
    let registry = LoopbackRegistry::with_content(Api::Referrers).await;
    let checker = checker(&[&registry.host], "");
    let reference = image(&registry, "").at(&content.digest("both"));
    let signers = key("ours.pub");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (checker, reference, signers) = (Arc::clone(&checker), reference.clone(), signers.clone());
        asking.spawn(async move { signatures(&checker, &reference, &signers).await.unwrap().verified.len() });
    }
    assert_eq!(asking.join_all().await, [1; 8]);
    assert_eq!(checker.figures().fetched, 1);
    let requests = registry.targets().len();
    assert_eq!(requests, 5, "a list, two manifests, two bundles: {:?}", registry.targets());
    // Later ones are answered from the cache, whatever tag precedes the digest.
    for suffix in ["", ":signed", ":x"] {
        let found =
            signatures(&checker, &image(&registry, suffix).at(&content.digest("both")), &signers).await;
        assert_eq!(found.unwrap().verified.len(), 1);
    }
    assert_eq!(registry.targets().len(), requests);
    // Demands for other signers are not answered with these.
    let found = signatures(&checker, &reference, &key("theirs.pub")).await.unwrap();
    assert_eq!((found.verified.len(), checker.figures().fetched), (0, 2));
}

#[test]
fn the_compiler_pins_the_public_trust_root_of_this_version() {
    let pinned = include_str!("../../../../compiler/src/lower/images/public-trust-root.json");
    assert_eq!(pinned, bailiwick_images::PUBLIC_TRUST_ROOT);
}
