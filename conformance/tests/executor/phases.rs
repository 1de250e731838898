//! What a policy says beside "may this call run": which tools an agent is told of.

use std::path::PathBuf;

use bailiwick_conformance::programs::Executor;
use serde_json::json;

use crate::stage::{Caller, Stage, own_pack, value};

/// The tests' own pack with these rules behind its own.
fn with_rules(rules: &str) -> Stage {
    let text = std::fs::read_to_string(own_pack()).expect("the pack");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pack: PathBuf = folder.path().join("pack.yaml");
    std::fs::write(&pack, format!("{}\n{rules}", text.trim_end())).expect("the pack");
    Stage::new(&pack)
}

/// The names that an agent is told, outside of a session or in one.
fn listed(executor: &Executor, session: Option<&str>) -> Vec<String> {
    let query = session.map(|id| format!("?session={id}")).unwrap_or_default();
    let answer = executor.client().expect("a connection").get(&format!("/v1/tools{query}"));
    let tools = value(&answer.expect("an answer"));
    let tools = tools.as_array().unwrap_or_else(|| panic!("no list: {tools}"));
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn tools_that_no_call_is_let_through_of_are_not_listed() {
    let stage = with_rules(
        "    - {name: no-flood, tools: [flood.output], when: \"subject.user != 'nobody'\", deny: {}}\n    \
         - {name: twice, tools: [shell.exec], when: \"session.calls >= 2\", deny: {}}\n    \
         - {name: shy, tools: [brief.exec], phase: List, deny: {}}\n",
    );
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let shown = listed(&executor, None);
    let has = |shown: &[String], name: &str| shown.iter().any(|tool| tool == name);
    for (name, expected) in [
        ("shell.exec", true),
        ("workspace.read", true),
        // People may approve it.
        ("asked.run", true),
        // Nothing grants it, and it does not ask.
        ("never.granted", false),
        ("flood.output", false),
        ("brief.exec", false),
    ] {
        assert_eq!(has(&shown, name), expected, "{name}: {shown:?}");
    }
    // Hidden by a deny: denied. Hidden by a rule of phase List: information, and the call is let through.
    assert_eq!(caller.call("never.granted", json!({})).0, 403);
    assert_eq!(caller.call("flood.output", json!({})).0, 403);
    assert_eq!(caller.call("brief.exec", json!({ "command": "true" })).0, 200);
    let session = caller.session.clone();
    assert!(has(&listed(&executor, Some(&session)), "shell.exec"));
    caller.shell("true");
    assert!(!has(&listed(&executor, Some(&session)), "shell.exec"), "its session has made two calls");
    assert!(has(&listed(&executor, None), "shell.exec"), "another one has not");
    assert_eq!(caller.call("shell.exec", json!({ "command": "true" })).0, 403);
    let answer = executor.client().expect("a connection").get("/v1/tools?session=s-nobody");
    assert_eq!(answer.expect("an answer").status, 404);
}
