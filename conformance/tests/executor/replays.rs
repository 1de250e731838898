//! `bailiwick replay` over logs that an executor has written: what would change in a decision under another
//! pack, for calls and for their results.

use std::collections::BTreeSet;
use std::fs;

use bailiwick_conformance::programs::Executor;
use serde_json::{Value, json};

use crate::approvals::{ALICE, ARGS, SUBJECT, approve};
use crate::stage::{Caller, Stage, own_pack, said, stdout};

/// Like `shell`, with less.
const QUIET: &str = r#"  - name: quiet
    pool: warm
    filesystem: {readOnly: [/usr, /lib, /lib64, /bin], workspace: {path: /work, size: 32Mi, inodes: 4096, lifetime: Session}, proc: Own, devices: ["null"]}
    syscalls: {profile: Shell}
    limits: {wallClock: 60s, cpuTime: 1s, cpus: "1", memory: 64Mi, processes: 16, openFiles: 32, fileSize: 1Mi, output: 1Ki}
"#;

/// The rules that decide when the log is written.
const THEN: &str = "    - {name: marks, tools: [shell.exec], when: \"call.args.command.contains('mark')\", label: {add: [secret]}}\n    \
    - {name: no-way-out, tools: [brief.exec], when: \"'secret' in session.labels\", deny: {}}\n    \
    - {name: no-keys, tools: [shell.exec], phase: Result, when: \"result.stdout.contains('hunter2')\", deny: {}}\n    \
    - {name: no-names, tools: [shell.exec], phase: Result, transform: {result: \"{'stdout': result.stdout.replace('dana', '***')}\"}}\n";
/// One more of these rules.
const TELLS: &str = "    - {name: tells, tools: [shell.exec], phase: Result, when: \"result.stdout.contains('leaked')\", label: {add: [secret]}}\n";

/// The pack of these tests with a label, a narrower sandbox and these rules.
fn pack(rules: &str) -> String {
    let text = fs::read_to_string(own_pack()).expect("the pack");
    let text = text.replace("    state:\n", "    state:\n      labels: [{name: secret}]\n");
    let text = text.replace("  tools:\n    definitions:", &format!("{QUIET}  tools:\n    definitions:"));
    assert!(text.contains("name: quiet\n") && text.contains("name: secret"), "the pack has another form");
    format!("{}\n{rules}", text.trim_end())
}

/// The same as another version.
fn later(rules: &str) -> String {
    pack(rules)
        .replace("executor-tests-1.0.0", "executor-tests-1.0.1")
        .replace("version: 1.0.0", "version: 1.0.1")
}

fn stage() -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pack.yaml");
    fs::write(&path, pack(&format!("{THEN}{TELLS}"))).expect("the pack");
    let stage = Stage::new(&path);
    fs::write(stage.path().join("subject.json"), SUBJECT).expect("the subject");
    fs::write(stage.path().join("alice.pem"), ALICE).expect("a key");
    stage
}

/// Makes the calls of the log, with a separate command for each printed word.
fn record(stage: &Stage, executor: &Executor) {
    let mut caller = Caller::new(executor);
    assert_eq!(stdout(&caller.shell("echo plain")), "plain\n");
    assert_eq!(stdout(&caller.shell("echo dana")), "***\n");
    let withheld = caller.shell("echo hunter2");
    assert_eq!(withheld["resultDecision"]["effect"], "Withhold", "{withheld}");
    let (status, asked) = caller.call("asked.run", json!({ "word": "hello" }));
    let id = asked["decision"]["approval"]["id"].as_str().expect("an id").to_owned();
    let (taken, text) = approve(stage, &id, "alice.pem", "alice");
    assert!(status == 202 && taken, "{text}");
    let repeat = json!({ "tool": "asked.run", "args": { "word": "hello" }, "approval": id });
    assert_eq!(caller.send(repeat, "").0, 200);
    caller.shell("echo mark");
    assert_eq!(caller.call("brief.exec", json!({ "command": "true" })).0, 403);
    let mut other = Caller::new(executor);
    other.shell("echo leaked");
    assert_eq!(other.call("brief.exec", json!({ "command": "true" })).0, 403);
}

fn written() -> Stage {
    let stage = stage();
    let executor = stage.start(ARGS);
    record(&stage, &executor);
    assert!(executor.terminate().expect("it ends").success());
    stage
}

/// Replays the log under these rules; returns the exit code and the report.
fn replayed(stage: &Stage, pack: &str) -> (Option<i32>, Value) {
    fs::write(stage.path().join("next.yaml"), pack).expect("the pack");
    let output = stage.bailiwick(&["replay", "--log", "state", "--pack", "next.yaml", "--format", "json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    (output.status.code(), report)
}

/// The rows of the table, without the pack's name.
fn rows(report: &Value) -> BTreeSet<String> {
    let rows = report["changes"].as_array().expect("changes").iter();
    let word = |row: &Value, name: &str| {
        let word = row[name].as_str().expect(name).replace("executor-tests@1.0.0/", "");
        word.replace("executor-tests@1.0.1/", "")
    };
    let line = |row: &Value| {
        let words = ["part", "was", "now", "tool", "rule"].map(|name| word(row, name));
        format!("{} x{}", words.join(" | "), row["count"])
    };
    rows.map(line).collect()
}

fn same(report: &Value, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(rows(report), expected, "{report:#}");
}

#[test]
fn a_replay_says_which_part_of_each_decision_changed() {
    let stage = written();
    // Under the bundle itself every decision is the same: 9 on calls, 5 on results.
    let own = stage.bailiwick(&["replay", "--log", "state", "--pack", "bundle.json"]);
    assert!(said(&own).contains("14 replayed, 14 unchanged, 0 changed, 0 not replayed"), "{}", said(&own));
    // So it is under the same rules in another pack, with another digest, and approvals remain valid.
    let (code, report) = replayed(&stage, &later(&format!("{THEN}{TELLS}")));
    same(&report, &[]);
    assert_eq!((code, &report["replayed"]), (Some(0), &json!(14)), "{report:#}");
    let more = format!(
        "{THEN}    - {{name: quieter, tools: [shell.exec], when: \"call.args.command == 'echo plain'\", narrow: {{sandbox: quiet}}}}\n    \
         - {{name: renamed, tools: [shell.exec], when: \"call.args.command in ['echo mark', 'echo a mark']\", allow: {{}}, transform: {{args: \"{{'command': 'echo a mark'}}\"}}}}\n    \
         - {{name: marked, tools: [asked.run], label: {{add: [secret]}}}}\n"
    );
    let (code, report) = replayed(&stage, &later(&more));
    same(
        &report,
        &[
            "sandbox | shell | quiet | shell.exec | quieter x1",
            "arguments | as asked for | given by rules | shell.exec | anything, renamed x1",
            // Once it is approved, as it was.
            "labels | none | +executor-tests/secret | asked.run | marked x1",
            // The session then has the label.
            "labels | +executor-tests/secret | none | shell.exec | marks x1",
            // Nothing labels the other session any more.
            "labels | +executor-tests/secret | none | shell.exec | tells x1",
            "effect | Deny | Allow | brief.exec | no-way-out x1",
        ],
    );
    let missing: Vec<&str> =
        report["missing"].as_array().expect("missing").iter().filter_map(|one| one["why"].as_str()).collect();
    let of = |what: &str| missing.iter().filter(|why| why.contains(what)).count();
    assert_eq!((of("another sandbox"), of("other arguments")), (1, 1), "{missing:?}");
    assert_eq!(code, Some(3));
}

#[test]
fn results_are_decided_again_and_label_what_comes_after_them() {
    let stage = written();
    let next =
        format!("{THEN}{TELLS}").replace("'hunter2'", "'plain'").replace("'dana', '***'", "'dana', 'D.'");
    let next = next.replace("'leaked'", "'nothing'").replace("'mark'", "'nothing'");
    let (code, report) = replayed(&stage, &later(&next));
    same(
        &report,
        &[
            "result | Deliver | Withhold | shell.exec | no-keys x1",
            "result | Withhold | Deliver | shell.exec | no-keys x1",
            "texts | stdout | stdout, others | shell.exec | no-names x1",
            // On the call, and on its result; and so the sessions may send.
            "labels | +executor-tests/secret | none | shell.exec | marks x1",
            "labels | +executor-tests/secret | none | shell.exec | tells x1",
            "effect | Deny | Allow | brief.exec | no-way-out x2",
        ],
    );
    assert_eq!((code, &report["notReplayed"]), (Some(3), &json!(0)), "{report:#}");
    // The report does not contain what was redacted.
    assert!(!report.to_string().contains("hunter2") && !report.to_string().contains("ZGFuYQ"), "{report:#}");
    // Other approvers are required, so the call becomes one to ask about.
    let others = later(&format!("{THEN}{TELLS}")).replace("alice@example.org", "bob@example.org");
    let (_, report) = replayed(&stage, &others);
    same(
        &report,
        &[
            "approvers | 1 of oncall | 1 of oncall, others | asked.run |  x1",
            "effect | Allow | Ask | asked.run | executor-tests@1.0.1: 1 of oncall x1",
        ],
    );
}

#[test]
fn what_cannot_be_opened_is_counted_and_never_guessed() {
    let stage = written();
    let folder = stage.path().join("state/disclosures");
    let mut kept = 0;
    for file in fs::read_dir(&folder).expect("disclosures") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("openings");
        let lines = text.lines().filter(|line| !line.contains("\"field\":\"result\""));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        kept += text.lines().count();
        fs::write(&path, text).expect("openings");
    }
    assert!(kept > 0, "the openings of calls are there");
    let (code, report) = replayed(&stage, &later(&format!("{THEN}{TELLS}")));
    // The first result is unknown, and with it the label that it sets. So every later call of the session is
    // unknown, and what those calls count, and with that everything in the other session.
    assert_eq!(
        (code, &report["replayed"], &report["changed"]),
        (Some(6), &json!(1), &json!(0)),
        "{report:#}"
    );
    let first = report["missing"][0]["why"].as_str().expect("why");
    assert!(first.contains("commitment to its result"), "{report:#}");
    let second = report["missing"][1]["why"].as_str().expect("why");
    assert!(second.contains("labels the session under these packs"), "{report:#}");
    // Under the original packs the labels are on record, and the calls are known.
    let own = stage.bailiwick(&["replay", "--log", "state", "--pack", "bundle.json"]);
    assert!(said(&own).contains("9 replayed, 9 unchanged, 0 changed, 5 not replayed"), "{}", said(&own));
    assert_eq!(own.status.code(), Some(6));
}
