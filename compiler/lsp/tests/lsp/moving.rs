//! Hover, definitions, references.

use bailiwick_lsp::position::Lines;
use serde_json::{Value, json};

use crate::stage::{PACK, Stage};

/// The text of each place in an answer, with the file's name and the line.
fn places(stage: &Stage, answer: &Value) -> Vec<String> {
    let one = |location: &Value| {
        let uri = location["uri"].as_str().unwrap();
        let name = uri.rsplit('/').next().unwrap().to_owned();
        let text = if name == "pack.yaml" {
            PACK.to_owned()
        } else {
            std::fs::read_to_string(stage.path(&format!("tests/{name}"))).unwrap_or_default()
        };
        let range: lsp_types::Range = serde_json::from_value(location["range"].clone()).unwrap();
        let bytes = Lines::of(&text).bytes(&text, range);
        format!("{name}:{} {}", range.start.line + 1, &text[bytes])
    };
    answer.as_array().unwrap().iter().map(one).collect()
}

fn line(needle: &str) -> usize {
    PACK.lines().position(|line| line.contains(needle)).unwrap() + 1
}

fn within(context: &str, word: &str) -> usize {
    let start = PACK.find(context).unwrap_or_else(|| panic!("{context}"));
    start + context.find(word).unwrap() + 1
}

#[test]
fn from_a_name_to_its_declaration() {
    let mut stage = Stage::new();
    stage.open("pack.yaml", PACK);
    for (context, word, declared) in [
        ("pool: warm", "warm", format!("pack.yaml:{} warm", line("name: warm"))),
        ("run: {sandbox: shell", "shell", format!("pack.yaml:{} shell", line("- name: shell"))),
        ("memory: \"${memory}\"", "${memory}", format!("pack.yaml:{} memory", line("name: memory,"))),
        ("[shell.exec], when", "shell.exec", format!("pack.yaml:{} shell.exec", line("name: shell.exec"))),
        ("counter: calls", "calls", format!("pack.yaml:{} calls", line("counters:"))),
        ("{arg: command}]", "command", format!("pack.yaml:{} command", line("properties: {command"))),
        ("variables.large.size", "large", format!("pack.yaml:{} large", line("{name: large"))),
    ] {
        let answer = stage.at("textDocument/definition", "pack.yaml", PACK, within(context, word));
        assert_eq!(places(&stage, &answer), [declared], "{context}");
    }
    let none = stage.at("textDocument/definition", "pack.yaml", PACK, within("version: 1.0.0", "1.0"));
    assert_eq!(none, json!([]));
}

#[test]
fn from_a_test_and_to_other_files() {
    let mut stage = Stage::new();
    let test = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n  - {name: a, toolCall: {tool: shell.exec, args: {command: ls}}, expect: {effect: Allow, rule: listing}}\n";
    stage.write("tests/a.yaml", test);
    stage.write("rego/rules.rego", "package x\n");
    stage.write("../base/pack.yaml", &PACK.replace("sample", "base"));
    stage.open("pack.yaml", PACK);
    stage.open("tests/a.yaml", test);
    let to = |stage: &mut Stage, needle: &str| {
        let answer =
            stage.at("textDocument/definition", "tests/a.yaml", test, test.find(needle).unwrap() + 1);
        places(stage, &answer)
    };
    assert_eq!(to(&mut stage, "shell.exec"), [format!("pack.yaml:{} shell.exec", line("name: shell.exec"))]);
    assert_eq!(to(&mut stage, "listing"), [format!("pack.yaml:{} listing", line("name: listing"))]);
    let more = PACK.replace("  parameters:", "  extends: [{name: base, version: ^1}]\n  parameters:")
        + "    - {name: r, match: {resources: []}, rego: {file: rules.rego, rule: deny}}\n";
    stage.change("pack.yaml", &more);
    for (word, file) in [("base, version", "/base/pack.yaml"), ("rules.rego", "/sample/rego/rules.rego")] {
        let answer = stage.at("textDocument/definition", "pack.yaml", &more, more.find(word).unwrap() + 1);
        let uri = answer[0]["uri"].as_str().unwrap_or_else(|| panic!("{word}: {answer}"));
        assert!(uri.ends_with(file), "{uri}");
    }
}

#[test]
fn from_a_declaration_to_everything_that_names_it() {
    let mut stage = Stage::new();
    let test = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n  - {name: a, toolCall: {tool: shell.exec, args: {command: ls}}, expect: {effect: Allow}}\n";
    stage.write("tests/a.yaml", test);
    stage.open("pack.yaml", PACK);
    let answer =
        stage.at("textDocument/references", "pack.yaml", PACK, within("- name: shell.exec", "shell"));
    let rules = [line("name: listing"), line("name: rate")].map(|at| format!("pack.yaml:{at} shell.exec"));
    let mut expected = vec![format!("pack.yaml:{} shell.exec", line("name: shell.exec"))];
    expected.extend(rules);
    expected.push("a.yaml:6 shell.exec".to_owned());
    let mut found = places(&stage, &answer);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let answer = stage.at("textDocument/references", "pack.yaml", PACK, within("{name: memory", "memory"));
    assert_eq!(places(&stage, &answer).len(), 2, "{answer}");
}

/// Word by word, for a rule of the network, a level and images: what is said is what the artifacts do.
#[test]
fn hover_says_exactly_what_a_line_compiles_to() {
    let mut stage = Stage::new();
    let sections = "  isolation: {podSecurity: {level: Restricted, version: v1.36}}\n  network:\n    egress:\n    - {name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: 443, protocol: TCP}]}\n  images:\n  - {match: [\"registry.example.org/a/**\"], digest: Required}\n  pools:\n";
    let text = PACK.replace("  pools:\n", sections);
    stage.open("pack.yaml", &text);
    let webhook = "\n  - enforced fully by webhook\n  - enforced fully by admissionPolicy: on CREATE as the webhook; on UPDATE a check that the stored object already failed is not asked again; templates of workload kinds are not judged, the pods made of them are";
    for (line, word, expected) in [
        (
            "name: web",
            "web",
            "Compiles to\n- egress to 192.0.2.0/24 at TCP 443 is allowed. (`network/egress/web`)\n  - enforced fully by networkPolicy: where the network plugin enforces NetworkPolicy; traffic from the pod's own node is always let in, connections that stand when the policy is made may go on\n\nin `kubernetes/network-policies.yaml`".to_owned(),
        ),
        (
            "level: Restricted",
            "level",
            format!("Compiles to\n- Each governed pod meets Pod Security level restricted of version v1.36. (`isolation/podSecurity/restricted:v1.36`){webhook}\n  - enforced fully by podSecurityAdmission: by the namespace's labels, unless the API server's configuration exempts a user, namespace or RuntimeClass\n\nin `kubernetes/admission-policies.yaml`, `kubernetes/namespace.yaml`, `kubernetes/pod-template.yaml`, `kubernetes/webhooks.yaml`"),
        ),
        (
            "digest: Required",
            "digest",
            format!("Compiles to\n- Images match one of: registry.example.org/a/**; with a digest where they match: registry.example.org/a/**. (`images/0`){webhook}\n\nin `kubernetes/admission-policies.yaml`, `kubernetes/webhooks.yaml`"),
        ),
    ] {
        let at = text.find(line).unwrap() + line.find(word).unwrap() + 1;
        let answer = stage.at("textDocument/hover", "pack.yaml", &text, at);
        let said = answer["contents"]["value"].as_str().unwrap_or_default();
        assert_eq!(said.rsplit("\n\n---\n\n").next(), Some(expected.as_str()), "{line}: {said}");
    }
}

#[test]
fn hover_says_what_a_field_is_for_which_type_a_part_has_and_what_a_line_compiles_to() {
    let mut stage = Stage::new();
    stage.open("pack.yaml", PACK);
    let mut said = |context: &str, word: &str| -> String {
        let answer = stage.at("textDocument/hover", "pack.yaml", PACK, within(context, word));
        answer["contents"]["value"].as_str().unwrap_or_default().to_owned()
    };
    assert!(said("backend: Native", "backend").contains("**backend**"));
    assert!(said("backend: Native", "Native").starts_with("`Native`: "));
    assert!(said("c.name.size() > 3", "name").contains("c.name: string"));
    assert!(said("variables.large.size", "large").contains("list(Container)"));
    assert!(
        said("large.size() == 0", "size").contains("[A].size(): int")
            || said("large.size() == 0", "size").contains("size(): int")
    );
    assert!(said("onlyRuns(['ls'])", "onlyRuns").contains("onlyRuns(list(string)): bool"));
    let compiled = said("- name: memory-limits", "memory-limits");
    assert!(compiled.contains("Compiles to") && compiled.contains("webhook"), "{compiled}");
    let tools = said("- {name: listing", "listing");
    assert!(tools.contains("Compiles to") && tools.contains("executor"), "{tools}");
    let syscalls = said("syscalls: {profile", "syscalls");
    assert!(syscalls.contains("seccomp/") && syscalls.contains("system calls"), "{syscalls}");
    assert!(!syscalls.contains("of memory"), "its limits are another field: {syscalls}");
    // For a text that does not compile, nothing outdated is shown.
    let broken = PACK.replace("pool: warm", "pool: wram");
    stage.change("pack.yaml", &broken);
    let answer = stage.at("textDocument/hover", "pack.yaml", &broken, broken.find("memory-limits").unwrap());
    assert!(!answer.to_string().contains("Compiles to"), "{answer}");
}
