//! The answers of a registry, as a test case writes them, turned into the facts that a decision needs.

use bailiwick_policy::admission::evidence::{
    Demand, ImageFacts, Signature, Signatures, Signer, Signers, Wants,
};

use crate::policy_test::{Evidence, signing_key};

/// Answers a demand. An identity is attested under every trust root in the demand: which root counts is for
/// the pack to decide, and a case has no certificates.
pub(super) fn learn(demand: &Demand, evidence: &Evidence, facts: &mut ImageFacts) {
    match &demand.wants {
        Wants::Digest => {
            let digest = evidence.digest.clone();
            facts
                .learn_digest(&demand.reference, digest.ok_or_else(|| "the case names no digest".to_owned()));
        }
        Wants::Signatures(asked) => {
            let found = Signatures { verified: verified(evidence, asked), ..Signatures::default() };
            facts.learn_signatures(&demand.reference, asked.clone(), Ok(found));
        }
    }
}

fn verified(evidence: &Evidence, asked: &Signers) -> Vec<Signature> {
    let mut found = Vec::new();
    let mut add = |signer| found.push(Signature { signer, times_s: Vec::new() });
    for signature in &evidence.signatures {
        if let Some(key) = signature.public_key.as_deref().and_then(signing_key)
            && asked.keys.contains(&key)
        {
            add(Signer::Key(key));
        }
        if let (Some(issuer), Some(subject)) = (&signature.issuer, &signature.subject) {
            for root in &asked.trust_roots {
                let trust_root = root.digest.clone();
                add(Signer::Identity { trust_root, issuer: issuer.clone(), subject: subject.clone() });
            }
        }
    }
    found
}
