//! The pack `pod-security-restricted` against the built-in evaluation: over Kubernetes' fixtures, each judged as restricted v1.37, both give
//! the same verdict, and of each check the same one.

use std::path::Path;

use bailiwick_compiler::cel::{Context, Interner, PodAccess, Type, compile, compile_variable};
use bailiwick_conformance::pod_security_fixtures::fixtures;
use bailiwick_crds::pack::PolicyPack;
use bailiwick_policy::admission::{defaults, pod_security, schema};
use bailiwick_policy::cel::{Env, Fuel, Loaded, Scope, Value, eval};
use bailiwick_policy::ir::Cel;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{Admission, PodSecurity, PodSecurityLevel};

const RESTRICTED: PodSecurity = PodSecurity { level: PodSecurityLevel::Restricted, minor: 37 };

/// Each rule of the pack and the check that it is.
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

/// A rule's condition and message, compiled.
struct Rule {
    check: &'static str,
    condition: Cel,
    message: Cel,
}

fn rules() -> (Admission, Vec<Rule>) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-packs/pod-security-restricted/pack.yaml");
    let pack: PolicyPack = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut interner = Interner::default();
    let mut rules = Vec::new();
    for rule in pack.spec.admission.unwrap().rules {
        let mut context = Context::admission(Type::of_kind("", "v1", "Pod"));
        context.pod = PodAccess::Available;
        for variable in &rule.variables {
            compile_variable(&variable.name, &variable.expression, &mut context, &mut interner).unwrap();
        }
        let [validation] = rule.validations.as_slice() else { panic!("{}: one validation", rule.name) };
        let (condition, _) =
            compile(&validation.expression, &context.expecting(Type::Bool), &mut interner).unwrap();
        let message = validation.message_expression.as_ref().unwrap();
        let (message, _) = compile(message, &context.expecting(Type::String), &mut interner).unwrap();
        let check = RULES.iter().find(|(name, _)| *name == rule.name).unwrap().1;
        rules.push(Rule { check, condition, message });
    }
    let (shared, regexes) = interner.into_parts();
    (Admission { shared, regexes, ..Admission::default() }, rules)
}

#[test]
fn the_pack_and_the_evaluation_agree() {
    let (admission, rules) = rules();
    let checks: Vec<&str> = pod_security::checks(RESTRICTED).collect();
    let mut of_rules: Vec<&str> = rules.iter().map(|rule| rule.check).collect();
    of_rules.sort_by_key(|check| checks.iter().position(|known| known == check));
    assert_eq!(of_rules, checks);

    let loaded = Loaded::new(&admission).unwrap();
    let Some(fixtures) = fixtures().unwrap() else { return };
    let mut failed_somewhere = std::collections::BTreeSet::new();
    for fixture in &fixtures {
        let mut pod = Json::from(&fixture.pod);
        defaults::apply(&mut pod, schema::root("", "v1", "Pod").unwrap());
        let mut expected: Vec<&str> =
            pod_security::evaluate(RESTRICTED, &pod).iter().map(|violation| violation.check).collect();
        let mut found = violated(&admission, &loaded, &rules, &pod);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{}", fixture.path.display());
        failed_somewhere.extend(found);
    }
    assert_eq!(failed_somewhere.len(), rules.len(), "every rule refuses some fixture");
}

/// The checks of the rules that refuse a pod.
fn violated(admission: &Admission, loaded: &Loaded, rules: &[Rule], pod: &Json<'_>) -> Vec<&'static str> {
    let request = Json::Null;
    let mut violated = Vec::new();
    let env = Env {
        object: pod,
        old_object: None,
        request: &request,
        namespace_object: None,
        params: Value::Null,
        pack: Value::Null,
        pod: Some(pod),
    };
    let mut scope = Scope::new(admission, loaded, env, Fuel::new(Fuel::DEFAULT));
    for rule in rules {
        match eval(&rule.condition, &mut scope) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => {
                let message = eval(&rule.message, &mut scope).unwrap();
                assert!(message.as_str().unwrap().contains(": "), "{message:?}");
                violated.push(rule.check);
            }
            other => panic!("{}: {other:?}", rule.check),
        }
    }
    violated
}
