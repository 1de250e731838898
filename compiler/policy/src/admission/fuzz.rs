//! The entry point of fuzzing over reviews: reads, decides in both phases and writes, with a small policy of every section.
//!
//! Nothing may panic, run long or answer a request that it could not read.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::bundle::Bundle;
use crate::policy::Policy;

use super::{AdmissionRequest, Namespaces, Phase, Reviewer, response};

/// A policy with every section, as a bundle would carry it.
const POLICY: &str = include_str!("fuzz_policy.json");

/// Reads a review from any bytes and decides over it.
pub fn fuzz(data: &[u8]) {
    static REVIEWER: OnceLock<Option<Reviewer>> = OnceLock::new();
    let Some(reviewer) = REVIEWER.get_or_init(reviewer) else {
        return;
    };
    let Ok(request) = AdmissionRequest::parse(data) else {
        return;
    };
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
