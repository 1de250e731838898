//! The outcomes of a suite's cases, and the committed list of cases that we decide differently.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

/// The largest number of causes of disagreement.
const MAX_CAUSES: usize = 10;

/// The largest number of listed cases. It should shrink; a change that raises it does so here.
const MAX_LISTED: usize = 150;

/// The outcome of a case.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The result that its authors expect.
    Agrees,
    /// An error, as its authors expect, but already at compile time: a policy cannot contain it at all.
    RefusedEarly,
    /// Another result, in words.
    Disagrees(String),
}

/// The verdicts of a suite, by the name of the case.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) verdicts: BTreeMap<String, Verdict>,
    /// Of cases that are not run: the reason and their number.
    pub(crate) skipped: BTreeMap<&'static str, usize>,
}

/// A cause of disagreements: the committed list has one entry for each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cause {
    reason: String,
    cases: BTreeSet<String>,
}

impl Judged {
    /// Adds a verdict; a repeated name gets a number.
    pub(crate) fn add(&mut self, name: &str, verdict: Verdict) {
        let again = (2..).map(|count| format!("{name}#{count}"));
        let mut names = std::iter::once(name.to_owned()).chain(again);
        let free = names.find(|name| !self.verdicts.contains_key(name));
        self.verdicts.insert(free.unwrap_or_default(), verdict);
    }

    /// How many cases agree.
    pub(crate) fn agreeing(&self) -> usize {
        self.verdicts.values().filter(|verdict| !matches!(verdict, Verdict::Disagrees(_))).count()
    }

    /// Asserts that at least this share agrees, in tenths of a percent.
    pub(crate) fn at_least(&self, per_mille: usize) {
        let (agreeing, all) = (self.agreeing(), self.verdicts.len());
        assert!(
            agreeing * 1000 >= all * per_mille,
            "{agreeing} of {all} agree, fewer than {per_mille} of 1000"
        );
    }

    /// Compares the disagreements with the list: with the entries of this suite, which all begin with
    /// `suite`, and no others.
    pub(crate) fn check(&self, suite: &str) {
        let listed: BTreeSet<String> = causes()
            .iter()
            .flat_map(|cause| &cause.cases)
            .filter(|name| name.starts_with(suite))
            .cloned()
            .collect();
        let mut wrong = Vec::new();
        for (name, verdict) in &self.verdicts {
            match verdict {
                Verdict::Disagrees(what) if !listed.contains(name) => wrong.push(format!("{name}: {what}")),
                Verdict::Agrees | Verdict::RefusedEarly if listed.contains(name) => {
                    wrong.push(format!("{name}: agrees, and is to leave the list"));
                }
                _ => {}
            }
        }
        wrong.extend(
            listed
                .iter()
                .filter(|name| !self.verdicts.contains_key(*name))
                .map(|name| format!("{name}: listed, and there is no such case")),
        );
        assert!(
            wrong.is_empty(),
            "{} cases are not as {} says:\n{}",
            wrong.len(),
            list().display(),
            wrong.join("\n")
        );
    }
}

fn list() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cel/disagreements.json")
}

fn causes() -> Vec<Cause> {
    let text = std::fs::read(list()).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Each cause with the number of its cases.
pub(crate) fn reasons() -> Vec<(String, BTreeSet<String>)> {
    causes().into_iter().map(|cause| (cause.reason, cause.cases)).collect()
}

#[test]
fn disagreements_are_few_and_each_has_its_reason() {
    let causes = causes();
    assert!(causes.len() <= MAX_CAUSES, "{} causes, {MAX_CAUSES} are allowed", causes.len());
    let mut seen = BTreeSet::new();
    for cause in &causes {
        assert!(cause.reason.len() > 40, "this says too little: {}", cause.reason);
        assert!(!cause.cases.is_empty(), "no case: {}", cause.reason);
        for case in &cause.cases {
            assert!(seen.insert(case), "{case} is listed twice");
        }
    }
    assert!(seen.len() <= MAX_LISTED, "{} cases are listed, {MAX_LISTED} are allowed", seen.len());
}
