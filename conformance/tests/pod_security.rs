//! Our Pod Security evaluation against Kubernetes' fixtures: each gets the verdict that its authors expect, for the check that it is about.

use bailiwick_conformance::pod_security_fixtures::{Fixture, fixtures};
use bailiwick_policy::admission::pod_security::evaluate;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::PodSecurityLevel;

/// The restricted checks that stand in for baseline ones of the same subject, in lower case.
const STANDS_IN: [(&str, &str); 4] = [
    ("capabilities_baseline", "capabilities_restricted"),
    ("procmount", "procmount_restricted"),
    ("hostpathvolumes", "restrictedvolumes"),
    ("seccompprofile_baseline", "seccompprofile_restricted"),
];

#[test]
fn every_fixture_gets_its_verdict() {
    let Some(fixtures) = fixtures().unwrap() else { return };
    assert_eq!(fixtures.len(), 4537);
    let wrong: Vec<String> = fixtures.iter().filter_map(fault).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        fixtures.len(),
        wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
}

fn fault(fixture: &Fixture) -> Option<String> {
    let violations = evaluate(fixture.standard, &Json::from(&fixture.pod));
    let found: Vec<String> = violations.iter().map(|violation| violation.check.to_lowercase()).collect();
    let right = match &fixture.fails {
        None => found.is_empty(),
        Some(check) => found.iter().any(|found| found == check || stands_in(fixture, check, found)),
    };
    let pointed = violations.iter().all(|violation| !violation.fields.is_empty());
    (!right || !pointed).then(|| format!("{}: {violations:?}", fixture.path.display()))
}

fn stands_in(fixture: &Fixture, check: &str, found: &str) -> bool {
    fixture.standard.level == PodSecurityLevel::Restricted && STANDS_IN.contains(&(check, found))
}
