//! `bailiwick import`: other tools' policies as packs that pass `check` and that decide as the sources did,
//! or stricter, or report where they widen.

use std::collections::BTreeSet;

use bailiwick_compiler::Bindings;
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;
use serde_json::{Value, json};

use crate::json::members;
use crate::stage::{Stage, printed, root};

/// Imports a file with this text; returns exit code and report, with the pack under `out/pack.yaml`.
pub(crate) fn imported(stage: &Stage, text: &str, more: &[&str]) -> (Option<i32>, Value) {
    stage.write("source.yaml", text);
    let args = ["import", "source.yaml", "--output", "out/pack.yaml", "--format", "json"];
    let output = stage.run(&[&args[..], more].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", printed(&output)));
    let check = stage.run(&["check", "out"]);
    assert_eq!(check.status.code(), Some(0), "{}", printed(&check));
    (output.status.code(), report)
}

/// The losses whose reason or field contains this word.
pub(crate) fn losses<'r>(report: &'r Value, word: &str) -> Vec<&'r Value> {
    let all = report["losses"].as_array().expect("losses");
    all.iter().filter(|loss| loss.to_string().contains(word)).collect()
}

/// Runs cases against the imported pack.
fn holds(stage: &Stage, cases: &str) {
    let text = format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: imported}}\nspec:\n  cases:\n{cases}"
    );
    stage.write("out/tests/imported.yaml", &text);
    let output = stage.run(&["test", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
}

const REPLICAS: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: demo-policy.example.com}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  matchConditions:
  - {name: not-the-operator, expression: "!('system:operators' in request.userInfo.groups)"}
  variables:
  - {name: most, expression: "5"}
  validations:
  - {expression: object.spec.replicas <= variables.most, messageExpression: "'at most ' + string(variables.most)", reason: Invalid}
  - {expression: "object.metadata.name == params.name", message: the name of the parameter}
  auditAnnotations:
  - {key: high-replica-count, valueExpression: "'replicas ' + string(object.spec.replicas)"}
  paramKind: {apiVersion: rules.example.com/v1, kind: Name}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: demo-binding-test.example.com}
spec:
  policyName: demo-policy.example.com
  validationActions: [Deny]
  paramRef: {name: x, parameterNotFoundAction: Deny}
  matchResources:
    namespaceSelector: {matchLabels: {environment: test}}
"#;

#[test]
fn an_admission_policy_decides_as_its_source_and_what_it_cannot_say_is_denied() {
    let stage = Stage::empty();
    let (code, report) = imported(&stage, REPLICAS, &[]);
    assert_eq!((code, &report["kind"]), (Some(0), &Value::from("admission-policy")));
    assert_eq!((&report["widens"], losses(&report, "an UPDATE of").len()), (&2.into(), 1), "{report:#}");
    assert!(
        !losses(&report, "is denied: ").is_empty() && !losses(&report, "paramRef").is_empty(),
        "{report:#}"
    );
    assert_eq!(imported(&stage, REPLICAS, &["--strict"]).0, Some(3));

    // Without the validation over parameters, it decides as its source does, except for an UPDATE of an
    // object under deletion.
    let plain: String =
        REPLICAS.lines().filter(|line| !line.contains("param")).map(|line| format!("{line}\n")).collect();
    let (code, report) = imported(&stage, &plain.replace("[CREATE, UPDATE]", "[CREATE]"), &["--strict"]);
    let lost = losses(&report, "`subjects`").len();
    assert_eq!((code, lost, report["losses"].as_array().map(Vec::len)), (Some(3), 1, Some(1)), "{report:#}");
    for (operations, rules) in [("[UPDATE]", 1), ("[CREATE, UPDATE]", 2), ("[\"*\"]", 2)] {
        let (_, report) = imported(&stage, &plain.replace("[CREATE, UPDATE]", operations), &[]);
        let all = report["losses"].as_array().expect("losses");
        assert_eq!((all.len(), &all[0]["widens"]), (2, &true.into()), "{report:#}");
        assert!(all[0].to_string().contains("being deleted"), "{report:#}");
        let made = report["pack"]["spec"]["admission"]["rules"].as_array().expect("rules");
        assert_eq!(made.len(), rules, "{report:#}");
    }
    let (_, report) = imported(&stage, &plain, &[]);
    let rules = report["pack"]["spec"]["admission"]["rules"].as_array().expect("rules");
    for (rule, (name, operation)) in rules.iter().zip([
        ("demo-binding-test-example-com", "CREATE"),
        ("demo-binding-test-example-com-update", "UPDATE"),
    ]) {
        assert_eq!(rule["name"], name, "{rule:#}");
        assert_eq!(rule["match"]["resources"][0]["operations"], json!([operation]), "{rule:#}");
        assert_eq!(rule["match"]["namespaceSelector"], json!({"matchLabels": {"environment": "test"}}));
    }
    let case = deployment;
    let cases = [
        case("few", 5, "environment: test", "", "{allowed: true}"),
        case("many", 6, "environment: test", "", "{allowed: false, messagePattern: at most 5}"),
        case("elsewhere", 6, "environment: production", "", "{allowed: true}"),
        case("an operator", 6, "environment: test", "\"system:operators\"", "{allowed: true}"),
    ];
    let update = |name: &str, replicas: u64, expect: &str| {
        let new = case(name, replicas, "environment: test", "", expect).replace("CREATE", "UPDATE");
        let old = case(name, 6, "environment: test", "", expect);
        let old = old.lines().find(|line| line.trim_start().starts_with("object:")).expect("an object");
        let old = old.replacen("object:", "oldObject:", 1);
        new.replacen("      object:", &format!("{old}\n      object:"), 1)
    };
    let updates = [
        update("as it was", 6, "{allowed: false, rule: demo-binding-test-example-com-update}"),
        update("mended", 5, "{allowed: true}"),
        update("worse", 7, "{allowed: false, messagePattern: at most 5}"),
    ];
    holds(&stage, &[cases.concat(), updates.concat()].concat());
}

/// Each selects the new or the old labels of an UPDATE by itself.
#[test]
fn object_selectors_of_policy_and_binding_are_asked_apart() {
    let stage = Stage::empty();
    let source = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}
    objectSelector: {matchLabels: {tier: front}}
  validations: [{expression: "!has(object.data)", message: no data}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: few-bound}
spec:
  policyName: few
  validationActions: [Deny]
  matchResources:
    objectSelector:
      matchLabels: {team: a}
      matchExpressions:
      - {key: stage, operator: NotIn, values: [test, none]}
      - {key: owner, operator: Exists}
      - {key: legacy, operator: DoesNotExist}
"#;
    let map = |labels: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m, namespace: shop, labels: {{{labels}}}}}, data: {{a: b}}}}"
        )
    };
    let case = |name: &str, old: Option<&str>, new: &str, expect: &str| {
        let old = old.map(|old| format!("      oldObject: {}\n", map(old))).unwrap_or_default();
        let operation = if old.is_empty() { "CREATE" } else { "UPDATE" };
        let new = map(new);
        format!(
            "  - name: {name}\n    admission:\n      operation: {operation}\n      namespace: {{name: shop, labels: {{}}}}\n{old}      object: {new}\n    expect: {expect}\n"
        )
    };
    imported(&stage, source, &[]);
    let (denied, allowed) = ("{allowed: false, messagePattern: no data}", "{allowed: true}");
    let bound = "team: a, owner: me";
    let cases = [
        case("both of new", None, "tier: front, team: a, owner: me", denied),
        case("one of new", None, "tier: front, owner: me", allowed),
        case("one of old and one of new", Some(bound), "tier: front", denied),
        case("one of new and one of old", Some("tier: front"), bound, denied),
        case("one of both", Some(bound), bound, allowed),
        case("a value that is not in", Some("tier: front"), "team: a, owner: me, stage: live", denied),
        case("a value that is in", Some("tier: front"), "team: a, owner: me, stage: test", allowed),
        case("without the owner", Some("tier: front"), "team: a", allowed),
        case("with what must not be", Some("tier: front"), "team: a, owner: me, legacy: x", allowed),
        // The binding's selector selects by one of the two, not by parts of both.
        case("half by each", Some("tier: front, owner: me"), "team: a", allowed),
    ];
    holds(&stage, &cases.concat());
}

/// As it is, the pack denies nothing: whom it governs stands in no source.
#[test]
fn a_pack_that_governs_nobody_is_a_loss_that_widens() {
    let stage = Stage::empty();
    for source in [REPLICAS, HOST_PATH] {
        let (_, report) = imported(&stage, source, &[]);
        let pack = std::fs::read(stage.path("out/pack.yaml")).expect("the pack");
        let sources = PackSources::single(pack);
        let compiled =
            bailiwick_compiler::compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
        assert!(compiled.policy.expect("a policy").subject.is_none());
        let lost = losses(&report, "`subjects`");
        assert!(matches!(lost.as_slice(), [loss] if loss["widens"] == true), "{report:#}");
    }
}

#[test]
fn of_several_actions_the_strictest_is_taken_and_told() {
    let stage = Stage::empty();
    for (actions, taken, lost) in [
        ("[Warn, Audit]", "Warn", 1),
        ("[Deny, Audit]", "Deny", 1),
        ("[Audit]", "Audit", 0),
        ("[]", "Deny", 0),
    ] {
        let text = HOST_PATH.replace("[Deny]", actions);
        let (_, report) = imported(&stage, &text, &[]);
        let action = &report["pack"]["spec"]["admission"]["rules"][0]["action"];
        assert!(*action == taken || (taken == "Deny" && action.is_null()), "{report:#}");
        assert_eq!(losses(&report, "spec.validationActions").len(), lost, "{actions}: {report:#}");
    }
}

/// A pack's rule sees no parameter object, and `has` of what it does not see must not be false without a word.
#[test]
fn what_reads_a_parameter_object_is_denied_however_it_asks() {
    let stage = Stage::empty();
    let plain: String = REPLICAS
        .lines()
        .filter(|line| !line.contains("params.name") && !line.contains("paramRef"))
        .map(|line| format!("{line}\n"))
        .collect();
    let most = "object.spec.replicas <= variables.most";
    for expression in [
        format!("\"!has(params.data) || {most}\""),
        format!("\"!('x' in params) || {most}\""),
        format!("\"!params[?'x'].hasValue() || {most}\""),
        format!("\"!params.?x.hasValue() || {most}\""),
        format!("\"params.size() == 0 || {most}\""),
    ] {
        let (_, report) = imported(&stage, &plain.replacen(most, &expression, 1), &[]);
        assert!(!losses(&report, "is denied: ").is_empty(), "{report:#}");
        holds(&stage, &deployment("many", 6, "environment: test", "", "{allowed: false}"));
    }
    let condition = "\"!('system:operators' in request.userInfo.groups)\"";
    let (_, report) = imported(&stage, &plain.replacen(condition, "has(params.data)", 1), &[]);
    assert_eq!(losses(&report, "the condition was dropped").len(), 2, "{report:#}");
    holds(
        &stage,
        &deployment("many", 6, "environment: test", "", "{allowed: false, messagePattern: at most 5}"),
    );
}

/// A case that creates a deployment.
fn deployment(name: &str, replicas: u64, labels: &str, groups: &str, expect: &str) -> String {
    format!(
        "  - name: {name}\n    admission:\n      operation: CREATE\n      namespace: {{name: shop, labels: {{{labels}}}}}\n      \
         userInfo: {{username: u, groups: [{groups}]}}\n      \
         object: {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d, namespace: shop}}, spec: {{replicas: {replicas}, \
         selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}}}}}\n    \
         expect: {expect}\n"
    )
}

#[test]
fn an_empty_list_of_names_is_every_name() {
    let stage = Stage::empty();
    let with = |names: &str| {
        let text = REPLICAS.replace(
            "resources: [deployments]",
            &format!("resources: [deployments], resourceNames: {names}"),
        );
        imported(&stage, &text, &[]).1["pack"]["spec"]["admission"]["rules"][0]["match"]["conditions"].clone()
    };
    assert_eq!(with("[]").as_array().map(Vec::len), Some(1));
    assert_eq!(with("[web]")[1]["name"], "resource-names");
}

/// A loss of a rule names the file and the object that the rule was made from.
#[test]
fn what_does_not_compile_is_blamed_on_its_own_file() {
    let stage = Stage::empty();
    stage.write(
        "other.yaml",
        &HOST_PATH
            .replace("resource.Get('v1', 'configmaps', 'default', 'x').data.a == 'b'", "true")
            .replace("disallow-host-path", "first"),
    );
    stage.write("lookup.yaml", HOST_PATH);
    let output =
        stage.run(&["import", "other.yaml", "lookup.yaml", "--output", "out/pack.yaml", "--format", "json"]);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", printed(&output)));
    let lost = losses(&report, "cannot be said, so what it is about is denied");
    assert!(!lost.is_empty(), "{report:#}");
    for loss in lost {
        assert_eq!(loss["file"], "lookup.yaml", "{loss}");
        assert!(
            loss["at"].as_str().expect("a place").starts_with("ValidatingPolicy/disallow-host-path: "),
            "{loss}"
        );
    }
}

const HOST_PATH: &str = r#"
apiVersion: policies.kyverno.io/v1alpha1
kind: ValidatingPolicy
metadata: {name: disallow-host-path}
spec:
  validationActions: [Deny]
  autogen: {podControllers: {controllers: [deployments]}}
  evaluation: {background: {enabled: true}}
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}]
  validations:
  - {expression: "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))", message: no hostPath}
  - {expression: "resource.Get('v1', 'configmaps', 'default', 'x').data.a == 'b'", message: needs a look-up}
"#;

#[test]
fn a_policy_of_kyverno_is_a_rule_over_pods_and_templates() {
    let stage = Stage::empty();
    let (_, report) = imported(&stage, HOST_PATH, &[]);
    assert_eq!((&report["kind"], &report["widens"]), (&"kyverno".into(), &3.into()), "{report:#}");
    assert_eq!(losses(&report, "cannot be said, so what it is about is denied").len(), 2, "{report:#}");
    assert_eq!(losses(&report, "violation of its template").len(), 1, "{report:#}");
    let rules = &report["pack"]["spec"]["admission"]["rules"];
    assert_eq!((&rules[0]["podTemplates"], &rules[1]["podTemplates"]), (&true.into(), &Value::Null));
    let templates = |from: &str, to: &str| {
        let (_, report) = imported(&stage, &HOST_PATH.replace(from, to), &[]);
        report["pack"]["spec"]["admission"]["rules"][0]["podTemplates"] == true
    };
    let listed = "  autogen: {podControllers: {controllers: [deployments]}}\n";
    assert!(templates("", "") && templates(listed, ""), "without a list it is every controller");
    assert!(!templates("controllers: [deployments]", "controllers: []"), "an empty list is none");
    assert!(!templates("resources: [pods]", "resources: [pods, services]"), "not pods alone");
}

/// It holds where it is, besides what its own selector says.
#[test]
fn a_namespaced_policy_of_kyverno_is_a_rule_over_its_namespace() {
    let stage = Stage::empty();
    let text = HOST_PATH
        .replace("kind: ValidatingPolicy", "kind: NamespacedValidatingPolicy")
        .replace("{name: disallow-host-path}", "{name: disallow-host-path, namespace: shop}");
    let rules = |text: &str| {
        let (_, report) = imported(&stage, text, &[]);
        report["pack"]["spec"]["admission"]["rules"].as_array().cloned().expect("rules")
    };
    let all = rules(&text);
    assert!(all.len() == 2 && all[0]["podTemplates"] == true, "{all:?}");
    for rule in &all {
        let labels = &rule["match"]["namespaceSelector"]["matchLabels"];
        assert_eq!(labels["kubernetes.io/metadata.name"], "shop", "{rule}");
    }
    let selected = "  matchConstraints:\n    namespaceSelector: {matchLabels: {team: a}}\n";
    for rule in rules(&text.replace("  matchConstraints:\n", selected)) {
        let selector = rule["match"]["namespaceSelector"].to_string();
        assert!(selector.contains("shop") && selector.contains("team"), "{selector}");
    }
}

#[test]
fn network_policies_of_one_subject_allow_what_they_allowed_together() {
    let stage = Stage::empty();
    let text = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
  - {from: [{namespaceSelector: {matchLabels: {team: front}}, podSelector: {matchLabels: {app: proxy}}}], ports: [{port: 8080}, {port: metrics}]}
  egress:
  - {to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25]}}], ports: [{port: 443, endPort: 444}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - {to: [{podSelector: {matchLabels: {app: resolver}}}], ports: [{port: 53, protocol: UDP}]}
"#;
    let (_, report) = imported(&stage, text, &[]);
    assert_eq!((&report["kind"], &report["widens"]), (&"network-policy".into(), &0.into()), "{report:#}");
    assert_eq!(losses(&report, "metrics").len(), 1, "a named port is denied: {report:#}");
    let case = |name: &str, connection: &str, allowed: bool| {
        format!("  - {{name: {name}, connection: {{{connection}}}, expect: {{allowed: {allowed}}}}}\n")
    };
    let proxy = "peer: {labels: {app: proxy}, namespaceLabels: {team: front}}";
    let cases = [
        case("from the proxy", &format!("from: 10.0.0.9, {proxy}, port: 8080"), true),
        case("at another port", &format!("from: 10.0.0.9, {proxy}, port: 9090"), false),
        case(
            "from another team",
            "from: 10.0.0.9, peer: {labels: {app: proxy}, namespaceLabels: {team: back}}, port: 8080",
            false,
        ),
        case("out to the network", "to: \"203.0.113.5:444\"", true),
        case("out beyond the range", "to: \"203.0.113.5:445\"", false),
        case("out to the exception", "to: \"203.0.113.200:443\"", false),
        case(
            "out to the resolver",
            "to: \"10.0.0.7:53\", protocol: UDP, peer: {labels: {app: resolver}, namespace: Own}",
            true,
        ),
    ];
    holds(&stage, &cases.concat());
    stage.write(
        "source.yaml",
        &text.replace("{app: web}}\n  policyTypes: [Egress]", "{app: other}}\n  policyTypes: [Egress]"),
    );
    let output = stage.run(&["import", "source.yaml"]);
    assert_eq!(output.status.code(), Some(3), "two subjects: {}", printed(&output));
    // The namespace depends on how the pack is applied: the pack may govern none of it.
    let (_, report) = imported(&stage, &text.replace(", namespace: shop", ""), &[]);
    assert_eq!(report["widens"], 2, "{report:#}");
    let lost = losses(&report, "metadata.namespace");
    assert!(lost.len() == 2 && lost.iter().all(|loss| loss["widens"] == true), "{report:#}");
}

#[test]
fn labels_of_pod_security_are_a_level_for_these_namespaces() {
    let stage = Stage::empty();
    let namespace = |name: &str, labels: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n---\n")
    };
    let strict =
        "pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: v1.30";
    let weak = "pod-security.kubernetes.io/enforce: baseline, pod-security.kubernetes.io/enforce-version: v1.30, \
                pod-security.kubernetes.io/warn: restricted";
    let text = [namespace("a", strict), namespace("b", weak), namespace("c", "x: z")].concat();
    let (_, report) = imported(&stage, &text, &[]);
    let spec = &report["pack"]["spec"];
    assert_eq!(spec["isolation"]["podSecurity"], json!({"level": "Restricted", "version": "v1.30"}));
    assert_eq!(
        spec["subjects"]["namespaces"]["selector"]["matchExpressions"][0]["values"],
        json!(["a", "b"])
    );
    assert_eq!(
        (losses(&report, "Namespace/b").len(), losses(&report, "Namespace/c").len()),
        (2, 1),
        "{report:#}"
    );
    assert_eq!(report["widens"], 0);
    stage.write("two.yaml", &text.replacen("v1.30", "v1.29", 1));
    assert_eq!(stage.run(&["import", "two.yaml"]).status.code(), Some(3), "two versions");
}

#[test]
fn a_seccomp_profile_is_a_ceiling_that_allows_nothing_more() {
    let stage = Stage::empty();
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["read", "write", "exit", "exit_group", "mmap", "munmap", "brk", "execve", "fstat", "close"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
            {"names": ["io_uring_setup", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
        ],
    });
    let (_, report) = imported(&stage, &profile.to_string(), &[]);
    assert_eq!((&report["kind"], &report["widens"]), (&"seccomp".into(), &0.into()), "{report:#}");
    assert_eq!(losses(&report, "no_such_call").len(), 1, "{report:#}");
    let case = |name: &str, action: &str| {
        format!(
            "  - {{name: {name} {action}, syscall: {{sandbox: imported, name: {name}}}, expect: {{action: {action}}}}}\n"
        )
    };
    let cases = [
        case("read", "Allow"),
        case("personality", "Errno"),
        case("socket", "Errno"),
        case("ptrace", "Errno"),
    ];
    holds(&stage, &cases.concat());
}

#[test]
fn objects_of_other_kinds_widen_unless_they_are_inert() {
    let stage = Stage::empty();
    let more = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n\
                ---\napiVersion: v1\nkind: Namespace\nmetadata: {name: c, labels: {x: z}}\n---\napiVersion: example.com/v1\nkind: Guard\nmetadata: {name: d}\n";
    let (_, report) = imported(&stage, &format!("{REPLICAS}{more}"), &["--kind", "admission-policy"]);
    for (at, widens) in
        [("ConfigMap/a", false), ("Namespace/b", false), ("Namespace/c", true), ("Guard/d", true)]
    {
        assert_eq!(losses(&report, at)[0]["widens"], widens, "{at}: {report:#}");
    }
}

#[test]
fn what_is_nothing_of_the_kind_is_refused_and_unknown_fields_are_said_to_widen() {
    let stage = Stage::empty();
    stage.write("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    assert_eq!(stage.run(&["import", "x.yaml"]).status.code(), Some(1));
    stage
        .write("y.yaml", &format!("{REPLICAS}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: x}}\n"));
    assert_eq!(stage.run(&["import", "y.yaml"]).status.code(), Some(1), "two kinds");
    let odd = REPLICAS.replace("  failurePolicy: Fail\n", "  failurePolicy: Fail\n  quarantine: true\n");
    let (_, report) = imported(&stage, &odd, &[]);
    let odd = losses(&report, "quarantine");
    assert_eq!((odd.len(), &odd[0]["widens"]), (1, &true.into()), "{report:#}");
    let human = stage.run(&["import", "source.yaml"]);
    let text = String::from_utf8_lossy(&human.stdout).into_owned();
    assert!(text.starts_with("apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\n"), "{text}");
    assert!(
        String::from_utf8_lossy(&human.stderr)
            .contains("loss, widens: source.yaml: ValidatingAdmissionPolicy/")
    );
}

#[test]
fn every_member_of_an_import_is_documented() {
    let stage = Stage::empty();
    let page = std::fs::read_to_string(root().join("docs/formats/json.md")).expect("docs/formats/json.md");
    let mut report = imported(&stage, REPLICAS, &[]).1;
    report.as_object_mut().expect("an object").insert("pack".to_owned(), Value::Null);
    let mut seen = BTreeSet::new();
    members(&report, &mut seen);
    assert!(seen.contains("losses"), "{seen:?}");
    for member in seen {
        let (alone, within) = (format!("`{member}`"), format!(".{member}`"));
        assert!(page.contains(&alone) || page.contains(&within), "docs/formats/json.md lacks `{member}`");
    }
}
