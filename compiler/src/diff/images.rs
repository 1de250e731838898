//! Images of pods: searched by the patterns of both policies, exact where the entries are the same.
//!
//! ```text
//! patterns ► references that they match, and some beside them ─┐
//! signers  ► evidence with all of them, with one, without one ─┴► both decide ► one witness for each kind of reference and direction
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{ImageEntry, ImageLayer, ImageSigner, Policy, SubjectMatch};
use serde_json::{Value, json};

use super::samples;
use super::sides::{Sides, blank};
use super::{Change, Diff, Direction, Layer};
use crate::policy_test::{Evidence, EvidenceSignature, ImageCase, TestCase};

/// Cases that both policies are asked about.
const MAX_CASES: usize = 4_096;
/// Signers that are told apart one by one; with more, only all and none are tried.
const MAX_SIGNERS: usize = 8;
/// The digest of every image that is made up.
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
    let mut cases = cases(sides);
    let of_seeds = seeds.iter().filter_map(|seed| seed.image.clone());
    cases.extend(of_seeds.map(|case| (repository(&case.reference).to_owned(), case)));
    let is_cut = cases.len() > MAX_CASES;
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
    out.changes.extend(found.into_values());
    let cut = if is_cut { format!(", which is the limit of {MAX_CASES}") } else { String::new() };
    out.bound(
        Layer::Images,
        format!("{tried} references made of the patterns and signers of both were tried{cut}"),
    );
    Ok(())
}

/// The image entries without their places.
fn identity(policy: &Policy) -> Value {
    let entry = |layer: &ImageLayer, entry: &ImageEntry| {
        let root = |signer: &ImageSigner| match signer {
            ImageSigner::Identity { trust_root, .. } => {
                usize::try_from(*trust_root).ok().and_then(|at| layer.trust_roots.get(at)).cloned()
            }
            ImageSigner::Key(_) => None,
        };
        let signers: Vec<_> = entry.require.iter().map(|signer| (signer.clone(), root(signer))).collect();
        json!([entry.patterns, entry.effect, entry.digest, signers])
    };
    let layer = |layer: &ImageLayer| layer.entries.iter().map(|one| entry(layer, one)).collect::<Value>();
    policy.images.iter().map(layer).collect()
}

/// Whether both policies take an image of which nothing is known.
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

/// Repositories that the patterns of both policies match, and some that lie beside them.
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

/// Every case with its repository, those with the least evidence first.
fn cases(sides: &Sides) -> Vec<(String, ImageCase)> {
    let evidence = evidence(sides);
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
    all
}

fn evidence(sides: &Sides) -> Vec<Option<Evidence>> {
    let (old, new) = sides.policies();
    let entries = [old, new].into_iter().flat_map(|policy| &policy.images).flat_map(|layer| &layer.entries);
    let signers: BTreeSet<&ImageSigner> = entries.flat_map(|entry| &entry.require).collect();
    let signatures: Vec<EvidenceSignature> = signers.into_iter().flat_map(signed).collect();
    let shown = |signatures: &[EvidenceSignature]| {
        let (digest, signatures) = (Some(DIGEST.to_owned()), signatures.to_vec());
        Some(Evidence { digest, signatures, ..Evidence::default() })
    };
    let mut all = vec![None, shown(&[])];
    if signatures.len() <= MAX_SIGNERS {
        all.extend(signatures.iter().map(|one| shown(std::slice::from_ref(one))));
        for at in 0..signatures.len() {
            let mut others = signatures.clone();
            others.remove(at);
            all.push(shown(&others));
        }
    }
    all.push(shown(&signatures));
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert(serde_json::to_string(one).unwrap_or_default()));
    all
}

/// Signatures that meet a requirement.
fn signed(signer: &ImageSigner) -> Vec<EvidenceSignature> {
    match signer {
        ImageSigner::Key(key) => {
            vec![EvidenceSignature { public_key: Some(pem(key)), ..EvidenceSignature::default() }]
        }
        ImageSigner::Identity { issuer, subject, .. } => {
            let subjects = match subject {
                SubjectMatch::Exact(subject) => vec![subject.clone()],
                SubjectMatch::Pattern(pattern) => {
                    samples::matching(&format!("^(?:{pattern})$")).into_iter().take(1).collect()
                }
            };
            let signature = |subject| EvidenceSignature {
                issuer: Some(issuer.clone()),
                subject: Some(subject),
                ..EvidenceSignature::default()
            };
            subjects.into_iter().map(signature).collect()
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
