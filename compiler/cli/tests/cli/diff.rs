//! `bailiwick diff`: its exit codes, its output in each format, and that its witnesses are cases that
//! `bailiwick test` runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stage::{Stage, printed, root};

const OLD: &str = "policy-packs/code-interpreter";
const NEW: &str = "next/code-interpreter";

/// The shipped pack, and next to it a copy with some edits.
fn stage(edits: &[(&str, &str)]) -> Stage {
    let stage = Stage::new();
    let copied = stage.shell(&format!("mkdir next && cp -r {OLD} next/ && ls next"));
    assert!(copied.status.success(), "{}", printed(&copied));
    let mut text = std::fs::read_to_string(stage.path(&format!("{OLD}/pack.yaml"))).expect("the pack");
    for (from, to) in edits {
        assert!(text.contains(from), "the pack has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    stage.write(&format!("{NEW}/pack.yaml"), &text);
    stage
}

fn diff(stage: &Stage, args: &[&str]) -> std::process::Output {
    stage.run(&[&["diff", "--library", "policy-packs", OLD, NEW], args].concat())
}

/// Wider in tools and limits, narrower in files.
const MIXED: &[(&str, &str)] = &[
    ("'wc', 'grep'", "'wc', 'grep', 'curl'"),
    ("memory: 512Mi", "memory: 768Mi"),
    ("readOnly: [/usr, /lib, /lib64, /bin]", "readOnly: [/usr, /lib, /bin]"),
];

#[test]
fn the_end_is_that_of_fail_on() {
    let stage = stage(MIXED);
    let code = |args: &[&str]| diff(&stage, args).status.code();
    assert_eq!(code(&[]), Some(0));
    for way in ["widened", "narrowed", "any"] {
        assert_eq!(code(&["--fail-on", way]), Some(3), "{way}");
    }
    assert_eq!(code(&["--fail-on", "wider"]), Some(2));
    let same = stage.run(&["diff", OLD, OLD, "--fail-on", "any"]);
    assert_eq!(same.status.code(), Some(0), "{}", printed(&same));
    assert!(printed(&same).ends_with(": 0 widened, 0 changed, 0 narrowed\n"), "{}", printed(&same));
    assert_eq!(stage.run(&["diff", OLD, "nowhere"]).status.code(), Some(1));
    stage.write("typo/pack.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nspec: {pak: x}\n");
    assert_eq!(stage.run(&["diff", OLD, "typo"]).status.code(), Some(3));
}

#[test]
fn only_what_is_wider_fails_on_widened() {
    let stage = stage(&[("'wc', 'grep'", "'wc'")]);
    assert_eq!(diff(&stage, &["--fail-on", "widened"]).status.code(), Some(0));
    assert_eq!(diff(&stage, &["--fail-on", "narrowed"]).status.code(), Some(3));
}

/// A rule that only records changes no call; from the day it takes effect, it does.
#[test]
fn a_rule_in_shadow_is_no_difference_until_it_has_an_effect() {
    let rule = |mode: &str| {
        let cat = "facts.commands.exists(c, c.name == 'cat')";
        format!(
            "    rules:\n    - {{name: no-cat, tools: [shell.exec], mode: {mode}, when: \"{cat}\", deny: {{}}}}\n"
        )
    };
    let (shadow, enforced) = (rule("Shadow"), rule("Enforce"));
    let with_shadow = stage(&[("    rules:\n", &shadow)]);
    let said = printed(&diff(&with_shadow, &["--fail-on", "any"]));
    assert!(said.ends_with(": 0 widened, 0 changed, 0 narrowed\n"), "{said}");
    let with_effect = stage(&[("    rules:\n", &enforced)]);
    let output = diff(&with_effect, &["--fail-on", "narrowed"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        printed(&output).contains("  - tool `shell.exec`: calls that ran are denied"),
        "{}",
        printed(&output)
    );
    // From one to the other, as that day comes.
    with_effect.write(
        "shadowed/code-interpreter/pack.yaml",
        &std::fs::read_to_string(with_shadow.path(&format!("{NEW}/pack.yaml"))).expect("the pack"),
    );
    let output = with_effect.run(&[
        "diff",
        "--library",
        "policy-packs",
        "shadowed/code-interpreter",
        NEW,
        "--fail-on",
        "narrowed",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
}

#[test]
fn calls_that_rules_narrow_or_give_other_arguments_are_told() {
    let quiet = "  sandboxes:\n  - {name: quiet, pool: warm, filesystem: {readOnly: [/usr, /lib, /lib64, /bin], workspace: {path: /work, size: \"${workspaceSize}\", inodes: 4096, lifetime: Session}, proc: Own}, network: {egress: []}, syscalls: {profile: Shell}, \
        limits: {wallClock: 5s, cpuTime: 5s, cpus: \"1\", memory: 128Mi, processes: 16, openFiles: 64, fileSize: 1Mi, output: 64Ki}, environment: [{name: LANG, value: C.UTF-8}]}\n";
    let rules = "    rules:\n    - {name: quieter, tools: [shell.exec], narrow: {sandbox: quiet}}\n    \
        - {name: whole, tools: [shell.exec], when: \"call.args.command == 'make'\", ask: {approvers: oncall}, transform: {args: \"{'command': 'make all'}\"}}\n";
    let stage = stage(&[("  sandboxes:\n", quiet), ("    rules:\n", rules)]);
    let said = printed(&diff(&stage, &[]));
    for line in [
        "  - tool `shell.exec`: calls run in another sandbox",
        "  - tool `shell.exec`: people approve calls in another sandbox",
        "  ~ tool `shell.exec`: people approve other arguments",
    ] {
        assert!(said.lines().any(|one| one == line), "no line `{line}`:\n{said}");
    }
}

/// The guide's pack and the same with some lines removed or replaced; returns their comparison in both
/// directions.
fn notes(edits: &[(&str, &str)]) -> (Stage, [Value; 2]) {
    let stage = Stage::new();
    let mut text = std::fs::read_to_string(stage.path("docs/guide/tool-calls/pack.yaml")).expect("the pack");
    for (from, to) in edits {
        assert!(text.contains(from), "the pack has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    stage.write("next/notes/pack.yaml", &text);
    let compared = |old: &str, new: &str| -> Value {
        let output = stage.run(&["diff", old, new, "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", printed(&output)))
    };
    let both =
        [compared("docs/guide/tool-calls", "next/notes"), compared("next/notes", "docs/guide/tool-calls")];
    (stage, both)
}

/// What is reported, each with its direction.
fn told(report: &Value) -> BTreeSet<String> {
    let changes = report["changes"].as_array().expect("changes").iter();
    let word = |change: &Value, name: &str| change[name].as_str().expect(name).to_owned();
    changes.map(|change| format!("{} {}", word(change, "direction"), word(change, "what"))).collect()
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn who_is_told_of_a_tool_is_compared() {
    let rule = "    - {name: not-for-crawlers, tools: [mail.send], phase: List, when: \"subject.agent == 'crawler'\", deny: {}}\n";
    let (_, [without, with]) = notes(&[(rule, "")]);
    assert_eq!(told(&without), set(&["widened tool `mail.send`: callers are told of it that were not"]));
    assert_eq!(told(&with), set(&["narrowed tool `mail.send`: callers are not told of it that were"]));
    let witness = &with["changes"][0]["witness"]["case"];
    assert_eq!(witness["toolCall"]["subject"]["agent"], "crawler", "{with:#}");
    assert_eq!(witness["expect"], json!({"listed": false}));
    let bounds = with["bounds"].to_string();
    assert!(bounds.contains("listings"), "{bounds}");
}

#[test]
fn what_is_delivered_of_results_is_compared() {
    let deny = "result.stdout.contains('PRIVATE KEY') || result.content.contains('PRIVATE KEY')";
    let (_, [fewer, more]) = notes(&[(deny, "result.content.contains('PRIVATE KEY')")]);
    let (widened, narrowed) =
        ("results that were withheld are delivered", "results that were delivered are withheld");
    for (report, direction, what) in [(&fewer, "widened", widened), (&more, "narrowed", narrowed)] {
        let told = told(report);
        for tool in ["shell.exec", "mail.send"] {
            assert!(told.contains(&format!("{direction} tool `{tool}`: {what}")), "{tool}: {report:#}");
        }
        assert!(told.iter().all(|line| line.starts_with(direction)), "{report:#}");
    }
    let token = "    - {name: no-tokens, tools: [shell.exec], phase: Result, transform: {result: \"{'stdout': result.stdout.replace(params.token, '***')}\"}}\n";
    let (stage, [without, with]) = notes(&[(token, "")]);
    assert!(
        told(&without)
            .contains("widened tool `shell.exec`: results are delivered as they are that were redacted"),
        "{without:#}"
    );
    assert!(
        told(&with)
            .contains("narrowed tool `shell.exec`: results are redacted that were delivered as they are"),
        "{with:#}"
    );
    let other = notes(&[("params.token, '***'", "params.token, '###'")]).1;
    assert_eq!(
        told(&other[0]),
        set(&["changed tool `shell.exec`: results are redacted otherwise"]),
        "{:#}",
        other[0]
    );
    // A witness is a case that the new pack's tests can adopt.
    let changes = with["changes"].as_array().expect("changes");
    let mut cases: Vec<Value> = changes.iter().map(|change| change["witness"]["case"].clone()).collect();
    cases.iter_mut().enumerate().for_each(|(at, case)| case["name"] = json!(format!("witness {at}")));
    let file = json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyTest", "metadata": {"name": "taken"}, "spec": {"cases": cases},
    });
    stage.write("docs/guide/tool-calls/tests/taken.yaml", &file.to_string());
    let tested = stage.run(&["test", "docs/guide/tool-calls"]);
    assert_eq!(tested.status.code(), Some(0), "{}", printed(&tested));
}

#[test]
fn labels_that_results_add_are_compared() {
    let (_, [fewer, more]) = notes(&[("'CONFIDENTIAL') || result.dropped > 0", "'CONFIDENTIAL')")]);
    assert!(
        told(&fewer).contains("widened tool `shell.exec`: results add fewer labels to their session"),
        "{fewer:#}"
    );
    assert!(
        told(&more).contains("narrowed tool `shell.exec`: results add more labels to their session"),
        "{more:#}"
    );
}

#[test]
fn the_text_names_the_witness_and_both_verdicts_the_same_each_time() {
    let stage = stage(MIXED);
    let said = printed(&diff(&stage, &[]));
    for line in [
        "  + tool `shell.exec`: calls run that people had to approve",
        "  - sandbox `shell`: read `/lib64` and below",
        "  + sandboxes.shell.limits.memory",
        "      witness: 805306368 bytes of sandboxes.shell.limits.memory",
        "      old: denied: the limit is 536870912 bytes",
        "      new: allowed: the limit is 805306368 bytes",
    ] {
        assert!(said.lines().any(|one| one == line), "no line `{line}`:\n{said}");
    }
    assert!(
        said.contains("witness: toolCall {\"args\":{\"command\":\"curl\"},\"tool\":\"shell.exec\"}"),
        "{said}"
    );
    assert!(said.contains("bounded: tools: `shell.exec`: "), "{said}");
    assert_eq!(said, printed(&diff(&stage, &[])));
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

/// The members of a report, except those of cases, which belong to PolicyTest.
fn members(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                into.insert(name.clone());
                if name != "case" {
                    members(value, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, into)),
        _ => {}
    }
}

/// Each witness, as a case of a test, passes under the new pack and fails under the old one.
#[test]
fn witnesses_are_cases_that_the_packs_tests_can_take_over() {
    let more = [
        ("default: 192.0.2.0/28, enum: [192.0.2.0/28,", "default: 192.0.2.0/27, enum: [192.0.2.0/27,"),
        ("remove: [socket]", "remove: [socket, kill]"),
        ("digest: Required", "digest: Any"),
    ];
    let stage = stage(&[MIXED, &more].concat());
    let output = diff(&stage, &["--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let changes = report["changes"].as_array().expect("changes");
    let page = std::fs::read_to_string(root().join("docs/formats/json.md")).expect("docs/formats/json.md");
    let mut seen = BTreeSet::new();
    members(&report, &mut seen);
    for member in &seen {
        let (alone, within) = (format!("`{member}`"), format!(".{member}`"));
        assert!(page.contains(&alone) || page.contains(&within), "docs/formats/json.md lacks `{member}`");
    }
    assert!(seen.contains("verdict") && seen.contains("amount") && report["version"] == 1, "{seen:?}");
    let layers: BTreeSet<&str> =
        changes.iter().map(|change| change["layer"].as_str().expect("a layer")).collect();
    for layer in ["images", "tools", "network", "filesystem", "syscalls", "limits"] {
        assert!(layers.contains(layer), "{layer}: {report:#}");
    }
    let cases: Vec<Value> = changes
        .iter()
        .filter_map(|change| change["witness"].get("case").cloned())
        .enumerate()
        .map(|(at, mut case)| {
            case["name"] = json!(format!("witness {at}"));
            case
        })
        .collect();
    assert!(cases.len() >= 5, "{report:#}");
    let test = json!({"apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyTest", "metadata": {"name": "w"}, "spec": {"cases": cases}});
    for pack in [OLD, NEW] {
        assert!(stage.shell(&format!("rm {pack}/tests/*.yaml")).status.success());
        stage.write(&format!("{pack}/tests/witnesses.yaml"), &test.to_string());
    }
    let new = stage.run(&["test", "--library", "policy-packs", NEW]);
    assert_eq!(new.status.code(), Some(0), "{}", printed(&new));
    let old = printed(&stage.run(&["test", OLD]));
    assert!(old.contains("\n0 passed"), "{old}");
}

#[test]
fn a_comment_holds_nothing_of_a_pack_outside_of_code() {
    let stage = stage(&[
        ("name: read-only-shell", "name: read-only-shell\n      # renamed"),
        ("'wc', 'grep'", "'wc', 'grep', '```@everyone<b>'"),
    ]);
    let output = diff(&stage, &["--format", "comment"]);
    let comment = printed(&output);
    assert!(comment.starts_with("### What this change of the policy permits\n"), "{comment}");
    // Everything outside code spans and blocks.
    let mut outside = String::new();
    let mut fence: Option<String> = None;
    for line in comment.lines() {
        let line = line.trim();
        match &fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if line.starts_with("```") && !line.contains(' ') => fence = Some(line.to_owned()),
            None => outside.push_str(&format!("{line}\n")),
        }
    }
    assert!(fence.is_none(), "{comment}");
    assert!(comment.contains("@everyone<b>"), "{comment}");
    assert!(!outside.contains("@everyone") && !outside.contains("<b>"), "{outside}");
}

#[test]
fn a_bundle_is_compared_as_its_pack_is() {
    let stage = stage(&[]);
    assert!(stage.run(&["compile", OLD, "--out", "dist"]).status.success());
    let said = stage.shell(&format!("bailiwick diff dist/*/bundle.json {OLD} --fail-on any"));
    assert_eq!(said.status.code(), Some(0), "{}", printed(&said));
}

/// The conditions of a Rego module cannot be read from it. A change is found by the objects of the tests, and
/// reported as bounded where those do not show it.
#[test]
fn a_changed_module_of_rego_is_never_no_difference() {
    const PACK: &str = "docs/guide/rego";
    let stage = Stage::new();
    let copied = stage.shell(&format!("mkdir next && cp -r {PACK} next/"));
    assert!(copied.status.success(), "{}", printed(&copied));
    let module =
        std::fs::read_to_string(stage.path(&format!("{PACK}/rego/images.rego"))).expect("the module");
    let asked = |from: &str, to: &str| {
        assert!(module.contains(from), "the module has no `{from}`");
        stage.write("next/rego/rego/images.rego", &module.replacen(from, to, 1));
        let ended = stage.run(&["diff", "--fail-on", "widened", PACK, "next/rego"]);
        (ended.status.code(), printed(&ended))
    };
    let (code, text) = asked("not from_a_registry(container.image)", "container.image == \"never\"");
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("from-our-registries") && text.contains("docker.io/app:1.2"), "{text}");
    // None of the tests' objects has such an image.
    let (_, text) = asked(
        "not from_a_registry(container.image)",
        "not from_a_registry(container.image)\n\tcontainer.image != \"x\"",
    );
    assert!(text.contains("rules in Rego differ"), "{text}");
}

/// A pack that governs fewer pods denies less, whatever it denies: here only a node.
#[test]
fn a_rule_that_asks_the_authorizer_is_compared_by_both_answers() {
    let stage = Stage::empty();
    let pack = |rules: &str| {
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: asks-1.0.0}}\nspec:\n  pack: asks\n  version: 1.0.0\n  \
             subjects: {{namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}, unmatched: Deny}}\n  admission: {{rules: [{rules}]}}\n"
        )
    };
    let rule = |condition: &str| {
        format!(
            "{{name: asks, match: {{resources: [{{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}, \
             validations: [{{expression: \"{condition}\"}}]}}"
        )
    };
    let may = "authorizer.group('').resource('secrets').namespace(request.namespace).check('list').allowed()";
    stage.write("one/asks/pack.yaml", &pack(&rule(may)));
    // Only callers without the permission; then no question to the authorizer at all.
    for (name, other, way, allowed) in
        [("two", rule(&format!("!{may}")), "widened", false), ("three", String::new(), "widened", false)]
    {
        stage.write(&format!("{name}/asks/pack.yaml"), &pack(&other));
        let output =
            stage.run(&["diff", "one/asks", &format!("{name}/asks"), "--fail-on", way, "--format", "json"]);
        assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
        let said = printed(&output);
        assert!(
            said.contains(&format!(r#""authorizer":[{{"allowed":{allowed}}}]"#))
                || said.contains(r#""authorizer": ["#),
            "{said}"
        );
        assert!(said.contains("the authorizer said yes to all or no to all"), "{said}");
    }
}

#[test]
fn a_narrower_subject_is_wider() {
    let pack = |labels: &str| {
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: p-1.0.0}}\nspec:\n  pack: p\n  version: 1.0.0\n  \
             subjects: {{namespaces: {{selector: {{matchLabels: {{zone: a}}}}}}, pods: {{matchLabels: {labels}}}}}\n  \
             admission:\n    rules:\n    - name: no-nodes\n      match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}\n      \
             validations: [{{expression: \"!has(object.spec.nodeName)\", message: no node}}]\n"
        )
    };
    let stage = Stage::new();
    stage.write("old/pack.yaml", &pack("{app: a}"));
    stage.write("new/pack.yaml", &pack("{app: a, tier: b}"));
    let output = stage.run(&["diff", "old", "new", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let widened = report["changes"].as_array().expect("changes").iter().find(|change| {
        change["direction"] == "widened" && change["old"]["rules"].to_string().contains("no-nodes")
    });
    let case = &widened.unwrap_or_else(|| panic!("{report:#}"))["witness"]["case"]["admission"];
    assert!(!case["object"]["spec"]["nodeName"].is_null(), "{case:#}");
    assert!(case["object"]["metadata"]["labels"]["tier"].is_null(), "{case:#}");
}

/// Files of a workspace are judged by their paths, which no definition of a pack declares.
#[test]
fn a_rule_about_files_of_the_workspace_is_compared_by_paths() {
    let stage = stage(&[(
        "    rules:\n    - {name: run-python",
        "    rules:\n    - {name: no-secrets, tools: [workspace.read], when: \"facts.path.inWorkspace == 'secret'\", deny: {}}\n    - {name: run-python",
    )]);
    let said = printed(&diff(&stage, &[]));
    assert!(said.contains("no-secrets") && said.contains("\"path\":\"secret\""), "{said}");
}
