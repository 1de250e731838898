//! Images of pods: searched by the patterns of both policies, exact where the entries are the same.
//!
//! ```text
//! patterns ► references that they match, and some near misses ─┐
//! signers  ► evidence with all of them, with one, without one ─┴► both decide ► one witness for each kind of reference and direction
//! trust roots ► by the entry and the signer that name them     ──► compared directly; a case's identity
//!                                                                  is attested by whatever root is required
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::bundle;
use bailiwick_policy::policy::{ImageEntry, ImageLayer, ImageSigner, Policy, SubjectMatch};
use serde_json::{Value, json};

use super::samples::{self, Samples};
use super::settings;
use super::sides::{Sides, blank};
use super::{Change, Diff, Direction, Layer};
use crate::policy_test::{Evidence, EvidenceSignature, ImageCase, TestCase};

/// Cases that both policies decide.
const MAX_CASES: usize = 16_384;
/// Evidence that is tried with each reference: some for each sample of each signer.
const MAX_EVIDENCE: usize = 1_024;
/// The digest of every made-up image.
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
/// A repository that no pack names.
const FRESH: &str = "any-other.example.net/any-other";
/// Characters of a line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

pub(super) fn compare(sides: &Sides, seeds: &[TestCase], out: &mut Diff) -> Result<(), String> {
    let (old, new) = sides.policies();
    if identity(old) == identity(new) {
        return Ok(());
    }
    let (mut cases, mut is_cut) = cases(sides);
    let of_seeds = seeds.iter().filter_map(|seed| seed.image.clone());
    cases.extend(of_seeds.map(|case| (repository(&case.reference).to_owned(), case)));
    is_cut |= cases.len() > MAX_CASES;
    cases.truncate(MAX_CASES);
    let tried = cases.len();
    let mut found: BTreeMap<(Direction, String), Change> = BTreeMap::new();
    for (repository, case) in cases {
        let shown = shown(&case);
        let case = TestCase { image: Some(case), ..blank("an image".to_owned()) };
        let Some(one) = sides.compare(Layer::Images, &case)? else { continue };
        let what = format!("images such as `{repository}`, {shown}");
        found.entry((one.direction, repository)).or_insert_with(|| one.told(what));
    }
    let mut changes: Vec<Change> = found.into_values().collect();
    changes.extend(trust(old, new));
    if changes.is_empty() {
        let what = "the entries differ, and no tried image told the two apart".to_owned();
        let values = (identity(old).to_string(), identity(new).to_string());
        changes.push(settings::stated(Layer::Images, Direction::Changed, what, "images", values));
    }
    out.changes.append(&mut changes);
    let cut = if is_cut {
        format!(", which is the limit of {MAX_CASES} or of what is shown of signers")
    } else {
        String::new()
    };
    out.bound(
        Layer::Images,
        format!("{tried} references made of the patterns and signers of both were tried{cut}"),
    );
    Ok(())
}

/// The image entries without their places.
fn identity(policy: &Policy) -> Value {
    let entry = |layer: &ImageLayer, entry: &ImageEntry| {
        let signers: Vec<_> =
            entry.require.iter().map(|signer| (bare(signer), root(layer, signer))).collect();
        json!([entry.patterns, entry.effect, entry.digest, signers])
    };
    let layer = |layer: &ImageLayer| layer.entries.iter().map(|one| entry(layer, one)).collect::<Value>();
    policy.images.iter().map(layer).collect()
}

/// The trust root that an identity is verified against.
fn root<'p>(layer: &'p ImageLayer, signer: &ImageSigner) -> Option<&'p String> {
    match signer {
        ImageSigner::Identity { trust_root, .. } => {
            usize::try_from(*trust_root).ok().and_then(|at| layer.trust_roots.get(at))
        }
        ImageSigner::Key(_) => None,
    }
}

/// A signer without the place of its trust root in the pack.
fn bare(signer: &ImageSigner) -> ImageSigner {
    match signer {
        ImageSigner::Identity { issuer, subject, .. } => {
            ImageSigner::Identity { issuer: issuer.clone(), subject: subject.clone(), trust_root: 0 }
        }
        ImageSigner::Key(key) => ImageSigner::Key(key.clone()),
    }
}

/// Digests of the trust roots, by the images and the signer that they apply to.
fn roots(policy: &Policy) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for layer in &policy.images {
        for entry in &layer.entries {
            for signer in &entry.require {
                let Some(root) = root(layer, signer) else { continue };
                let of = json!([entry.patterns, bare(signer)]).to_string();
                all.entry(of).or_default().insert(bundle::digest(root.as_bytes()));
            }
        }
    }
    all
}

/// Trust roots that replace others, or that no signer of the old policy used.
fn trust(old: &Policy, new: &Policy) -> Vec<Change> {
    let (before, after) = (roots(old), roots(new));
    let known: BTreeSet<&String> = before.values().flatten().collect();
    let mut all = Vec::new();
    for (of, now) in &after {
        let was = before.get(of);
        let is_other = match was {
            Some(was) => was != now,
            // Another signer, which is compared by its signatures; but which root attests them shows only
            // here.
            None => now.iter().any(|root| !known.contains(root)),
        };
        if is_other {
            let what = format!("images and signer {of}: held against another trust root");
            let shown = |roots: Option<&BTreeSet<String>>| {
                roots.map_or_else(|| "none".to_owned(), |roots| json!(roots).to_string())
            };
            let values = (shown(was), shown(Some(now)));
            all.push(settings::stated(Layer::Images, Direction::Changed, what, "images.trustRoot", values));
        }
    }
    all
}

/// Whether both policies allow an image without any evidence.
pub(super) fn passes_both(sides: &Sides, reference: &str) -> bool {
    let image = ImageCase { reference: reference.to_owned(), evidence: None };
    let case = TestCase { image: Some(image), ..blank(String::new()) };
    [&sides.old, &sides.new].into_iter().all(|bench| {
        bench.carry_out(&case, &crate::cases::no_manifests).is_ok_and(|happened| happened.allowed)
    })
}

/// References with a digest, one for each kind of repository.
pub(super) fn references(sides: &Sides) -> Vec<String> {
    repositories(sides).into_iter().map(|repository| format!("{repository}@{DIGEST}")).collect()
}

/// Repositories that the patterns of both policies match, and some near misses.
fn repositories(sides: &Sides) -> Vec<String> {
    let (old, new) = sides.policies();
    let entries = [old, new].into_iter().flat_map(|policy| &policy.images).flat_map(|layer| &layer.entries);
    let patterns: BTreeSet<&str> = entries.flat_map(|entry| &entry.patterns).map(String::as_str).collect();
    let mut all = Vec::new();
    for pattern in patterns {
        for deep in ["any", "any/other"] {
            all.push(pattern.replace("**", deep).replace('*', "any"));
        }
        let one = pattern.replace("**", "any").replace('*', "any");
        all.extend(one.rsplit_once('/').map(|(above, _)| format!("{above}/any-other")));
        all.push(format!("{one}/below"));
    }
    all.push(FRESH.to_owned());
    let mut seen = BTreeSet::new();
    all.retain(|repository| seen.insert(repository.clone()));
    all
}

/// Every case with its repository, those with the least evidence first; whether some evidence was left out.
fn cases(sides: &Sides) -> (Vec<(String, ImageCase)>, bool) {
    let (evidence, is_cut) = evidence(sides);
    let mut all = Vec::new();
    for repository in repositories(sides) {
        for reference in [format!("{repository}:1"), format!("{repository}@{DIGEST}")] {
            for evidence in &evidence {
                all.push((
                    repository.clone(),
                    ImageCase { reference: reference.clone(), evidence: evidence.clone() },
                ));
            }
        }
    }
    (all, is_cut)
}

/// The possible evidence for an image: none, all, each signature alone, all but one signer's. For a signer
/// that only one policy has, also each of its signatures together with those that both require.
fn evidence(sides: &Sides) -> (Vec<Option<Evidence>>, bool) {
    let (old, new) = sides.policies();
    let of = |policy: &Policy| -> BTreeSet<ImageSigner> {
        let entries = policy.images.iter().flat_map(|layer| &layer.entries);
        entries.flat_map(|entry| &entry.require).map(bare).collect()
    };
    let (before, after) = (of(old), of(new));
    let mut is_cut = false;
    let mut signed_by = |signer: &ImageSigner| {
        let (signatures, cut) = signed(signer);
        is_cut |= cut;
        signatures
    };
    let signed: Vec<(bool, Vec<EvidenceSignature>)> = before
        .union(&after)
        .map(|signer| (before.contains(signer) && after.contains(signer), signed_by(signer)))
        .collect();
    let shown = |signatures: Vec<EvidenceSignature>| {
        Some(Evidence { digest: Some(DIGEST.to_owned()), signatures, ..Evidence::default() })
    };
    let all = || signed.iter().flat_map(|(_, signatures)| signatures);
    let common: Vec<_> =
        signed.iter().filter(|(is_common, _)| *is_common).flat_map(|(_, all)| all).cloned().collect();
    let mut kinds = vec![None, shown(Vec::new()), shown(all().cloned().collect()), shown(common.clone())];
    for (_, signatures) in signed.iter().filter(|(is_common, _)| !is_common) {
        let beside = |one: &EvidenceSignature| common.iter().chain([one]).cloned().collect();
        kinds.extend(signatures.iter().map(|one| shown(beside(one))));
    }
    kinds.extend(all().map(|one| shown(vec![one.clone()])));
    for at in 0..signed.len() {
        let others = signed.iter().enumerate().filter(|(other, _)| *other != at);
        kinds.push(shown(others.flat_map(|(_, (_, signatures))| signatures).cloned().collect()));
    }
    let mut seen = BTreeSet::new();
    kinds.retain(|one| seen.insert(serde_json::to_string(one).unwrap_or_default()));
    is_cut |= kinds.len() > MAX_EVIDENCE;
    kinds.truncate(MAX_EVIDENCE);
    (kinds, is_cut)
}

/// Signatures that meet a requirement, one for each alternative of a pattern; whether some were left out.
fn signed(signer: &ImageSigner) -> (Vec<EvidenceSignature>, bool) {
    match signer {
        ImageSigner::Key(key) => {
            (vec![EvidenceSignature { public_key: Some(pem(key)), ..EvidenceSignature::default() }], false)
        }
        ImageSigner::Identity { issuer, subject, .. } => {
            let Samples { texts, is_cut } = match subject {
                SubjectMatch::Exact(subject) => Samples { texts: vec![subject.clone()], is_cut: false },
                SubjectMatch::Pattern(pattern) => samples::matching(&format!("^(?:{pattern})$")),
            };
            let signature = |subject| EvidenceSignature {
                issuer: Some(issuer.clone()),
                subject: Some(subject),
                ..EvidenceSignature::default()
            };
            (texts.into_iter().map(signature).collect(), is_cut)
        }
    }
}

fn pem(base64: &str) -> String {
    let characters: Vec<char> = base64.chars().collect();
    let lines: String =
        characters.chunks(PEM_LINE).map(|line| line.iter().collect::<String>() + "\n").collect();
    format!("-----BEGIN PUBLIC KEY-----\n{lines}-----END PUBLIC KEY-----\n")
}

/// A reference without tag and digest.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    }
}

fn shown(case: &ImageCase) -> String {
    let by = if case.reference.contains('@') { "by digest" } else { "by tag" };
    match &case.evidence {
        None => format!("{by}, without evidence"),
        Some(evidence) => match evidence.signatures.len() {
            0 => format!("{by}, unsigned"),
            1 => format!("{by}, with one signature"),
            more => format!("{by}, with {more} signatures"),
        },
    }
}
