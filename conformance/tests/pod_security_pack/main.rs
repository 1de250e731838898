//! The pack `pod-security-restricted` against the built-in evaluation: over Kubernetes' fixtures, each judged
//! as restricted v1.37, both give the same verdict, and the same for each check. So does its twin in Rego.
//! `machines` compares regorus' two ways to evaluate Rego.

mod machines;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bailiwick_compiler::Bindings;
use bailiwick_compiler::compile;
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::rego::Regorus;
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_conformance::pod_security_fixtures::fixtures;
use bailiwick_policy::admission::{
    AdmissionRequest, ManifestContext, Namespaces, Reviewer, defaults, pod_security, schema,
};
use bailiwick_policy::bundle;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{PodSecurity, PodSecurityLevel};

const RESTRICTED: PodSecurity = PodSecurity { level: PodSecurityLevel::Restricted, minor: 37 };

/// Each rule of the pack, and its check.
const RULES: [(&str, &str); 15] = [
    ("app-armor-profile", "appArmorProfile"),
    ("host-namespaces", "hostNamespaces"),
    ("host-ports", "hostPorts"),
    ("host-probes-and-lifecycle", "hostProbesAndHostLifecycle"),
    ("privileged", "privileged"),
    ("se-linux-options", "seLinuxOptions"),
    ("sysctls", "sysctls"),
    ("windows-host-process", "windowsHostProcess"),
    ("allow-privilege-escalation", "allowPrivilegeEscalation"),
    ("capabilities", "capabilities_restricted"),
    ("proc-mount", "procMount_restricted"),
    ("volume-types", "restrictedVolumes"),
    ("run-as-non-root", "runAsNonRoot"),
    ("run-as-user", "runAsUser"),
    ("seccomp-profile", "seccompProfile_restricted"),
];

/// The pack in a folder, with the named Rego modules.
fn reviewer(folder: &str, modules: &[&str]) -> Reviewer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources = PackSources::single(std::fs::read(folder.join("pack.yaml")).unwrap());
    sources.rego = modules
        .iter()
        .map(|name| SourceFile::new(*name, std::fs::read(folder.join(name)).unwrap()))
        .collect();
    let compiled = compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
    assert_eq!(compiled.all().collect::<Vec<_>>(), Vec::<&bailiwick_compiler::diagnostic::Diagnostic>::new());
    let bytes = bundle::write(&compiled.policy.unwrap()).unwrap();
    let labels = BTreeMap::from([("bailiwick.dev/pod-security".to_owned(), "restricted".to_owned())]);
    let namespaces = Namespaces::new(BTreeMap::from([("default".to_owned(), labels)]));
    Reviewer::with_rego([bundle::load(&bytes).unwrap()], namespaces, &Regorus).unwrap()
}

#[test]
fn the_pack_and_the_evaluation_agree() {
    agrees(&reviewer("../policy-packs/pod-security-restricted", &[]));
}

#[test]
fn the_pack_in_rego_and_the_evaluation_agree() {
    agrees(&reviewer("rego/pod-security-restricted", &["rego/restricted.rego"]));
}

fn agrees(reviewer: &Reviewer) {
    let checks: BTreeSet<&str> = pod_security::checks(RESTRICTED).collect();
    assert_eq!(RULES.map(|(_, check)| check).into_iter().collect::<BTreeSet<_>>(), checks);
    let Some(fixtures) = fixtures().unwrap() else { return };
    let mut failed_somewhere = BTreeSet::new();
    // Most fixtures are the same in every version.
    let mut seen = BTreeSet::new();
    for fixture in fixtures.iter().filter(|one| seen.insert(one.pod.to_string())) {
        let mut pod = Json::from(&fixture.pod);
        defaults::apply(&mut pod, schema::root("", "v1", "Pod").unwrap());
        let expected: BTreeSet<&str> =
            pod_security::evaluate(RESTRICTED, &pod).iter().map(|violation| violation.check).collect();
        let found = refused(reviewer, pod);
        assert_eq!(found, expected, "{}", fixture.path.display());
        failed_somewhere.extend(found);
    }
    assert_eq!(failed_somewhere, checks, "every rule refuses some fixture");
    assert!(seen.len() > 100, "only {} fixtures differ", seen.len());
}

/// The checks of the rules that deny a pod.
fn refused(reviewer: &Reviewer, pod: Json<'_>) -> BTreeSet<&'static str> {
    let request = AdmissionRequest::from_manifest(pod, ManifestContext::default()).unwrap();
    let admitted = reviewer.admit(&request);
    let decision = admitted.decision();
    assert_eq!(decision.cells.len(), 1, "the pack governs the pod");
    assert_eq!(decision.allowed, decision.findings.is_empty());
    let check = |rule: &str| RULES.iter().find(|(name, _)| *name == rule).map(|(_, check)| *check);
    decision
        .findings
        .iter()
        .map(|finding| check(&finding.rule).unwrap_or_else(|| panic!("{finding:?}")))
        .collect()
}
