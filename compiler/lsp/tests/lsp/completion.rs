//! Completion in texts that are being written.

use serde_json::Value;

use crate::stage::{CURSOR, PACK, Stage, applied, codes, labels};

/// A stage with a known and open pack.
fn stage() -> Stage {
    let mut stage = Stage::new();
    assert_eq!(stage.open("pack.yaml", PACK), [] as [Value; 0]);
    stage
}

/// The sample with a part of it replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(PACK.matches(old).count(), 1, "{old}");
    PACK.replace(old, new)
}

#[track_caller]
fn offers(stage: &mut Stage, marked: &str, wanted: &[&str], unwanted: &[&str]) -> Vec<Value> {
    let items = stage.completed(marked);
    let all = labels(&items);
    for label in wanted {
        assert!(all.contains(label), "`{label}` is not offered: {all:?}");
    }
    for label in unwanted {
        assert!(!all.contains(label), "`{label}` is offered: {all:?}");
    }
    items
}

#[test]
fn fields_by_place_without_those_that_are_there() {
    let mut stage = stage();
    offers(
        &mut stage,
        &format!("{PACK}  isol{CURSOR}\n"),
        &["isolation", "network"],
        &["tools", "memory", "spec"],
    );
    offers(
        &mut stage,
        &format!("{PACK}  network:\n    {CURSOR}\n"),
        &["egress", "ingress", "proxy"],
        &["pack"],
    );
    offers(&mut stage, &format!("{PACK}{CURSOR}\n"), &[], &["spec", "kind", "network"]);
    offers(&mut stage, &format!("{CURSOR}\n"), &[], &[]);
    let items = offers(
        &mut stage,
        &with("syscalls: {profile: Shell}", "syscalls: {¦}"),
        &["profile", "add"],
        &["name"],
    );
    assert_eq!(items[0]["label"], "profile", "what must be there comes first");
    assert!(items[0]["documentation"]["value"].as_str().unwrap().contains("Shell"), "{}", items[0]);
    offers(
        &mut stage,
        &with("pool: warm\n", "¦\n"),
        &["pool", "runtime", "network"],
        &["name", "limits", "syscalls"],
    );
    offers(
        &mut stage,
        &with("    state:\n", "    state:\n      ¦\n"),
        &["budgets", "labels"],
        &["approvers"],
    );
    offers(&mut stage, &with("pool: warm\n", "po¦: warm\n"), &["pool"], &[]);
}

const WIDGETS: &str = r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}, colour: {type: string}}}}}}
"#;

/// As with `--schema` on the command line: definitions in `schemas/` beside the pack give types to what rules over custom resources read.
#[test]
fn fields_of_custom_resources_by_the_definitions_beside_the_pack() {
    let mut stage = Stage::new();
    stage.write("schemas/widgets.yaml", WIDGETS);
    let rule = |expression: &str| {
        format!(
            "{PACK}    - {{name: w, match: {{resources: [{{apiGroups: [example.org], apiVersions: [v1], resources: [widgets], operations: [CREATE]}}]}}, validations: [{{expression: \"{expression}\", message: m}}]}}\n"
        )
    };
    assert_eq!(stage.open("pack.yaml", &rule("object.spec.size < 3")), [] as [Value; 0]);
    assert!(!stage.change("pack.yaml", &rule("object.spec.sise < 3")).is_empty(), "a misspelt field");
    offers(&mut stage, &rule(&format!("object.spec.{CURSOR}")), &["size", "colour"], &["containers"]);
}

#[test]
fn words_names_and_parameters() {
    let mut stage = stage();
    let items = offers(&mut stage, &with("profile: Shell", "profile: ¦"), &["Shell", "Python"], &["shell"]);
    assert!(
        items.iter().all(|item| item["documentation"]["value"].as_str().is_some_and(|text| !text.is_empty()))
    );
    offers(&mut stage, &with("pool: warm", "pool: ¦"), &["warm"], &["shell"]);
    offers(&mut stage, &with("pool: warm", "pool: \"w¦"), &["warm"], &[]);
    offers(&mut stage, &with("sandbox: shell", "sandbox: ¦"), &["shell"], &["warm"]);
    offers(&mut stage, &with("counter: calls", "counter: ¦"), &["calls"], &["shell"]);
    offers(
        &mut stage,
        &with("[shell.exec], when", "[¦], when"),
        &["shell.exec", "workspace.read"],
        &["listing"],
    );
    offers(&mut stage, &with("{arg: command}]}", "{arg: ¦}]}"), &["command"], &["shell"]);
    offers(&mut stage, &with("[{shell: command}]", "[{shell: ¦}]"), &["command"], &[]);
    offers(&mut stage, &with("memory: \"${memory}\"", "memory: \"$¦\""), &["${memory}"], &[]);
    offers(&mut stage, &with("exclusive: true", "exclusive: ¦"), &["true", "false"], &["${memory}"]);
    offers(
        &mut stage,
        &with("profile: Shell", "profile: Shell, remove: [soc¦]"),
        &["socket", "connect"],
        &[],
    );
    offers(&mut stage, &with("resources: [pods]", "resources: [¦]"), &["pods", "deployments"], &[]);
    let asks = with("throttle: {counter: calls, max: 20}", "ask: {approvers: ¦}");
    offers(&mut stage, &asks, &["oncall"], &[]);
}

#[test]
fn expressions_have_variables_fields_functions() {
    let mut stage = stage();
    let mut admission = |expression: &str, wanted: &[&str], unwanted: &[&str]| {
        let text = with("\"variables.large.size() == 0\"", &format!("\"{expression}"));
        offers(&mut stage, &text, wanted, unwanted)
    };
    admission(
        "¦",
        &["object", "request", "params", "pod", "variables", "quantity"],
        &["call", "facts", "isOpaque"],
    );
    admission("object.¦", &["spec", "metadata"], &["startsWith", "containers"]);
    admission("object.spec.con¦", &["containers"], &["metadata"]);
    admission("params.¦", &["memory"], &["large"]);
    admission("variables.¦", &["large"], &["memory"]);
    admission("variables.large.all(c, c.¦", &["image", "securityContext"], &["spec"]);
    admission("pod.¦", &["allContainers", "mainContainers"], &["spec"]);
    let items = admission("object.metadata.name.¦", &["startsWith", "matches", "size"], &["spec", "all"]);
    let item = items.iter().find(|item| item["label"] == "startsWith").unwrap();
    assert_eq!(item["detail"], "string.startsWith(string): bool");
    admission("pod.mainContainers.¦", &["all", "exists", "map", "size"], &["startsWith"]);
    admission("pod.mainContainers.all(c, ¦", &["c", "object"], &[]);
    admission("object.metadata.name == 'te¦", &[], &["object", "spec"]);
    let mut tools = |expression: &str, wanted: &[&str], unwanted: &[&str]| {
        offers(
            &mut stage,
            &with("\"facts.shell.onlyRuns(['ls'])\"", &format!("\"{expression}\"")),
            wanted,
            unwanted,
        )
    };
    tools("¦", &["call", "subject", "session", "facts", "now"], &["object"]);
    tools("call.args.¦", &["command"], &["tool"]);
    tools("call.args.command.¦", &["startsWith"], &["command"]);
    tools("session.counters.¦", &["calls"], &["memory"]);
    tools("facts.commands.exists(c, c.¦)", &["name", "args"], &["commands"]);
    tools("facts.shell.only¦Runs(['ls'])", &["onlyRuns"], &[]);
}

#[test]
fn what_is_chosen_is_what_was_meant() {
    let mut stage = stage();
    let mut choose = |marked: &str, label: &str, expected: &str| {
        let text = marked.replace(CURSOR, "");
        let items = stage.completed(marked);
        let item =
            items.iter().find(|item| item["label"] == label).unwrap_or_else(|| panic!("{label}: {items:?}"));
        let done = applied(&text, std::slice::from_ref(&item["textEdit"]));
        assert!(done.contains(expected), "{done}");
        stage.change("pack.yaml", &done)
    };
    let found = choose(&with("pool: warm", "pool: w¦"), "warm", "    pool: warm\n");
    assert_eq!(codes(&found), [] as [&str; 0]);
    let found = choose(&with("\"${memory}\"", "¦"), "${memory}", "memory: \"${memory}\", processes");
    assert_eq!(codes(&found), [] as [&str; 0]);
    let found = choose(&with("large.size()", "large.si¦()"), "size", "variables.large.size() == 0");
    assert_eq!(codes(&found), [] as [&str; 0]);
    choose(&format!("{PACK}  net¦\n"), "network", "\n  network:\n    ");
    choose(&format!("{PACK}  network:\n    eg¦\n"), "egress", "\n    egress:\n    - ");
    choose(&with("syscalls: {profile: Shell}", "syscalls: {¦}"), "profile", "syscalls: {profile: }");
}

#[test]
fn it_works_in_other_line_ends_other_alphabets_and_beside_what_is_broken() {
    let mut stage = stage();
    let broken = "  network:\n    egress:\n    - name: [oops\n      to: {cidr: \"\n";
    let text = with("pool: warm", "pool: ¦").replace("What a call", "ä😀") + broken;
    offers(&mut stage, &text, &["warm"], &[]);
    offers(&mut stage, &text.replace('\n', "\r\n"), &["warm"], &[]);
    offers(&mut stage, &format!("\u{feff}{text}"), &["warm"], &[]);
    offers(&mut stage, &with("== 0\"", "== 0 && object.metadata.name != '😀' && object.¦\""), &["spec"], &[]);
}

#[test]
fn names_come_from_the_other_files_too() {
    let mut stage = Stage::new();
    stage.write("rego/rules.rego", "package x\n");
    let head =
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: sample-1.0.0}\nspec:\n";
    stage.write("more.yaml", &format!("{head}  network:\n    egress:\n    - {{name: index, to: {{cidr: 192.0.2.0/24}}, ports: [{{port: 443}}]}}\n"));
    stage.open("pack.yaml", PACK);
    offers(
        &mut stage,
        &with("pool: warm\n", "pool: warm\n    network: {egress: [¦]}\n"),
        &["index"],
        &["shell"],
    );
    let rego = with(
        "      validations:\n      - {expression: \"variables.large.size() == 0\", message: too large}\n",
        "      rego: {file: ¦}\n",
    );
    offers(&mut stage, &rego, &["rules.rego"], &[]);
    let test = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n  - name: a\n    toolCall: {tool: ¦}\n";
    let text = test.replace(CURSOR, "");
    stage.open("tests/a.yaml", &text);
    let items = stage.at("textDocument/completion", "tests/a.yaml", &text, test.find(CURSOR).unwrap());
    let items = items["items"].as_array().unwrap().clone();
    assert!(labels(&items).contains(&"shell.exec"), "{items:?}");
}
