//! Signed images: which evidence is requested, when, and how the answer is used.

use super::*;
use crate::admission::evidence::{Demand, ImageFacts, Signature, Signatures, Signer, Signers, Wants};
use crate::admission::{Facts, Moment};
use crate::policy::{ImageDigest, ImageEffect, ImageEntry, ImageLayer, ImageSigner, Origin};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const TAGGED: &str = r#"{"image": "registry.example.org/agents/x:1"}"#;

fn layer(keys: &[&str]) -> ImageLayer {
    let entry = ImageEntry {
        patterns: vec!["registry.example.org/**".to_owned()],
        effect: ImageEffect::Allow,
        digest: ImageDigest::Resolve,
        require: keys.iter().map(|key| ImageSigner::Key((*key).to_owned())).collect(),
        at: "spec.images[0]".to_owned(),
    };
    let from = Origin { pack: 0, at: "spec.images".to_owned() };
    ImageLayer { entries: vec![entry], trust_roots: Vec::new(), from }
}

fn signed(layers: Vec<ImageLayer>) -> Reviewer {
    reviewer(vec![Policy { images: layers, ..policy() }])
}

/// What is requested, as text.
fn wanted(reviewer: &Reviewer, request: &AdmissionRequest<'_>, phase: Phase, facts: &Facts) -> Vec<String> {
    let wanted = reviewer.review_with(request, phase, Moment::END, facts).wanted.images;
    wanted
        .iter()
        .map(|demand| match &demand.wants {
            Wants::Digest => format!("digest of {}", demand.reference),
            Wants::Signatures(signers) => format!("{} by {:?}", demand.reference, signers.keys),
        })
        .collect()
}

/// Answers every demand: tags point to [`DIGEST`], and these keys signed it.
fn learn(wanted: &[Demand], keys: &[&str], facts: &mut ImageFacts) {
    for demand in wanted {
        match &demand.wants {
            Wants::Digest => facts.learn_digest(&demand.reference, Ok(DIGEST.to_owned())),
            Wants::Signatures(asked) => {
                let signature =
                    |key: &&str| Signature { signer: Signer::Key((*key).to_owned()), times_s: Vec::new() };
                let verified = keys.iter().filter(|key| asked.keys.contains(**key)).map(signature).collect();
                let found = Signatures { verified, ..Signatures::default() };
                facts.learn_signatures(&demand.reference, asked.clone(), Ok(found));
            }
        }
    }
}

/// Asks until nothing is wanted any more.
fn settled(reviewer: &Reviewer, request: &AdmissionRequest<'_>, phase: Phase, keys: &[&str]) -> Decision {
    let mut facts = Facts::default();
    for _ in 0..3 {
        let reviewed = reviewer.review_with(request, phase, Moment::END, &facts);
        if reviewed.wanted.is_empty() {
            return reviewed.decision;
        }
        assert!(!reviewed.decision.allowed, "with open demands: {}", shown(&reviewed.decision));
        learn(&reviewed.wanted.images, keys, &mut facts.images);
    }
    panic!("it goes on asking");
}

#[test]
fn a_tag_is_looked_up_and_its_digest_written_in() {
    let reviewer = signed(vec![layer(&["K"])]);
    let request = create(pod("{}", TAGGED));
    let none = Facts::default();
    assert_eq!(
        wanted(&reviewer, &request, Phase::Mutate, &none),
        ["digest of registry.example.org/agents/x:1"]
    );
    let mutated = shown(&settled(&reviewer, &request, Phase::Mutate, &[]));
    assert!(mutated.starts_with("allowed"), "{mutated}");
    assert!(mutated.contains(&format!(r#""value":"registry.example.org/agents/x:1@{DIGEST}""#)), "{mutated}");
    // A pinned image is not looked up.
    let pinned = create(pod("{}", "{}"));
    assert_eq!(wanted(&reviewer, &pinned, Phase::Mutate, &none), [] as [&str; 0]);
    // `/validate` never looks at a tag: bypassing `/mutate` does not get the pod in.
    let stored = stored("{}", TAGGED);
    let said = shown(&settled(&reviewer, &create(stored), Phase::Validate, &["K"]));
    assert!(said.contains("is not pinned by a digest"), "{said}");
}

#[test]
fn every_layer_must_find_its_signature() {
    let request = create(stored("{}", "{}"));
    for (layers, keys, allowed) in [
        (vec![layer(&["K"])], vec!["K"], true),
        (vec![layer(&["K"])], vec![], false),
        (vec![layer(&["K"])], vec!["L"], false),
        (vec![layer(&["K", "L"])], vec!["K"], false),
        (vec![layer(&["K", "L"])], vec!["K", "L"], true),
        (vec![layer(&["K"]), layer(&["L"])], vec!["K"], false),
        (vec![layer(&["K"]), layer(&["L"])], vec!["L", "K"], true),
        (vec![layer(&[])], vec![], true),
    ] {
        let decision = settled(&signed(layers.clone()), &request, Phase::Validate, &keys);
        assert_eq!(decision.allowed, allowed, "{layers:?} {keys:?}: {}", shown(&decision));
        assert_eq!(shown(&decision).contains("is not signed by the key"), !allowed);
    }
}

#[test]
fn what_could_not_be_learnt_is_unknown_and_not_unsigned() {
    let reviewer = signed(vec![layer(&["K"])]);
    let request = create(stored("{}", "{}"));
    let wanted = reviewer.review_with(&request, Phase::Validate, Moment::END, &Facts::default()).wanted;
    let [demand] = &wanted.images[..] else {
        panic!("one demand");
    };
    let Wants::Signatures(asked) = &demand.wants else { panic!("{demand:?}") };
    let busy = || "the registry is too busy".to_owned();
    let incomplete = Signatures { incomplete: Some(busy()), ..Signatures::default() };
    for found in [Err(busy()), Ok(incomplete.clone())] {
        let mut facts = Facts::default();
        facts.images.learn_signatures(&demand.reference, asked.clone(), found);
        let reviewed = reviewer.review_with(&request, Phase::Validate, Moment::END, &facts);
        let said = shown(&reviewed.decision);
        assert!(
            said.contains("are not known: the registry is too busy") && !said.contains("is not signed"),
            "{said}"
        );
        assert!(!reviewed.decision.allowed && reviewed.wanted.is_empty());
    }
    // A signature that was found counts, whatever else could not be read.
    let signature = Signature { signer: Signer::Key("K".to_owned()), times_s: Vec::new() };
    let mut facts = Facts::default();
    let found = Signatures { verified: vec![signature], ..incomplete };
    facts.images.learn_signatures(&demand.reference, asked.clone(), Ok(found));
    assert!(reviewer.review_with(&request, Phase::Validate, Moment::END, &facts).decision.allowed);
    // Facts about other signers are not facts about these.
    let mut facts = Facts::default();
    facts.images.learn_signatures(&demand.reference, Signers::default(), Ok(Signatures::default()));
    assert_eq!(reviewer.review_with(&request, Phase::Validate, Moment::END, &facts).wanted.images.len(), 1);
}

#[test]
fn an_update_asks_about_what_it_changes() {
    let reviewer = signed(vec![layer(&["K"])]);
    let old = stored("{}", "{}");
    let none = Facts::default();
    let touched = with(old.clone(), r#"{"metadata": {"annotations": {"touched": "1"}}}"#);
    let request = update(old.clone(), touched);
    assert_eq!(wanted(&reviewer, &request, Phase::Validate, &none), [] as [&str; 0]);
    assert!(reviewer.review(&request, Phase::Validate).allowed);
    // A new image, in a container or for debugging.
    let path = ["spec", "containers", "0", "image"];
    let changed = replaced(old.clone(), &path, json(r#""registry.example.org/agents/y:2""#));
    let request = update(old.clone(), changed);
    assert_eq!(
        wanted(&reviewer, &request, Phase::Mutate, &none),
        ["digest of registry.example.org/agents/y:2"]
    );
    let debugged = with(
        old.clone(),
        r#"{"spec": {"ephemeralContainers": [{"name": "d", "image": "registry.example.org/debug:3"}]}}"#,
    );
    let request = sub_update("ephemeralcontainers", old, debugged);
    assert_eq!(wanted(&reviewer, &request, Phase::Mutate, &none), ["digest of registry.example.org/debug:3"]);
    let mutated = shown(&settled(&reviewer, &request, Phase::Mutate, &[]));
    assert!(mutated.contains(&format!("registry.example.org/debug:3@{DIGEST}")), "{mutated}");
    // Nothing else is written into a running pod through its sub-resource.
    assert_eq!(mutated.lines().count(), 2, "{mutated}");
}

#[test]
fn a_template_keeps_its_tags_and_is_judged_by_what_they_stand_for() {
    let reviewer = signed(vec![layer(&["K"])]);
    let tagged = deployment(&pod("{}", TAGGED));
    let request = create(tagged.clone());
    let none = Facts::default();
    assert_eq!(wanted(&reviewer, &request, Phase::Mutate, &none), [] as [&str; 0]);
    assert!(reviewer.review(&request, Phase::Mutate).patch.is_empty());
    assert!(settled(&reviewer, &request, Phase::Validate, &["K"]).allowed);
    let said = shown(&settled(&reviewer, &request, Phase::Validate, &[]));
    assert!(
        said.contains("is not signed by the key") && said.contains("spec.template.spec.containers[0].image"),
        "{said}"
    );
    // An update that leaves its images alone requests nothing and warns of nothing.
    let scaled = update(tagged.clone(), with(tagged, r#"{"spec": {"replicas": 3}}"#));
    assert_eq!(wanted(&reviewer, &scaled, Phase::Validate, &none), [] as [&str; 0]);
    assert_eq!(shown(&reviewer.review(&scaled, Phase::Validate)), "allowed");
}

#[test]
fn what_is_remembered_admits_and_does_not_deny_until_it_was_read_again() {
    let reviewer = signed(vec![layer(&["K"]), layer(&["L"])]);
    let request = create(stored("{}", "{}"));
    let none = Facts::default();
    let wanted = |facts: &Facts| reviewer.review_with(&request, Phase::Validate, Moment::END, facts);
    let [demand] = &wanted(&none).wanted.images[..] else { panic!("one demand") };
    let known = |keys: &[&str], remembered| {
        let mut facts = Facts::default();
        learn(std::slice::from_ref(demand), keys, &mut facts.images);
        let Some(Ok(found)) = facts.images.signatures(&demand.reference) else { panic!("learnt") };
        let found = Signatures { remembered, ..found.clone() };
        let Wants::Signatures(asked) = &demand.wants else { panic!("{demand:?}") };
        facts.images.learn_signatures(&demand.reference, asked.clone(), Ok(found));
        facts
    };
    let enough = wanted(&known(&["K", "L"], true));
    assert!(enough.decision.allowed && enough.wanted.is_empty(), "{}", shown(&enough.decision));
    // Asked for both again, though one is there: what is learnt takes the place of all that is known.
    let missing = wanted(&known(&["K"], true));
    let [again] = &missing.wanted.images[..] else { panic!("one demand") };
    assert_eq!(again, demand);
    assert!(!missing.decision.allowed && shown(&missing.decision).contains("are not known"));
    let read_again = wanted(&known(&["K"], false));
    assert!(read_again.wanted.is_empty());
    assert!(shown(&read_again.decision).contains("is not signed by the key"));
}
