//! Signed images: a decision with known evidence, one signature from a real registry on loopback, and a
//! hundred images with five signatures each.
//!
//! Everything is in one process, without the webhook's TLS: the decision, the reader and the verifier are
//! measured. The registry is go-containerregistry's, with the referrers API; it reads all manifests of a
//! repository to list the referrers of one, so each image has a repository of its own. The signatures are
//! ours (Ed25519, in the bundles that cosign makes), since cosign would take minutes for five hundred.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::{Bindings, compile};
use bailiwick_conformance::registry::{Api, Registry};
use bailiwick_images::{Checker, Settings};
use bailiwick_policy::admission::evidence::{Demand, ImageFacts, Signers, Wants};
use bailiwick_policy::admission::images::Reference;
use bailiwick_policy::admission::{AdmissionRequest, Facts, Moment, Namespaces, Phase, Reviewer};
use bailiwick_policy::bundle;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::report::Report;
use crate::sampling::median;

const IMAGES: usize = 100;
const SIGNATURES: u8 = 5;
const WARM: usize = 5_000;
const COLD: usize = 50;
const COLD_MANY: usize = 10;
/// No measured operation waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// SubjectPublicKeyInfo of Ed25519 up to the key (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The bench `images`.
pub(crate) fn run() -> anyhow::Result<Report> {
    let registry = Registry::start(Api::Referrers)?.context("it needs Go")?;
    let keys: Vec<SigningKey> = (1..=SIGNATURES).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
    let one = push(&registry, "one", keys.get(..1).unwrap_or_default())?;
    let names: Vec<String> = (0..IMAGES).map(|at| format!("i{at}")).collect();
    let many: Vec<String> =
        names.iter().map(|name| push(&registry, name, &keys)).collect::<anyhow::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("registries.json");
    let listed =
        json!({"registries": [{"host": registry.host(), "plainHttp": true, "addresses": ["127.0.0.1"]}]});
    std::fs::write(&settings, listed.to_string())?;
    let checker = || anyhow::Ok(Arc::new(Checker::new(Settings::load(&settings)?)));

    let mut report = Report::new("images");
    report.versions.insert("go-containerregistry".to_owned(), "0.20.7".to_owned());
    let key = keys.first().map(spki).context("a key")?;
    let warm = warm(&runtime, &checker()?, &registry, &one, &key)?;
    report.set("warm_p50_ms", median(&warm), WARM);
    report.set("warm_p99_ms", warm.get(warm.len() * 99 / 100).copied().unwrap_or(f64::NAN), WARM);

    let signers = Signers { keys: [key].into(), ..Signers::default() };
    let tagged = reference(&registry, "one:one")?;
    let mut cold = Vec::new();
    for _ in 0..COLD {
        let checker = checker()?;
        let start = Instant::now();
        let digest = demands(&runtime, &checker, vec![(tagged.clone(), Wants::Digest)]);
        let digest = digest.digest(&tagged).and_then(Result::ok).context("a digest")?.to_owned();
        let pinned = tagged.at(&digest);
        let facts = demands(&runtime, &checker, vec![(pinned.clone(), Wants::Signatures(signers.clone()))]);
        cold.push(start.elapsed().as_secs_f64() * 1e3);
        ensure!(signed(&facts, &pinned) == 1, "the image is not signed");
    }
    report.set("cold_one_signature_ms", sorted_median(&mut cold), COLD);

    let signers = Signers { keys: keys.iter().map(spki).collect(), ..Signers::default() };
    let pinned: Vec<Reference> = names
        .iter()
        .zip(&many)
        .map(|(name, digest)| reference(&registry, &format!("{name}@{digest}")))
        .collect::<anyhow::Result<_>>()?;
    let mut cold = Vec::new();
    for _ in 0..COLD_MANY {
        let checker = checker()?;
        let asked = pinned.iter().map(|one| (one.clone(), Wants::Signatures(signers.clone()))).collect();
        let start = Instant::now();
        let facts = demands(&runtime, &checker, asked);
        cold.push(start.elapsed().as_secs_f64() * 1e3);
        let found: usize = pinned.iter().map(|one| signed(&facts, one)).sum();
        ensure!(found == IMAGES * usize::from(SIGNATURES), "{found} signatures were found");
    }
    report.set("cold_100x5_ms", sorted_median(&mut cold), COLD_MANY);
    Ok(report)
}

/// Decisions over a pod whose digest is known: decide, answer from the cache, decide again. Milliseconds,
/// sorted.
fn warm(
    runtime: &Runtime,
    checker: &Arc<Checker>,
    registry: &Registry,
    digest: &str,
    key: &str,
) -> anyhow::Result<Vec<f64>> {
    let image = format!("{}/agents/one@{digest}", registry.host());
    let reviewer = reviewer(registry.host(), key)?;
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "CREATE", "namespace": "agents", "name": "p", "userInfo": {"username": "admin"},
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "agents"},
            "spec": {"containers": [{"name": "a", "image": image}]}}}});
    let review = serde_json::to_vec(&review)?;
    let decide = || -> anyhow::Result<bool> {
        let mut facts = Facts::default();
        for _ in 0..3 {
            let request = AdmissionRequest::parse(&review)?;
            let reviewed = reviewer.review_with(&request, Phase::Validate, Moment::END, &facts);
            if reviewed.wanted.is_empty() {
                return Ok(reviewed.decision.allowed);
            }
            runtime.block_on(checker.answer(
                reviewed.wanted.images,
                Instant::now() + PATIENCE,
                &mut facts.images,
            ));
        }
        bail!("it goes on asking")
    };
    ensure!(decide()?, "the pod is not admitted");
    let fetched = checker.figures().fetched;
    let mut samples = Vec::with_capacity(WARM);
    for _ in 0..WARM {
        let start = Instant::now();
        let allowed = decide()?;
        samples.push(start.elapsed().as_secs_f64() * 1e3);
        ensure!(allowed, "the pod is not admitted");
    }
    ensure!(checker.figures().fetched == fetched, "it was not answered from memory");
    samples.sort_by(f64::total_cmp);
    Ok(samples)
}

fn reviewer(host: &str, key: &str) -> anyhow::Result<Reviewer> {
    let pem = format!("-----BEGIN PUBLIC KEY-----{key}-----END PUBLIC KEY-----");
    let pack = format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: signed-1.0.0}}\nspec:\n  pack: signed\n  version: 1.0.0\n  \
         subjects: {{namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}, unmatched: Deny}}\n  images:\n  \
         - {{match: ['{host}/agents/**'], digest: Resolve, require: [{{signature: {{identity: {{publicKey: '{pem}'}}}}}}]}}\n"
    );
    let compiled = compile(&[(&PackSources::single(pack), Bindings::default())], &MemoryLibrary::default());
    let policy = compiled.policy.context("the pack does not compile")?;
    let bundle = bundle::load(&bundle::write(&policy)?)?;
    let labels = BTreeMap::from([("zone".to_owned(), "agents".to_owned())]);
    Ok(Reviewer::new(vec![bundle], Namespaces::new(BTreeMap::from([("agents".to_owned(), labels)])))?)
}

fn demands(runtime: &Runtime, checker: &Arc<Checker>, asked: Vec<(Reference, Wants)>) -> ImageFacts {
    let mut facts = ImageFacts::default();
    let demands = asked.into_iter().map(|(reference, wants)| Demand { reference, wants }).collect();
    runtime.block_on(checker.answer(demands, Instant::now() + PATIENCE, &mut facts));
    facts
}

fn signed(facts: &ImageFacts, reference: &Reference) -> usize {
    facts.signatures(reference).and_then(Result::ok).map_or(0, |found| found.verified.len())
}

fn sorted_median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    median(samples)
}

fn reference(registry: &Registry, name: &str) -> anyhow::Result<Reference> {
    Reference::parse(&format!("{}/agents/{name}", registry.host())).context("a reference")
}

fn spki(key: &SigningKey) -> String {
    let der: Vec<u8> = SPKI.into_iter().chain(key.verifying_key().to_bytes()).collect();
    BASE64_STANDARD.encode(der)
}

/// Pushes an image of its own to the repository and under the tag of a name, signed by each of the keys;
/// returns its digest.
fn push(registry: &Registry, name: &str, keys: &[SigningKey]) -> anyhow::Result<String> {
    let repository = &format!("agents/{name}");
    let config = json!({"architecture": "amd64", "os": "linux", "tag": name}).to_string();
    let config = registry.push_blob(repository, config.as_bytes())?;
    let empty = registry.push_blob(repository, b"{}")?;
    let manifest = |config: Value, layers: Value, subject: Option<&Value>| {
        let mut manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        if let (Some(subject), Some(members)) = (subject, manifest.as_object_mut()) {
            members.insert("subject".to_owned(), subject.clone());
        }
        manifest.to_string()
    };
    let of =
        |kind: &str, digest: &str, size: usize| json!({"mediaType": kind, "digest": digest, "size": size});
    let image = manifest(of("application/vnd.oci.image.config.v1+json", &config, 64), json!([]), None);
    let digest = registry.push_manifest(repository, name, MANIFEST, image.as_bytes())?;
    let subject = of(MANIFEST, &digest, image.len());
    for key in keys {
        let bundle = bundle_of(&digest, key);
        let blob = registry.push_blob(repository, bundle.as_bytes())?;
        let layers = json!([of(BUNDLE, &blob, bundle.len())]);
        let referrer = manifest(of("application/vnd.oci.empty.v1+json", &empty, 2), layers, Some(&subject));
        let by_digest = format!("sha256:{}", bundle::digest(referrer.as_bytes()));
        registry.push_manifest(repository, &by_digest, MANIFEST, referrer.as_bytes())?;
    }
    Ok(digest)
}

/// The bundle that `cosign sign --key` makes.
fn bundle_of(digest: &str, key: &SigningKey) -> String {
    let kind = "application/vnd.in-toto+json";
    let payload = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "subject": [{"digest": {"sha256": digest.trim_start_matches("sha256:")}}], "predicate": {}});
    let payload = payload.to_string();
    let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
    let signature = key.sign(signed.as_bytes());
    let envelope = json!({"payload": BASE64_STANDARD.encode(payload), "payloadType": kind,
        "signatures": [{"sig": BASE64_STANDARD.encode(signature.to_bytes())}]});
    json!({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "bench"}}, "dsseEnvelope": envelope}).to_string()
}
