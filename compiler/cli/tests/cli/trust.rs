//! Whether tests can be trusted: what they do not reach, which edits they do not notice, and running them
//! again as files change. Also what a policy says, and where it comes from.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::stage::{Stage, printed, root};

/// A pack of one admission rule and some tool rules.
const PACK: &str = r#"apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {name: small-1.0.0}
spec:
  pack: small
  version: 1.0.0
  pools:
  - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: "4", memory: 4Gi}}
  sandboxes:
  - name: shell
    pool: warm
    filesystem: {readOnly: [/usr, /bin], workspace: {path: /work, size: 1Mi, inodes: 64, lifetime: Session}, proc: Own}
    syscalls: {profile: Shell}
    limits: {wallClock: 1s, cpuTime: 1s, cpus: "1", memory: 64Mi, processes: 4, openFiles: 16, fileSize: 1Mi, output: 1Mi}
  tools:
    definitions:
    - name: shell.exec
      description: Runs a command line.
      input: {type: object, required: [command], additionalProperties: false, properties: {command: {type: string, maxLength: 100}}}
      run: {sandbox: shell, argv: [{value: /bin/sh}, {value: -c}, {value: "--"}, {arg: command}]}
      derive: [{shell: command}]
    rules:
    - {name: all, tools: [shell.exec], allow: {}}
    - {name: no-git, tools: [shell.exec], when: "facts.commands.exists(c, c.name == 'git' && 'push' in c.args)", deny: {}}
  admission:
    rules:
    - name: limits
      match:
        resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE, UPDATE]}]
      validations:
      - expression: >-
          object.spec.hostname == 'a'
          || pod.mainContainers.all(c,
          has(c.workingDir))
      action: Deny
"#;

fn tests(cases: &str) -> String {
    format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  cases:\n{cases}"
    )
}

fn pod(name: &str, spec: &str, expect: &str) -> String {
    format!(
        "  - {{name: {name}, admission: {{object: {{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {spec}}}}}, expect: {expect}}}\n"
    )
}

fn call(name: &str, command: &str, expect: &str) -> String {
    format!(
        "  - {{name: {name}, toolCall: {{tool: shell.exec, args: {{command: {command}}}}}, expect: {expect}}}\n"
    )
}

fn small(stage: &Stage, cases: &[String]) {
    stage.write("packs/small/pack.yaml", PACK);
    stage.write("packs/small/tests/t.yaml", &tests(&cases.concat()));
}

fn json(stage: &Stage, args: &[&str]) -> Value {
    let output = stage.run(args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", printed(&output)))
}

#[test]
fn what_no_test_reaches_is_named_with_its_place() {
    let stage = Stage::new();
    let first = pod("one", "{hostname: a, containers: [{name: c}]}", "{allowed: true}");
    let git = call("git", "git pull", "{effect: Allow}");
    small(&stage, &[first.clone(), git.clone()]);
    let said = printed(&stage.run(&["test", "--coverage", "packs/small"]));
    let (_, coverage) = said.split_once("coverage of ").unwrap_or_else(|| panic!("no coverage: {said}"));
    // The beginning of each line, and a continuation line of the folded text.
    let shown = "packs/small: 3 of 3 rules, 6 of 16 outcomes of boolean expressions\n  \
        packs/small/pack.yaml:24:50 no-git: never true: facts.commands.exists(c, c.name == 'git' && 'push' in c.args)\n  \
        packs/small/pack.yaml:24:75 no-git: never true: c.name == 'git' && 'push' in c.args\n  \
        packs/small/pack.yaml:24:75 no-git: never false: c.name == 'git'\n  \
        packs/small/pack.yaml:24:94 no-git: never true: 'push' in c.args\n  \
        packs/small/pack.yaml:32:11 limits: never false: object.spec.hostname == 'a' || pod.mainContainers.all(c, has(c.workingDir))\n  \
        packs/small/pack.yaml:32:11 limits: never false: object.spec.hostname == 'a'\n  \
        packs/small/pack.yaml:33:14 limits: never evaluated: pod.mainContainers.all(c, has(c.workingDir))\n";
    assert_eq!(coverage, shown);

    // With both outcomes of everything, nothing is missing, and the numbers show it.
    let more = [
        first,
        git,
        pod("two", "{hostname: b, containers: [{name: c, workingDir: /a}]}", "{allowed: true}"),
        pod("three", "{hostname: b, containers: [{name: c}]}", "{allowed: false}"),
        call("push", "git push", "{effect: Deny}"),
        call("other", "ls", "{effect: Allow}"),
    ];
    small(&stage, &more);
    let report = json(&stage, &["test", "--coverage", "--format", "json", "packs/small"]);
    let coverage = &report["packs"][0]["coverage"];
    assert_eq!(coverage["missing"], serde_json::json!([]), "{coverage}");
    assert_eq!(coverage["outcomes"], serde_json::json!({"covered": 16, "total": 16}));
    assert_eq!(coverage["rules"], serde_json::json!({"covered": 3, "total": 3}));
}

#[test]
fn an_edit_that_no_test_notices_is_shown_and_fails() {
    let stage = Stage::new();
    let good = [
        pod("two", "{hostname: b, containers: [{name: c, workingDir: /a}]}", "{allowed: true}"),
        pod("three", "{hostname: b, containers: [{name: c}]}", "{allowed: false}"),
        call("push", "git push", "{effect: Deny, rule: no-git}"),
        call("other", "ls", "{effect: Allow}"),
    ];
    small(&stage, &good);
    let output = stage.run(&["test", "--mutate", "packs/small"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(
        printed(&output).contains("mutation of packs/small: 7 edits, 7 noticed\n"),
        "{}",
        printed(&output)
    );

    // Without the denied case, no test notices that the rule does nothing.
    small(&stage, &[&good[..2], &good[3..]].concat());
    let run = || stage.run(&["test", "--mutate", "packs/small"]);
    let output = run();
    assert_eq!(output.status.code(), Some(5), "{}", printed(&output));
    let shown = "mutation of packs/small: 7 edits, 6 noticed, 1 SURVIVE\n  \
        packs/small/pack.yaml:24:7 tools.rules[no-git] drop\n    \
        - {name: no-git, tools: [shell.exec], when: \"facts.commands.exists(c, c.name == 'git' && 'push' in c.args)\", deny: {}}\n";
    assert!(printed(&output).ends_with(shown), "{}", printed(&output));
    assert_eq!(run().stdout, output.stdout, "another run says something else");

    // A reason is enough; a reason that is not needed is an error.
    stage.write("packs/small/tests/survivors.txt", "# why\ntools.rules[no-git] drop: it is a test\n");
    assert_eq!(run().status.code(), Some(0), "{}", printed(&run()));
    stage.write(
        "packs/small/tests/survivors.txt",
        "tools.rules[no-git] drop: it is a test\ntools.rules[all] drop: so is this\n",
    );
    let output = run();
    assert_eq!(output.status.code(), Some(5));
    assert!(
        printed(&output).contains("`tools.rules[all] drop` does not survive; take the entry out"),
        "{}",
        printed(&output)
    );
    let report = json(&stage, &["test", "--mutate", "--format", "json", "packs/small"]);
    assert_eq!(report["packs"][0]["mutation"]["stale"], serde_json::json!(["tools.rules[all] drop"]));
    stage.write("packs/small/tests/survivors.txt", "tools.rules[all] drop\n");
    assert_eq!(run().status.code(), Some(1), "a reason is missing");

    // Running out of time is not success.
    stage.write("packs/small/tests/survivors.txt", "");
    small(&stage, &good);
    let output = stage.run(&["test", "--mutate", "--mutate-seconds", "0", "packs/small"]);
    assert_eq!(output.status.code(), Some(6), "{}", printed(&output));
    assert!(printed(&output).contains("7 not tried"), "{}", printed(&output));
}

/// The tests of every shipped pack notice every edit of it, or give a reason.
#[test]
fn the_tests_of_the_shipped_packs_notice_every_edit() {
    let stage = Stage::new();
    let packs = std::fs::read_dir(root().join("policy-packs")).expect("the packs");
    let packs = packs.map(|entry| format!("policy-packs/{}", entry.expect("a pack").file_name().display()));
    let args: Vec<String> = ["test", "--mutate"].map(str::to_owned).into_iter().chain(packs).collect();
    assert!(args.len() >= 5, "{args:?}");
    let output = stage.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert_eq!(printed(&output).matches("mutation of ").count(), args.len() - 2);
}

#[test]
fn a_new_pack_has_nothing_that_no_test_notices() {
    let stage = Stage::new();
    for (name, args) in [("alone", &[][..]), ("child", &["--extends", "restricted-agent"])] {
        let folder = format!("policy-packs/{name}");
        assert!(stage.run(&[&["init", folder.as_str()], args].concat()).status.success());
        let output = stage.run(&["test", "--mutate", "--coverage", &folder]);
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        assert!(!printed(&output).contains(" never "), "{}", printed(&output));
    }
}

/// Longest wait for a run of the tests of a small pack.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_change_runs_the_tests_again() {
    watched("packs/small");
}

#[test]
fn a_change_runs_the_tests_next_to_a_file_again() {
    watched("packs/small/pack.yaml");
}

fn watched(pack: &str) {
    let stage = Stage::new();
    small(&stage, &[call("other", "ls", "{effect: Allow}")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(["test", "--watch", pack, "--format", "human"])
        // A report among the watched files does not count as a change.
        .args(["--format", "junit", "--output", "packs/small/tests.xml"])
        .current_dir(stage.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let (send, lines) = mpsc::channel();
    let reader = BufReader::new(child.stdout.take().expect("a pipe"));
    std::thread::spawn(move || reader.lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let runs = std::cell::Cell::new(0);
    let wait_for = |wanted: &str| {
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            runs.set(runs.get() + usize::from(line.ends_with(" failed")));
            if line == wanted {
                return true;
            }
        }
        false
    };
    let first = wait_for("1 passed, 0 failed");
    // Time for a second run, which must not happen.
    std::thread::sleep(Duration::from_secs(1));
    runs.set(runs.get() + lines.try_iter().filter(|line| line.ends_with(" failed")).count());
    assert_eq!(runs.get(), 1, "it runs again for its own report");
    small(&stage, &[call("other", "ls", "{effect: Deny}")]);
    let second = wait_for("0 passed, 1 failed");
    // A half-written file ends nothing.
    stage.write("packs/small/tests/t.yaml", "spec: [\n");
    small(&stage, &[call("other", "ls", "{effect: Allow}"), call("more", "ls", "{effect: Allow}")]);
    let third = wait_for("2 passed, 0 failed");
    child.kill().expect("it can be ended");
    let _ = child.wait();
    assert!(first && second && third, "{first} {second} {third}");
}

#[test]
fn a_statement_is_explained_with_its_origin() {
    let stage = Stage::new();
    let pack = "policy-packs/code-interpreter";
    let all = printed(&stage.run(&["explain", "--effective", pack]));
    for says in [
        "effective policy of code-interpreter@0.2.0, restricted-agent@0.2.0\n",
        "  from code-interpreter@0.2.0 spec.subjects (policy-packs/code-interpreter/pack.yaml:",
        "  from restricted-agent@0.2.0 spec.isolation.podSecurity (policy-packs/restricted-agent/pack.yaml:12:18)\n",
        "\nadmission/code-interpreter@0.2.0/memory-ceiling\n",
    ] {
        assert!(all.contains(says), "`{says}` is not in {all}");
    }
    let one = printed(&stage.run(&["explain", "memory-limits", pack]));
    for says in [
        "admission/restricted-agent@0.2.0/memory-limits\n",
        "  enforced fully by webhook\n",
        "    podTemplates: true\n",
        "remedy: set resources.limits.memory",
    ] {
        assert!(one.contains(says), "`{says}` is not in {one}");
    }
    assert!(!one.contains("memory-ceiling"), "{one}");
    let report = json(&stage, &["explain", "--format", "json", "network", pack]);
    let ids: Vec<&str> = report["statements"]
        .as_array()
        .expect("statements")
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert!(ids.len() >= 4 && ids.iter().all(|id| id.starts_with("network")), "{ids:?}");
    let from = &report["statements"][0]["from"][0];
    assert_eq!(
        (&from["file"], from["line"].is_u64()),
        (&"policy-packs/code-interpreter/pack.yaml".into(), true)
    );
    for (args, ends, says) in [
        (
            &["explain", "no-such-rule", pack][..],
            1,
            "no statement `no-such-rule` in the effective policy; there are ",
        ),
        (&["explain", "no-such-rule"], 1, "A rule is explained with its pack"),
        (&["explain", "--effective"], 2, "CODE|RULE|PACK"),
        (&["explain"], 2, "CODE|RULE|PACK"),
    ] {
        let output = stage.run(args);
        assert_eq!(output.status.code(), Some(ends), "{}", printed(&output));
        assert!(printed(&output).contains(says), "{}", printed(&output));
    }
}

#[test]
fn parts_of_what_redacts_a_result_are_covered_and_explained() {
    let stage = Stage::new();
    let redacts = "    - {name: keys, tools: [shell.exec], phase: Result, transform: {result: \"result.stdout == 'key' ? {'stdout': '***'} : {'stdout': result.stdout}\"}}\n  admission:\n";
    stage.write("packs/small/pack.yaml", &PACK.replace("  admission:\n", redacts));
    let ran = |stdout: &str| {
        let of = "toolCall: {tool: shell.exec, args: {command: ls}";
        format!(
            "  - {{name: r{stdout}, {of}, result: {{exitCode: 0, stdout: {stdout}}}}}, expect: {{delivered: {{stdout: '{}'}}}}}}\n",
            if stdout == "key" { "***" } else { stdout }
        )
    };
    let missing = |cases: &[String]| {
        stage.write("packs/small/tests/t.yaml", &tests(&cases.concat()));
        let said = printed(&stage.run(&["test", "--coverage", "packs/small"]));
        assert!(said.contains(" 0 failed"), "{said}");
        said.lines().filter(|line| line.contains(" keys: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let never = missing(&[ran("other")]);
    assert!(never.len() == 1 && never[0].contains("never true: result.stdout == 'key'"), "{never:?}");
    assert_eq!(missing(&[ran("other"), ran("key")]), Vec::<String>::new());
}

#[test]
fn a_case_whose_expectations_no_edit_breaks_is_vacuous() {
    let stage = Stage::new();
    // Without the rule the messages differ, but the case checks none of them.
    let twice = "    - {name: no-push, tools: [shell.exec], when: \"facts.commands.exists(c, c.name == 'git' && 'push' in c.args)\", deny: {}}\n  admission:\n";
    stage.write("packs/small/pack.yaml", &PACK.replace("  admission:\n", twice));
    stage.write("packs/small/tests/t.yaml", &tests(&call("push", "git push", "{effect: Deny}")));
    let output = stage.run(&["test", "packs/small"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(printed(&output).contains("vacuous"), "{}", printed(&output));
    stage.write(
        "packs/small/tests/t.yaml",
        &tests(&call("push", "git push", "{effect: Deny, rule: no-push}")),
    );
    let output = stage.run(&["test", "packs/small"]);
    assert!(output.status.success(), "{}", printed(&output));
}
