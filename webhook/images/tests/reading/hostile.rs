//! Registries that lie, stall, flood or redirect elsewhere. Each attack has a control: a registry that
//! behaves, or the same attack without the defence.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bailiwick_images::{Checker, Settings};
use bailiwick_policy::admission::evidence::{Demand, ImageFacts, Wants};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::loopback::{
    Api, Body, Content, LoopbackRegistry, Reply, checker, digest, image, key, signatures, signatures_within,
};
use super::signatures::hash;

#[tokio::test]
async fn what_the_registry_says_about_digests_is_not_believed() {
    let content = Content::load();
    let registry = LoopbackRegistry::start(move |request| {
        let content = Content::load();
        let honest = content.answer(request, Api::Referrers);
        let reply = if request.target.ends_with("/manifests/signed") {
            // Another image, under the signed one's digest.
            Reply::bytes(content.bytes(&content.digest("unsigned")))
        } else {
            honest
        };
        reply.with("Docker-Content-Digest", content.digest("signed"))
    })
    .await;
    let found = digest(&checker(&[&registry.host], ""), &image(&registry, ":signed")).await.unwrap();
    assert_eq!(found, content.digest("unsigned"), "the digest of the bytes");
}

#[tokio::test]
async fn other_bytes_than_a_digest_stands_for_are_an_error_and_not_unsigned() {
    let content = Content::load();
    let signed = content.digest("signed");
    for part in ["/manifests/", "/blobs/"] {
        let registry = LoopbackRegistry::start(move |request| {
            let content = Content::load();
            if request.target.contains(part) {
                return Reply::bytes(b"{}".to_vec());
            }
            content.answer(request, Api::Referrers)
        })
        .await;
        let found =
            signatures(&checker(&[&registry.host], ""), &image(&registry, "").at(&signed), &key("ours.pub"))
                .await;
        let found = found.unwrap();
        let incomplete = found.incomplete.clone().unwrap_or_default();
        assert!(incomplete.contains("gave other bytes"), "{part}: {found:?}");
    }
}

#[tokio::test]
async fn too_many_requests_are_waited_out() {
    let content = Content::load();
    let signed = content.digest("signed");
    let busy = AtomicUsize::new(3);
    let registry = LoopbackRegistry::start(move |request| {
        let left = busy.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if left.is_ok() {
            Reply::status(429).with("Retry-After", "0")
        } else {
            content.answer(request, Api::Referrers)
        }
    })
    .await;
    let found =
        signatures(&checker(&[&registry.host], ""), &image(&registry, "").at(&signed), &key("ours.pub"))
            .await;
    assert_eq!(found.unwrap().verified.len(), 1);
}

#[tokio::test]
async fn too_many_requests_are_never_unsigned() {
    let content = Content::load();
    let signed = content.digest("signed");
    for after in [Some("3600"), None] {
        for status in [429, 503] {
            let registry = LoopbackRegistry::start(move |_| match after {
                Some(after) => Reply::status(status).with("Retry-After", after),
                None => Reply::status(status),
            })
            .await;
            let checker = checker(&[&registry.host], "");
            let reference = image(&registry, "").at(&signed);
            let found =
                signatures_within(&checker, &reference, &key("ours.pub"), Duration::from_secs(1)).await;
            let reason = found.unwrap_err();
            assert!(reason.contains("rate-limited us (429)") || reason.contains("in time"), "{reason}");
            assert_eq!(checker.figures().kept, 0, "nothing is remembered of it");
        }
    }
}

#[tokio::test]
async fn a_registry_that_wants_to_be_asked_at_once_is_not_asked_without_pause() {
    let registry = LoopbackRegistry::start(|_| Reply::status(429).with("Retry-After", "0")).await;
    let reference = image(&registry, "").at(&hash(b"x"));
    let checker = checker(&[&registry.host], "");
    let found = signatures_within(&checker, &reference, &key("ours.pub"), Duration::from_secs(1)).await;
    assert!(found.is_err());
    // The waits double, so this holds however slow the machine is.
    assert!(registry.targets().len() < 10, "{} requests", registry.targets().len());
}

/// A statement of this type in a bundle, in a referrer of the digest, in a list: each by its digest.
fn attested(digest: &str, predicate_type: &str) -> Vec<(String, Vec<u8>)> {
    let statement = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": predicate_type,
    });
    let bundle = serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": "" } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement.to_string()), "payloadType": "application/vnd.in-toto+json",
            "signatures": [{ "sig": "MAo=" }],
        },
    });
    let bundle = bundle.to_string().into_bytes();
    let layer = serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "digest": hash(&bundle), "size": bundle.len(),
    });
    let manifest = serde_json::json!({ "subject": { "digest": digest }, "layers": [layer] });
    let manifest = manifest.to_string().into_bytes();
    let list = serde_json::json!({ "manifests": [{ "digest": hash(&manifest) }] }).to_string().into_bytes();
    [("referrers".to_owned(), list), (hash(&manifest), manifest), (hash(&bundle), bundle)].into()
}

#[tokio::test]
async fn no_registry_makes_an_explanation_long() {
    let signed = Content::load().digest("signed");
    // Escaped, each of these bytes would be six.
    for predicate_type in ["https://example.org/tests/v1".to_owned(), "\u{7f}".repeat(380_000)] {
        let holds = attested(&signed, &predicate_type);
        let registry = LoopbackRegistry::start(move |request| {
            let wanted = |name: &str| request.target.split('/').any(|part| part == name);
            holds
                .iter()
                .find(|(name, _)| wanted(name))
                .map_or_else(|| Reply::status(404), |(_, bytes)| Reply::bytes(bytes.clone()))
        })
        .await;
        let checker = checker(&[&registry.host], "");
        let found = signatures(&checker, &image(&registry, "").at(&signed), &key("ours.pub")).await.unwrap();
        let [words] = found.passed_over.as_slice() else { panic!("{:?}", found.incomplete) };
        assert!(words.contains("is an attestation of type `"), "{words:.100}");
        assert!(words.chars().count() <= 301, "{} characters", words.chars().count());
    }
}

#[tokio::test]
async fn a_list_names_digests_and_no_books() {
    let signed = Content::load().digest("signed");
    let list = format!(r#"{{"manifests": [{{"digest": "sha256:{}"}}]}}"#, "a".repeat(1 << 20));
    let registry = LoopbackRegistry::start(move |_| Reply::bytes(list.clone().into_bytes())).await;
    let checker = checker(&[&registry.host], "");
    let found = signatures(&checker, &image(&registry, "").at(&signed), &key("ours.pub")).await;
    let reason = found.unwrap_err();
    assert!(reason.contains("a digest has more than 160 characters"), "{reason:.300}");
    assert_eq!(registry.targets().len(), 1, "it was not looked for");
}

#[tokio::test]
async fn answers_to_all_requests_together_have_a_limit() {
    let registry =
        LoopbackRegistry::start(|_| Reply { status: 200, headers: Vec::new(), body: Body::Never }).await;
    let checker = checker(&[&registry.host], "");
    let demands = (0..100)
        .map(|at| Demand { reference: image(&registry, &format!(":t{at}")), wants: Wants::Digest })
        .collect();
    let mut facts = ImageFacts::default();
    checker.answer(demands, Instant::now() + Duration::from_secs(2), &mut facts).await;
    // Sixteen manifests of 4 MiB; without the limit, as many as there may be requests.
    let asked = registry.targets().len();
    assert!((1..=16).contains(&asked), "{asked} requests");
}

#[tokio::test]
async fn a_body_of_ten_gibibytes_is_not_read() {
    for announced in [true, false] {
        let registry = LoopbackRegistry::start(move |_| {
            let body = if announced { Body::Announced(10 << 30) } else { Body::Endless };
            Reply { status: 200, headers: Vec::new(), body }
        })
        .await;
        let checker = checker(&[&registry.host], "");
        let reason = digest(&checker, &image(&registry, ":signed")).await.unwrap_err();
        assert!(reason.contains("larger than 4194304 bytes"), "{reason}");
        // The bytes that were in buffers come on top.
        assert!(registry.sent.load(Relaxed) < 64 << 20, "{} bytes were sent", registry.sent.load(Relaxed));
    }
}

#[tokio::test]
async fn a_registry_that_stalls_or_is_not_there_is_answered_for_in_time() {
    let registry =
        LoopbackRegistry::start(|_| Reply { status: 200, headers: Vec::new(), body: Body::Never }).await;
    let checker_of = checker(&[&registry.host], "");
    let reference = image(&registry, "").at(&hash(b"x"));
    let found =
        signatures_within(&checker_of, &reference, &key("ours.pub"), Duration::from_millis(300)).await;
    assert!(found.unwrap_err().contains("in time"));
    // A port that nothing listens on any more.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let checker = checker(&[&gone], "");
    let reference =
        bailiwick_policy::admission::images::Reference::parse(&format!("{gone}/agents/app:signed")).unwrap();
    let reason = digest(&checker, &reference).await.unwrap_err();
    assert!(reason.contains("cannot be reached"), "{reason}");
}

#[tokio::test]
async fn private_addresses_are_refused_unless_they_are_listed() {
    let registry = LoopbackRegistry::with_content(Api::Referrers).await;
    let unlisted = Arc::new(Checker::new(Settings::default()));
    let reason = digest(&unlisted, &image(&registry, ":signed")).await.unwrap_err();
    assert!(reason.contains("a private address that is not listed for it"), "{reason}");
    assert_eq!(registry.targets().len(), 0, "nothing was asked");
    // Without the defence the request goes out.
    assert!(digest(&checker(&[&registry.host], ""), &image(&registry, ":signed")).await.is_ok());
    for metadata in ["169.254.169.254/latest/meta-data:x", "[fd00:ec2::254]/a/b:x"] {
        let reference = bailiwick_policy::admission::images::Reference::parse(metadata).unwrap();
        let reason = digest(&unlisted, &reference).await.unwrap_err();
        assert!(reason.contains("private address"), "{metadata}: {reason}");
    }
    // An IPv4 address in disguise is no host of a reference.
    let disguised = "[::ffff:169.254.169.254]/a/b:x";
    assert_eq!(bailiwick_policy::admission::images::Reference::parse(disguised), None);
}

#[tokio::test]
async fn manifests_are_not_looked_for_elsewhere() {
    let elsewhere = LoopbackRegistry::with_content(Api::Referrers).await;
    let to = elsewhere.host.clone();
    let registry = LoopbackRegistry::start(move |request| {
        Reply::status(307).with("Location", format!("http://{to}{}", request.target))
    })
    .await;
    let checker = checker(&[&registry.host, &elsewhere.host], "");
    let reason = digest(&checker, &image(&registry, ":signed")).await.unwrap_err();
    assert!(reason.contains("only redirects of blobs are followed"), "{reason}");
    assert_eq!(elsewhere.targets().len(), 0);
}

#[tokio::test]
async fn a_blob_is_not_fetched_from_private_addresses_that_the_registry_sends_to() {
    let content = Content::load();
    let signed = content.digest("signed");
    for location in
        ["http://169.254.169.254/latest/meta-data", "https://127.0.0.1:1/x", "//127.0.0.1/x", "ftp://a/b"]
    {
        let registry = LoopbackRegistry::start(move |request| {
            if request.target.contains("/blobs/") {
                return Reply::status(307).with("Location", location);
            }
            Content::load().answer(request, Api::Referrers)
        })
        .await;
        let found =
            signatures(&checker(&[&registry.host], ""), &image(&registry, "").at(&signed), &key("ours.pub"))
                .await;
        let found = found.unwrap();
        let incomplete = found.incomplete.clone().unwrap_or_default();
        assert!(
            incomplete.contains("only to HTTPS") || incomplete.contains("private address"),
            "{location}: {found:?}"
        );
    }
}

#[tokio::test]
async fn more_referrers_than_are_read_deny_and_do_not_hide_a_signature() {
    let content = Content::load();
    let signed = content.digest("signed");
    let listed = |count: usize| {
        let one = |at: usize| serde_json::json!({"digest": hash(at.to_string().as_bytes()), "size": 1});
        serde_json::to_vec(&serde_json::json!({"manifests": (0..count).map(one).collect::<Vec<_>>()}))
            .unwrap()
    };
    for (count, paged) in [(10_000, false), (30, true)] {
        let page = listed(count);
        let registry = LoopbackRegistry::start(move |request| {
            let next = request.target.split("page=").nth(1).and_then(|at| at.parse().ok()).unwrap_or(0) + 1;
            let reply = Reply::bytes(page.clone());
            let path = request.target.split('?').next().unwrap().to_owned();
            if paged { reply.with("Link", format!("<{path}?page={next}>; rel=\"next\"")) } else { reply }
        })
        .await;
        let found =
            signatures(&checker(&[&registry.host], ""), &image(&registry, "").at(&signed), &key("ours.pub"))
                .await;
        let reason = found.unwrap_err();
        assert!(reason.contains("has more than"), "{reason}");
        assert!(registry.targets().len() <= 10, "{}", registry.targets().len());
    }
}

#[tokio::test]
async fn a_next_page_on_another_path_is_refused() {
    let content = Content::load();
    let signed = content.digest("signed");
    for next in ["http://169.254.169.254/", "/v2/other/referrers/x?page=2", "//evil.example/"] {
        let registry = LoopbackRegistry::start(move |_| {
            Reply::bytes(br#"{"manifests": []}"#.to_vec()).with("Link", format!("<{next}>; rel=\"next\""))
        })
        .await;
        let found =
            signatures(&checker(&[&registry.host], ""), &image(&registry, "").at(&signed), &key("ours.pub"))
                .await;
        assert!(found.unwrap_err().contains("next page is elsewhere"), "{next}");
    }
}

#[tokio::test]
async fn one_review_cannot_ask_about_any_number_of_images() {
    let registry = LoopbackRegistry::with_content(Api::Referrers).await;
    let checker = checker(&[&registry.host], "");
    let demands: Vec<Demand> = (0..200)
        .map(|at| Demand { reference: image(&registry, &format!(":t{at}")), wants: Wants::Digest })
        .collect();
    let mut facts = ImageFacts::default();
    checker.answer(demands.clone(), Instant::now() + super::loopback::PATIENCE, &mut facts).await;
    let refused = demands.iter().filter(|demand| {
        facts.digest(&demand.reference).unwrap().unwrap_err().contains("more than 128 images")
    });
    assert_eq!(refused.count(), 72);
    assert_eq!(registry.targets().len(), 128);
}
