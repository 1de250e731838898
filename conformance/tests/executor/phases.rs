//! What a policy decides beyond whether a call may run: which tools are listed for an agent, what happens to
//! a session that has read something, and how much of a call's result reaches the caller.

use std::path::PathBuf;

use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::Executor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::stage::{Caller, Stage, own_pack, said, stdout, value};

/// The tests' own pack with these rules after its own, and a label.
pub(crate) fn with_rules(rules: &str) -> Stage {
    let text = std::fs::read_to_string(own_pack()).expect("the pack");
    let text = text.replace("    state:\n", "    state:\n      labels: [{name: secret}]\n");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pack: PathBuf = folder.path().join("pack.yaml");
    std::fs::write(&pack, format!("{}\n{rules}", text.trim_end())).expect("the pack");
    Stage::new(&pack)
}

/// The names that are listed for an agent, outside a session or in one.
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
        // An approver may allow it.
        ("asked.run", true),
        // No rule grants it, and it does not ask.
        ("never.granted", false),
        ("flood.output", false),
        ("brief.exec", false),
    ] {
        assert_eq!(has(&shown, name), expected, "{name}: {shown:?}");
    }
    // Hidden by a deny: denied. Hidden by a rule of phase List: only information, and the call is allowed.
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

/// Nothing leaves a session once it is labelled.
const NO_WAY_OUT: &str = "    - {name: no-way-out, tools: [brief.exec], when: \"'secret' in session.labels\", \
    deny: {reason: the session has read something secret, remedy: open a new session}}\n";

/// Reads a file whose name starts a label's rule, and then sends; the status of sending in this session and
/// in a fresh one.
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
    // Recorded with the intent, before anything ran.
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

/// Output of a command, of a file and of a listing that holds a secret.
const PRINTS: &str = "printf 'the key is hunter2\\n'; printf 'hunter2\\n' >&2";

/// Whether the secret is anywhere in what a client received: in clear, or in base64 at any of its three
/// offsets.
fn tells(got: &str) -> bool {
    let encoded: Vec<String> = ["hunter2", "xhunter2", "xxhunter2"]
        .iter()
        .map(|text| STANDARD.encode(text).trim_end_matches('=').to_owned())
        .map(|text| text.get(3..text.len() - 2).expect("long enough").to_owned())
        .collect();
    got.contains("hunter2") || encoded.iter().any(|text| got.contains(text.as_str()))
}

/// Every way in which a caller gets a call's result: the streamed call, the poll while it runs and
/// afterwards, the blocking call, its idempotent repeat; and the files.
fn everything_told(executor: &Executor) -> Vec<(&'static str, String)> {
    let mut caller = Caller::new(executor);
    let mut told = Vec::new();
    let mut running =
        caller.start(executor, "shell.exec", json!({ "command": format!("{PRINTS}; sleep 1; {PRINTS}") }));
    let path = running.path.clone();
    let get = |path: &str| {
        let answer = executor.client().expect("a connection").get(path).expect("an answer");
        String::from_utf8(answer.body).expect("UTF-8")
    };
    told.push(("a poll while it runs", get(&format!("{path}?waitMs=400"))));
    let mut events = String::new();
    while let Some(event) = running.event().expect("the connection holds") {
        events += &event.to_string();
    }
    told.push(("the stream", events));
    told.push(("a poll after it", get(&path)));
    told.push(("a poll with an offset", get(&format!("{path}?stdout=4&stderr=1"))));
    let body = json!({ "tool": "shell.exec", "args": { "command": PRINTS } }).to_string();
    let calls = format!("/v1/sessions/{}/calls", caller.session);
    for what in ["the answer", "its repeat", "its repeat as a stream"] {
        let query = if what.ends_with("stream") { "?stream=true" } else { "" };
        let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
        let answer = executor.client().expect("a connection").request(
            "POST",
            &format!("{calls}{query}"),
            &headers,
            body.as_bytes(),
        );
        told.push((what, String::from_utf8(answer.expect("an answer").body).expect("UTF-8")));
    }
    let file = json!({ "path": "hunter2.txt", "content": "hunter2" });
    assert_eq!(caller.call("workspace.write", file).0, 200);
    told.push(("a file", caller.call("workspace.read", json!({ "path": "hunter2.txt" })).1.to_string()));
    told.push(("a listing", caller.call("workspace.list", json!({ "path": "." })).1.to_string()));
    told
}

#[test]
fn a_secret_in_a_result_reaches_the_caller_only_without_the_rule() {
    let stage = with_rules("");
    let executor = stage.start(&[]);
    for (what, got) in everything_told(&executor) {
        assert!(tells(&got), "without a rule, {what} tells it: {got}");
    }
    drop(executor);
    drop(stage);
    for (rules, effect) in [
        (
            "    - {name: no-keys, tools: [\"*\"], phase: Result, deny: {reason: it holds a key, remedy: ask for the path},\n       \
             when: \"[result.stdout, result.stderr, result.content].exists(text, text.contains('hunter2')) || result.paths.exists(path, path.contains('hunter2'))\"}\n",
            "Withhold",
        ),
        (
            "    - {name: no-names, tools: [workspace.list], phase: Result, when: \"result.paths.exists(path, path.contains('hunter2'))\", deny: {}}\n    \
             - {name: no-keys, tools: [\"*\"], phase: Result, transform: {result: \"{'stdout': result.stdout.replace('hunter2', '***'), \
             'stderr': result.stderr.replace('hunter2', '***'), 'content': result.content.replace('hunter2', '***')}\"}}\n",
            "Redact",
        ),
    ] {
        let stage = with_rules(rules);
        let executor = stage.start(&[]);
        for (what, got) in everything_told(&executor) {
            assert!(!tells(&got), "{effect}, {what}: {got}");
            let judged = what == "a poll while it runs" || what == "a listing" || got.contains(effect);
            assert!(judged, "{effect}, {what}: {got}");
        }
        let mut caller = Caller::new(&executor);
        let call = caller.shell(PRINTS);
        assert_eq!(call["outcome"]["code"], 0, "how it ended is told: {call}");
        assert_eq!(call["resultDecision"]["effect"], effect, "{call}");
        if effect == "Redact" {
            assert_eq!(stdout(&call), "the key is ***\n");
        } else {
            assert_eq!(call["resultDecision"]["reason"], "rule: it holds a key");
            assert_eq!(call["resultDecision"]["remedy"], "ask for the path");
            assert_eq!((&call["stdout"], &call["stderr"]), (&json!(""), &json!("")), "{call}");
        }
        let id = call["id"].as_str().expect("an id").to_owned();
        until("the opening of the result is on disk", || {
            let inspected = stage.bailiwick(&["audit", "inspect", "state", &id]);
            said(&inspected).contains("original").then_some(())
        })
        .expect("what was given, for whoever may open the log");
        drop(executor);
        recorded(&stage, &id, effect);
    }
}

/// What the log says about a judged result: the decision in clear; what was delivered and what the call
/// returned under one commitment.
fn recorded(stage: &Stage, call: &str, effect: &str) {
    let records = stage.records();
    let result = records.iter().find(|record| record["kind"] == "result" && record["call"] == call);
    let result = result.expect("the result's record");
    assert_eq!(result["effect"], if effect == "Redact" { "Redact" } else { "Deny" }, "{result}");
    assert_eq!(result["rules"][0]["rule"], "no-keys", "{result}");
    assert!(!tells(&result.to_string()), "it is committed to, not written: {result}");
    assert!(matches!(stage.verify().0, Some(0 | 6)), "{}", stage.verify().1);
    let replayed = stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json"]);
    assert_eq!(replayed.status.code(), Some(0), "{}", said(&replayed));
}

/// The inputs of the decision and the result: each alone fits into a record, and both together do not.
#[test]
fn a_judged_result_that_is_kept_plain_ends_its_call_however_long_it_is() {
    let rule = "    - {name: no-keys, tools: [shell.exec], phase: Result, when: \"result.stdout.contains('hunter2')\", deny: {}}\n  \
         audit: {arguments: Plain, results: Plain, retention: 24h}\n";
    let stage = with_rules(rule);
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    for length in (0..4_000).step_by(400) {
        let command = format!("printf '%02800d' 7 # {}", "x".repeat(length));
        let args = json!({ "command": command });
        let body = json!({ "tool": "shell.exec", "args": args, "waitForResultRecord": true });
        let (status, call) = caller.send(body, "");
        assert_eq!((status, &call["durable"]), (200, &json!("result")), "{length}: {}", call["outcome"]);
    }
    drop(executor);
    // Alone it fits into a record.
    let records = stage.records();
    let aside = records.iter().filter(|record| record["result"]["blob"].is_string()).count();
    assert!(aside > 0, "every result stood in its record");
    assert!(matches!(stage.verify().0, Some(0 | 6)), "{}", stage.verify().1);
}

#[test]
fn a_result_that_is_no_text_is_withheld_where_a_rule_would_have_to_read_it() {
    let rules = "    - {name: no-keys, tools: [shell.exec], phase: Result, when: \"result.stdout.contains('hunter2')\", deny: {}}\n    \
         - {name: reads, tools: [shell.exec], phase: Result, when: \"result.stdoutSize > 0\", label: {add: [secret]}}\n";
    let stage = with_rules(&format!("{NO_WAY_OUT}{rules}"));
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    assert_eq!(stdout(&caller.shell("printf caf")), "caf");
    let call = caller.shell("printf 'hunter2\\377'");
    assert_eq!(call["resultDecision"]["effect"], "Withhold", "{call}");
    assert!(!tells(&call.to_string()), "{call}");
    // And its result has labelled the session.
    assert_eq!(caller.call("brief.exec", json!({ "command": "true" })).0, 403);
    assert_eq!(Caller::new(&executor).call("brief.exec", json!({ "command": "true" })).0, 200);
}

#[test]
fn rules_over_results_in_shadow_are_on_record_and_nowhere_else() {
    let rules = "    - {name: no-keys, tools: [\"*\"], phase: Result, mode: Shadow, when: \"result.stdout.contains('hunter2') || result.content.contains('hunter2')\", deny: {}}\n";
    let stage = with_rules(rules);
    let executor = stage.start(&[]);
    for (what, got) in everything_told(&executor) {
        assert!(tells(&got) && !got.contains("resultDecision"), "{what}: {got}");
    }
    let call = Caller::new(&executor).shell(PRINTS);
    let id = call["id"].as_str().expect("an id").to_owned();
    let result = until("the result is on disk", || {
        stage.records().into_iter().find(|record| record["kind"] == "result" && record["call"] == id)
    })
    .expect("the result's record");
    assert_eq!(result["effect"], "Allow", "{result}");
    assert_eq!(
        (&result["rules"][0]["rule"], &result["rules"][0]["mode"]),
        (&json!("no-keys"), &json!("Shadow")),
        "{result}"
    );
}

#[test]
fn a_secret_that_the_limit_cuts_is_withheld() {
    // A read returns all but the last byte of this file, and that byte belongs to the secret.
    let write = "head -c 1048570 /dev/zero | tr '\\0' x > cut.txt; printf hunter2 >> cut.txt";
    for (rule, effect) in [
        ("", None),
        (
            "    - {name: no-keys, tools: [workspace.read], phase: Result, when: \"result.content.contains('hunter2')\", deny: {}}\n",
            Some("Withhold"),
        ),
    ] {
        let stage = with_rules(rule);
        let executor = stage.start(&[]);
        let mut caller = Caller::new(&executor);
        let wrote = caller.shell(write);
        assert_eq!(wrote["outcome"]["code"], 0, "{wrote}");
        let (_, read) = caller.call("workspace.read", json!({ "path": "cut.txt" }));
        match effect {
            None => assert_eq!(read["result"]["complete"], false, "{}", read["outcome"]),
            Some(effect) => {
                assert_eq!(read["resultDecision"]["effect"], effect, "{}", read["resultDecision"]);
                let reason = read["resultDecision"]["reason"].as_str().expect("a reason");
                assert!(reason.contains("was cut"), "{reason}");
                assert_eq!(read["result"], json!(null));
            }
        }
    }
}
