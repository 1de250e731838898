//! What a policy says beside "may this call run": which tools an agent is told of, and what becomes of a session that has read something.

use std::path::PathBuf;

use bailiwick_conformance::programs::Executor;
use serde_json::json;

use crate::stage::{Caller, Stage, own_pack, said, value};

/// The tests' own pack with these rules behind its own, and a label.
fn with_rules(rules: &str) -> Stage {
    let text = std::fs::read_to_string(own_pack()).expect("the pack");
    let text = text.replace("    state:\n", "    state:\n      labels: [{name: secret}]\n");
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

/// Nothing goes out of a session once it is labelled.
const NO_WAY_OUT: &str = "    - {name: no-way-out, tools: [brief.exec], when: \"'secret' in session.labels\", \
    deny: {reason: the session has read something secret, remedy: open a new session}}\n";

/// Reads a file, whose name begins a label's rule, and then sends; the status of the sending in this session and in a fresh one.
fn read_and_send(executor: &Executor) -> (Caller, u16, u16) {
    let mut caller = Caller::new(executor);
    let sends = || json!({ "command": "true" });
    assert_eq!(caller.call("brief.exec", sends()).0, 200);
    let file = json!({ "path": "secret.txt", "content": "hunter2" });
    assert_eq!(caller.call("workspace.write", file).0, 200);
    let (status, read) = caller.call("workspace.read", json!({ "path": "secret.txt" }));
    assert_eq!((status, &read["result"]["content"]), (200, &json!("aHVudGVyMg==")), "{read}");
    let (status, _) = caller.call("brief.exec", sends());
    let fresh = Caller::new(executor).call("brief.exec", sends()).0;
    (caller, status, fresh)
}

#[test]
fn a_session_that_has_read_something_labelled_calls_nothing_outward() {
    let stage = with_rules(NO_WAY_OUT);
    let executor = stage.start(&[]);
    let (_, same, fresh) = read_and_send(&executor);
    assert_eq!((same, fresh), (200, 200), "without the label's rule it goes out");
    drop(executor);
    drop(stage);
    let labels = "    - {name: reads-secrets, tools: [workspace.read], when: \"call.args.path.startsWith('secret')\", label: {add: [secret]}}\n";
    let stage = with_rules(&format!("{NO_WAY_OUT}{labels}"));
    let executor = stage.start(&[]);
    let (mut caller, same, fresh) = read_and_send(&executor);
    assert_eq!((same, fresh), (403, 200));
    let (_, denied) = caller.call("brief.exec", json!({ "command": "true" }));
    assert_eq!(denied["decision"]["remedy"], "open a new session", "{denied}");
    let session = caller.session.clone();
    assert!(!listed(&executor, Some(&session)).contains(&"brief.exec".to_owned()));
    assert!(listed(&executor, None).contains(&"brief.exec".to_owned()));
    drop(executor);
    // On record with the intent, before anything ran.
    let records = stage.records();
    let is_read =
        |record: &&serde_json::Value| record["kind"] == "intent" && record["tool"] == "workspace.read";
    let read = records.iter().find(is_read).expect("the intent");
    let added = json!({ "labelled": { "session": session, "add": ["executor-tests/secret"] } });
    let changes = read["stateDelta"]["changes"].as_array().expect("changes");
    assert!(changes.contains(&added), "{read}");
    let replayed = stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json"]);
    assert_eq!(replayed.status.code(), Some(0), "{}", said(&replayed));
}
