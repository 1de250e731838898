//! An agent that has a stronger one call tools for it, and one that acts for a stronger one: by the meet of
//! both packs, neither gains anything.

use std::fs;

use bailiwick_conformance::programs::Executor;
use serde_json::{Value, json};

use crate::stage::{Caller, Stage, own_pack, said};

/// The caller: the coder, for the planner.
const SUBJECT: &str = r#"{"agent": "coder", "user": "dana", "namespace": "agents", "chain": ["planner"]}"#;
const LINKS: &str = r#"{"coder": ["executor-tests"], "planner": ["planner"]}"#;

/// What the planner itself may do: list files, twice.
const LOOKS: &str = r#"apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {name: planner-1.0.0}
spec:
  pack: planner
  version: 1.0.0
  description: Looks, and has others do what it may.
  tools:
    state: {budgets: [{name: looks, resource: Calls, limit: 2}]}
    rules:
    - {name: looks, tools: [shell.exec], when: "call.args.command.startsWith('ls')", allow: {}}
"#;
/// And nothing else, which must be stated: a pack does not restrict calls of a tool that it does not name.
const NOTHING_ELSE: &str = "    - {name: nothing-else, tools: [brief.exec, cat.stream, count.calls, missing.program, flood.output, asked.*, never.granted, workspace.*], deny: {}}\n";

/// The coder's executor with the bundle of these packs; `planner` is the text of the planner's pack.
fn stage(planner: Option<&str>) -> Stage {
    let stage = Stage::new(&own_pack());
    fs::write(stage.path().join("subject.json"), SUBJECT).expect("the subject");
    fs::write(stage.path().join("links.json"), LINKS).expect("the links");
    if let Some(text) = planner {
        fs::create_dir(stage.path().join("planner")).expect("a folder");
        fs::write(stage.path().join("planner/pack.yaml"), text).expect("the pack");
        // For an ordinary user, the coder's limits are those that are available.
        let weaker = stage.path().join("pack.yaml");
        let coder = if weaker.is_file() { weaker } else { own_pack() };
        let coder = coder.to_str().expect("UTF-8").to_owned();
        let output = stage.bailiwick(&["compile", &coder, "planner", "--format", "json", "--out", "both"]);
        assert!(output.status.success(), "{}", said(&output));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let bundle = stage.path().join(report["folder"].as_str().expect("a folder")).join("bundle.json");
        fs::copy(bundle, stage.path().join("bundle.json")).expect("the bundle");
    }
    stage
}

const ARGS: &[&str] = &["--subject", "subject.json", "--links", "links.json"];

/// The status of a shell call, and the pack that denied it.
fn run(caller: &mut Caller, command: &str) -> (u16, String) {
    let (status, call) = caller.call("shell.exec", json!({ "command": command }));
    (status, call["decision"]["reason"].as_str().unwrap_or_default().to_owned())
}

fn refused(stage: &Stage) -> String {
    let error = Executor::start(stage.path(), ARGS).expect_err("it must not come up");
    format!("{error:#}")
}

#[test]
fn an_agent_that_delegates_to_a_stronger_one_gains_nothing() {
    // With only the coder's bundle, and without links, the planner can do whatever the coder may.
    let alone = stage(None);
    let executor = alone.start(&["--subject", "subject.json"]);
    let mut caller = Caller::new(&executor);
    assert_eq!(run(&mut caller, "echo loot > /work/loot").0, 200);
    assert_eq!(caller.call("brief.exec", json!({ "command": "true" })).0, 200);
    drop(executor);
    // With links the executor does not start: the planner's pack is not met, or says nothing about a tool
    // that the coder's grants.
    let error = refused(&alone);
    assert!(error.contains("pack `planner`") && error.contains("not in the bundle"), "{error}");
    for (links, why) in [
        (r#"{"coder": ["executor-tests"]}"#, "does not say which packs bind `planner`"),
        (
            r#"{"coder": ["executor-tests"], "planner": ["planner"], "tester": ["planner"]}"#,
            "names `tester`, which is neither",
        ),
    ] {
        fs::write(alone.path().join("links.json"), links).expect("the links");
        let error = refused(&alone);
        assert!(error.contains(why), "{error}");
    }
    drop(alone);
    let silent = stage(Some(LOOKS));
    let error = refused(&silent);
    assert!(error.contains("do not say whether") && error.contains("`asked.briefly`"), "{error}");
    drop(silent);
    let met = stage(Some(&format!("{LOOKS}{NOTHING_ELSE}")));
    let executor = met.start(ARGS);
    let mut caller = Caller::new(&executor);
    let (status, reason) = run(&mut caller, "echo loot > /work/loot");
    assert_eq!(status, 403);
    assert!(reason.contains("no rule of `planner@1.0.0` grants this call"), "{reason}");
    assert_eq!(caller.call("brief.exec", json!({ "command": "true" })).0, 403);
    assert_eq!(caller.call("workspace.read", json!({ "path": "loot" })).0, 403);
    // What both may do is done, and what the coder's pack denies is denied.
    assert_eq!(run(&mut caller, "ls /work").0, 200);
    assert!(run(&mut caller, "ls tripwire").1.contains("a tripwire"));
    // Calls for the planner spend the planner's budget, and a new session does not give it another.
    assert_eq!(run(&mut caller, "ls /").0, 200);
    let mut fresh = Caller::new(&executor);
    let (status, reason) = run(&mut fresh, "ls /work");
    assert!(status != 200 && reason.contains("the budget `looks`"), "{status}: {reason}");
}

#[test]
fn an_agent_that_acts_for_a_stronger_one_gains_nothing() {
    let stage = stage(Some(LOOKS));
    let subject = r#"{"agent": "planner", "user": "dana", "namespace": "agents", "chain": ["coder"]}"#;
    fs::write(stage.path().join("subject.json"), subject).expect("the subject");
    // Without links the planner runs what the coder's pack grants and its own does not name.
    let executor = stage.start(&["--subject", "subject.json"]);
    let mut caller = Caller::new(&executor);
    assert_eq!(caller.call("brief.exec", json!({ "command": "true" })).0, 200);
    drop(executor);
    // It is not enough to state which packs bind the chain: the agent's own pack must apply as well.
    for (links, why) in [
        (r#"{"coder": ["executor-tests"]}"#, "does not say which packs bind `planner`"),
        (LINKS, "the packs of `planner` do not say whether"),
    ] {
        fs::write(stage.path().join("links.json"), links).expect("the links");
        let error = refused(&stage);
        assert!(error.contains(why), "{error}");
    }
}
