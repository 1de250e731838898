//! Our Pod Security evaluation against Kubernetes' fixtures: each gets the verdict that its authors expect,
//! for the check that it tests. So do the packs that `bailiwick import` makes of a namespace's labels.

use std::collections::BTreeMap;

use bailiwick_compiler::import::{Source, import};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::{Bindings, compile};
use bailiwick_conformance::pod_security_fixtures::{Fixture, fixtures};
use bailiwick_policy::admission::pod_security::evaluate;
use bailiwick_policy::admission::{AdmissionRequest, ManifestContext, Namespaces, Phase, Reviewer};
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{PodSecurity, PodSecurityLevel};
use serde_json::json;

/// The restricted checks that replace baseline ones of the same subject, in lower case.
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

/// The pack imported from a namespace with labels of this standard.
fn imported(standard: PodSecurity) -> Reviewer {
    let version = format!("v1.{}", standard.minor);
    let labels = json!({
        "pod-security.kubernetes.io/enforce": format!("{:?}", standard.level).to_lowercase(),
        "pod-security.kubernetes.io/enforce-version": version,
    });
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let source = Source { name: "source.yaml".to_owned(), documents: vec![namespace] };
    let imported = import(None, "imported", &[source]).unwrap();
    assert_eq!(imported.losses, [], "{standard:?}");
    let sources = PackSources::single(imported.yaml().unwrap());
    let compiled = compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
    let policy = compiled.policy.unwrap_or_else(|| panic!("{standard:?}: {:?}", compiled.diagnostics));
    let namespaces = Namespaces::new(BTreeMap::from([("shop".to_owned(), BTreeMap::new())]));
    Reviewer::new(vec![Bundle { policy, digest: "0".repeat(64) }], namespaces).unwrap()
}

#[test]
fn an_imported_level_gives_every_fixture_its_verdict() {
    let Some(fixtures) = fixtures().unwrap() else { return };
    let mut by_standard: BTreeMap<String, (PodSecurity, Vec<&Fixture>)> = BTreeMap::new();
    for fixture in &fixtures {
        let of =
            by_standard.entry(format!("{:?}", fixture.standard)).or_insert((fixture.standard, Vec::new()));
        of.1.push(fixture);
    }
    let mut wrong = Vec::new();
    for (standard, fixtures) in by_standard.values() {
        let reviewer = imported(*standard);
        for fixture in fixtures {
            let mut pod = fixture.pod.clone();
            pod["metadata"]["namespace"] = json!("shop");
            let request =
                AdmissionRequest::from_manifest(Json::from(&pod), ManifestContext::default()).unwrap();
            if reviewer.review(&request, Phase::Validate).allowed != fixture.fails.is_none() {
                wrong.push(fixture.path.display().to_string());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {:?}",
        wrong.len(),
        fixtures.len(),
        wrong.iter().take(9).collect::<Vec<_>>()
    );
    assert!(by_standard.len() > 70, "{}", by_standard.len());
}
