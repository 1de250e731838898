//! Cases of packs that are written here: what is said to have decided, and what a case cannot say.

use bailiwick_policy::cel::Watching;
use serde_json::{Value, json};

use super::{Bench, Happened, no_manifests};
use crate::library::MemoryLibrary;
use crate::policy_test::{Effect, TestCase};
use crate::source::PackSources;
use crate::{Bindings, compile};

/// The result of one case of a pack with these sections.
fn happened(sections: &str, case: Value) -> Result<Happened, String> {
    let sections: String = sections.lines().map(|line| format!("  {line}\n")).collect();
    let pack = PackSources::single(format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: p-1.0.0}}\nspec:\n  pack: p\n  version: 1.0.0\n{sections}"
    ));
    let compiled = compile(&[(&pack, Bindings::default())], &MemoryLibrary::default());
    let said: Vec<String> = compiled.all().map(ToString::to_string).collect();
    let policy = compiled.policy.unwrap_or_else(|| panic!("{}", said.join("\n")));
    let mut all = json!({"name": "a case", "expect": {}});
    all.as_object_mut().expect("a case").extend(case.as_object().expect("a part of a case").clone());
    let case: TestCase = serde_json::from_value(all).expect("a case");
    Bench::new(policy, Watching::Off).carry_out(&case, &no_manifests)
}

const READS: &str = r#"tools:
  approvers: [{name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=}]}]
  state: {labels: [{name: seen}], counters: [{name: reads}]}
  rules:
  - {name: grants, tools: [workspace.read], when: "!call.args.path.startsWith('ask')", allow: {}}
  - {name: breaks, tools: [workspace.read], when: "int(call.args.path) > 0", allow: {}}
  - {name: asks, tools: [workspace.read], ask: {approvers: oncall, quorum: 1, expires: 10m}}
  - {name: confirms, tools: [workspace.read], when: "call.args.path.endsWith('confirm') || call.args.path == 'no'", confirm: {approvers: oncall, quorum: 1, expires: 10m}}
  - {name: marks, tools: [workspace.read], when: "call.args.path == 'no'", label: {add: [seen]}}
  - {name: denies, tools: [workspace.read], when: "call.args.path == 'no'", deny: {}}
  - {name: denies-too, tools: [workspace.read], when: "call.args.path == 'no'", deny: {}}
  - {name: counts, tools: [workspace.read], throttle: {counter: reads, max: 2}}
  - {name: fails, tools: [workspace.read], when: "call.args.path == 'fail' && int(call.args.path) > 0", confirm: {approvers: oncall, quorum: 1, expires: 10m}}
  - {name: hides, tools: [workspace.read], phase: Result, when: "result.content == 'KEY'", transform: {result: "{'content': '***'}"}}
  - {name: notes, tools: [workspace.read], phase: Result, label: {add: [seen]}}
  - {name: watches, tools: [workspace.read], phase: Result, mode: Shadow, deny: {}}"#;

/// The effect of reading a file, and the rules that are said to have decided.
fn decided(path: &str, rest: Value) -> (Effect, Vec<String>) {
    let mut call = json!({"tool": "workspace.read", "args": {"path": path}});
    call.as_object_mut().expect("a call").extend(rest.as_object().expect("members").clone());
    let happened = happened(READS, json!({"toolCall": call})).expect("it happens");
    let name = |rule: &String| rule.strip_prefix("p@1.0.0/").expect("a rule of the pack").to_owned();
    (happened.effect.expect("an effect"), happened.rules.iter().map(name).collect())
}

/// Neither rules that matched and changed nothing about the effect, nor grants that could not be evaluated.
#[test]
fn only_rules_from_which_the_effect_follows_decide() {
    let rules = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let check = |path, rest, effect, names| assert_eq!(decided(path, rest), (effect, rules(names)), "{path}");
    check("no", json!({}), Effect::Deny, &["denies", "denies-too"]);
    check("fail", json!({}), Effect::Deny, &["fails"]);
    check("a", json!({"session": {"counters": {"reads": 2}}}), Effect::Deny, &["counts"]);
    check("a", json!({}), Effect::Allow, &["grants"]);
    check("7", json!({}), Effect::Allow, &["grants", "breaks"]);
    check("ask", json!({}), Effect::Ask, &["asks"]);
    check("ask confirm", json!({}), Effect::Ask, &["asks", "confirms"]);
    check("confirm", json!({}), Effect::Ask, &["confirms"]);
}

#[test]
fn only_redactions_decide_what_is_delivered() {
    let read = |content: &str| decided("a", json!({"result": {"content": content}})).1;
    assert_eq!(read("KEY"), ["grants", "hides"]);
    assert_eq!(read("text"), ["grants"]);
}

#[test]
fn a_counter_that_no_pack_has_stands_at_nothing() {
    for count in [0, 1] {
        let session = json!({"counters": {"nosuch": count}});
        let call = json!({"toolCall": {"tool": "workspace.read", "args": {"path": "a"}, "session": session}});
        let error = happened(READS, call).expect_err("an error");
        assert_eq!(error, "no pack has a counter `nosuch`, which `session.counters` has a value of");
    }
}

#[test]
fn a_connection_that_leads_nowhere_is_not_denied() {
    let confined = "pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]\nsandboxes: [{name: shell, pool: warm, filesystem: {readOnly: [/usr, /bin]}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}]";
    let none = "audit: {}";
    for (sections, sandbox) in [(confined, Some("shell")), (none, None)] {
        for (end, said) in
            [("to", "`gar bage` is not ADDRESS:PORT"), ("from", "`gar bage` is not an address")]
        {
            let case = json!({"connection": {"sandbox": sandbox, (end): "gar bage", "port": (end == "from").then_some(1)}});
            let error = happened(sections, case).expect_err("an error");
            assert!(error.contains(said) && error.contains(&format!("`connection.{end}`")), "{error}");
        }
    }
    let case = json!({"connection": {"sandbox": "shell", "to": "192.0.2.1:443"}});
    assert!(!happened(confined, case).expect("it happens").allowed);
}

/// The last requirement of a label does not replace the others.
#[test]
fn the_pod_of_an_image_is_one_that_the_pack_governs() {
    let pack = r#"subjects:
  namespaces: {selector: {matchExpressions: [{key: zone, operator: Exists}, {key: zone, operator: NotIn, values: ["true"]}]}}
  pods: {matchExpressions: [{key: role, operator: In, values: [agent, crawler]}, {key: role, operator: NotIn, values: [agent]}, {key: role, operator: Exists}]}
images: [{match: ["registry.example.org/**"]}]"#;
    let happened =
        happened(pack, json!({"image": {"reference": "other.example.org/a:1"}})).expect("it happens");
    assert_eq!((happened.governed, happened.allowed), (Some(true), false));
}
