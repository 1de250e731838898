//! The fuzzing entry point for reviews: reads, decides in both phases and writes, with a small policy of
//! every section.
//!
//! Nothing may panic, run long or answer a request that could not be read; both ways of reading a review must
//! end in the same decision.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::bundle::Bundle;
use crate::policy::Policy;

use super::{AdmissionRequest, Namespaces, Phase, Reviewer, response};

/// A policy with every section, as a bundle would carry it.
const POLICY: &str = include_str!("fuzz_policy.json");

/// Reads a review from any bytes and decides on it.
pub fn fuzz(data: &[u8]) {
    static REVIEWER: OnceLock<Option<Reviewer>> = OnceLock::new();
    let Some(reviewer) = REVIEWER.get_or_init(reviewer) else {
        return;
    };
    let lean = reviewer.read_to_validate(data);
    let Ok(request) = AdmissionRequest::parse(data) else {
        assert!(lean.is_err(), "one reader refuses what the other reads");
        return;
    };
    let whole = reviewer.review(&request, Phase::Validate);
    let lean = lean.map(|request| reviewer.review(&request, Phase::Validate));
    assert_eq!(lean.ok(), Some(whole), "what is left out of a pod changes the decision");
    for phase in [Phase::Mutate, Phase::Validate] {
        let decision = reviewer.review(&request, phase);
        let _ = response::write(&request.uid, &decision);
    }
    let _ = reviewer.admit(&request);
}

fn reviewer() -> Option<Reviewer> {
    let policy: Policy = serde_json::from_str(POLICY).ok()?;
    let labels = BTreeMap::from([("zone".to_owned(), "agents".to_owned())]);
    let namespaces = Namespaces::new(BTreeMap::from([("agents".to_owned(), labels)]));
    Reviewer::new(vec![Bundle { policy, digest: "fuzz".to_owned() }], namespaces).ok()
}
