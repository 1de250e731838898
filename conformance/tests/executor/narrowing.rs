//! Rules that change where and how a call runs, each tried with calls that the tool's own sandbox allows; and
//! rules in shadow, which change nothing.

use serde_json::{Value, json};

use crate::stage::{Caller, Stage, kind, own_pack, said, stdout};

/// Like `shell`, with less of everything that is tried here.
const QUIET: &str = r#"  - name: quiet
    pool: warm
    filesystem: {readOnly: [/usr, /lib, /lib64, /bin], workspace: {path: /work, size: 32Mi, inodes: 4096, lifetime: Session}, proc: Own, devices: ["null"]}
    syscalls: {profile: Shell, remove: [mkdir, mkdirat]}
    limits: {wallClock: 60s, cpuTime: 1s, cpus: "1", memory: 64Mi, processes: 16, openFiles: 32, fileSize: 1Mi, output: 1Ki}
"#;

/// Every call of `shell.exec` that contains the word runs in `quiet`.
const NARROW: &str = "    - {name: quieter, tools: [shell.exec], when: \"call.args.command.startsWith(': quietly;')\", narrow: {sandbox: quiet}}\n";

/// The pack of these tests with the sandbox `quiet` and more rules.
fn stage(rules: &str) -> Stage {
    let text = std::fs::read_to_string(own_pack()).expect("the pack");
    let text = text.replace("  tools:\n    definitions:", &format!("{QUIET}  tools:\n    definitions:"));
    assert!(text.contains("name: quiet\n"), "the pack has another form");
    let folder = tempfile::tempdir().expect("a folder");
    let pack = folder.path().join("pack.yaml");
    std::fs::write(&pack, text + rules).expect("the pack");
    Stage::new(&pack)
}

fn code(call: &Value) -> Option<i64> {
    (kind(call) == "Exited").then(|| call["outcome"]["code"].as_i64()).flatten()
}

/// What the wider sandbox allows, each with its output.
const ATTEMPTS: &[(&str, &str)] = &[
    ("echo loot > /tmp/loot && cat /tmp/loot", "loot\n"),
    ("test -c /dev/zero && echo there", "there\n"),
    ("mkdir /work/made && echo made", "made\n"),
];

#[test]
fn a_narrowed_call_cannot_do_what_the_tools_own_sandbox_lets_it() {
    let with = stage(NARROW);
    let executor = with.start(&[]);
    let mut caller = Caller::new(&executor);
    // The session's files are the same, whichever sandbox a call runs in.
    caller.shell("echo kept > kept");
    assert_eq!(stdout(&caller.shell(": quietly; cat kept")), "kept\n");
    for (attempt, printed) in ATTEMPTS {
        // First, so that its effect does not exist yet.
        let narrowed = caller.shell(&format!(": quietly; {attempt}"));
        assert!(code(&narrowed).is_some_and(|code| code != 0), "{attempt}: {narrowed}");
        assert_ne!(stdout(&narrowed), *printed, "{attempt}");
        let wide = caller.shell(attempt);
        assert_eq!((code(&wide), stdout(&wide).as_str()), (Some(0), *printed), "{wide}");
    }
    // The narrower sandbox's limits apply, too.
    let flood = caller.shell("head -c 4096 /dev/zero | tr '\\0' x");
    assert_eq!((code(&flood), stdout(&flood).len()), (Some(0), 4_096), "{flood}");
    let flood = caller.shell(": quietly; while echo xxxxxxxxxxxxxxxx; do :; done");
    assert_eq!(kind(&flood), "OutputExceeded", "{flood}");
    assert!(executor.terminate().expect("it ends").success());
    let places: Vec<String> = with
        .records()
        .iter()
        .filter(|record| record["kind"] == "intent")
        .map(|record| record["sandbox"]["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    let attempts = ["quiet", "shell"].repeat(ATTEMPTS.len());
    assert_eq!(places, [&["shell", "quiet"][..], &attempts, &["shell", "quiet"]].concat());
    drop(with);

    // Without the rule the same calls succeed.
    let without = stage("");
    let executor = without.start(&[]);
    let mut caller = Caller::new(&executor);
    for (attempt, printed) in ATTEMPTS {
        let call = caller.shell(&format!(": quietly; {attempt}"));
        assert_eq!((code(&call), stdout(&call).as_str()), (Some(0), *printed), "{call}");
    }
}

#[test]
fn a_budget_is_charged_by_the_narrowed_sandbox() {
    let stage = stage(NARROW);
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    caller.shell("true");
    caller.shell(": quietly; true");
    assert!(executor.terminate().expect("it ends").success());
    let reserved: Vec<u64> = stage
        .records()
        .iter()
        .filter(|record| record["kind"] == "intent")
        .filter_map(|record| {
            let changes = record["stateDelta"]["changes"].as_array()?;
            changes.iter().find_map(|change| change["admitted"]["reserved"][0]["amountMilli"].as_u64())
        })
        .collect();
    assert_eq!(reserved, [2_000, 1_000]);
}

#[test]
fn a_rule_in_shadow_is_on_record_and_nowhere_else() {
    let rule = "    - {name: later, tools: [shell.exec], mode: Shadow, deny: {reason: one day}}\n\
                \x20   - {name: broken, tools: [shell.exec], mode: Shadow, when: \"1 / (call.args.command.size() - 4) > 0\", deny: {}}\n";
    let stage = stage(rule);
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let (status, call) = caller.call("shell.exec", json!({ "command": "true" }));
    assert_eq!((status, code(&call)), (200, Some(0)), "{call}");
    assert_eq!(call["decision"]["rules"], json!(["executor-tests@1.0.0/anything"]));
    assert!(executor.terminate().expect("it ends").success());
    let records = stage.records();
    let intent = records.iter().find(|record| record["kind"] == "intent").expect("an intent");
    let shadow = |rule: &str, outcome: &str| json!({"pack": "executor-tests@1.0.0", "rule": rule, "kind": "deny", "outcome": outcome, "mode": "Shadow"});
    let rules = intent["rules"].as_array().expect("rules");
    assert!(
        rules.contains(&shadow("later", "applied")) && rules.contains(&shadow("broken", "failed")),
        "{intent}"
    );
    let output = stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_call_runs_with_the_arguments_that_its_grant_gives() {
    let rule = "    - {name: tamed, tools: [shell.exec], when: \"call.args.command in ['echo wild | tee /work/x', 'echo tame']\", allow: {}, transform: {args: \"{'command': 'echo tame'}\"}}\n";
    let wild = "echo wild | tee /work/x";
    for (rules, printed, files) in [(rule, "tame\n", "0\n"), ("", "wild\n", "1\n")] {
        let stage = stage(rules);
        let executor = stage.start(&[]);
        let mut caller = Caller::new(&executor);
        assert_eq!(stdout(&caller.shell(wild)), printed);
        assert_eq!(stdout(&caller.shell("ls -A /work | wc -l")), files);
        assert!(executor.terminate().expect("it ends").success());
        let output = stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
}
