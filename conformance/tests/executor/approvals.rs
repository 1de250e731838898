//! Approvals: the way of a question from an agent's call to a signed answer and back.

use std::fs;

use serde_json::{Value, json};

use crate::stage::{Caller, Stage, own_pack, said, stdout, value};

/// RFC 8410, section 10.3: the private half of alice's key.
pub(crate) const ALICE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
/// RFC 8032, section 7.1, test 1, in the form of RFC 8410: the private half of the key of a party to the
/// call.
const CALLER: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

pub(crate) const SUBJECT: &str = r#"{"agent": "coder", "user": "dana@example.org", "namespace": "agents", "groups": ["dev"], "labels": {}, "chain": ["dana@example.org"]}"#;

fn stage() -> Stage {
    with_people(Stage::new(&own_pack()))
}

fn with_people(stage: Stage) -> Stage {
    fs::write(stage.path().join("subject.json"), SUBJECT).expect("the subject");
    fs::write(stage.path().join("alice.pem"), ALICE).expect("a key");
    fs::write(stage.path().join("caller.pem"), CALLER).expect("a key");
    stage
}

pub(crate) const ARGS: &[&str] = &["--subject", "subject.json"];

/// Makes a call that asks, and returns the question's id.
fn ask(caller: &mut Caller, word: &str) -> String {
    let (status, call) = caller.call("asked.run", json!({ "word": word }));
    assert_eq!(status, 202, "{call}");
    call["decision"]["approval"]["id"].as_str().expect("an id").to_owned()
}

fn repeat(caller: &mut Caller, word: &str, id: &str) -> (u16, Value) {
    caller.send(json!({ "tool": "asked.run", "args": { "word": word }, "approval": id }), "")
}

/// Signs a question by the command line and submits it; returns whether it was accepted, and the answer.
pub(crate) fn approve(stage: &Stage, id: &str, key: &str, key_id: &str) -> (bool, String) {
    let listed = stage.executor(&["approvals", "list", "--admin-socket", "admin.sock", id]);
    assert!(listed.status.success(), "{}", said(&listed));
    fs::write(stage.path().join("question.json"), &listed.stdout).expect("the question");
    let signed = stage.executor(&["approvals", "sign", "--key", key, "--key-id", key_id, "question.json"]);
    assert!(signed.status.success(), "{}", said(&signed));
    fs::write(stage.path().join("signature.json"), &signed.stdout).expect("the signature");
    let submitted =
        stage.executor(&["approvals", "submit", "--admin-socket", "admin.sock", id, "signature.json"]);
    (submitted.status.success(), said(&submitted))
}

#[test]
fn a_signed_approval_lets_exactly_that_call_run_once() {
    let stage = stage();
    let executor = stage.start(ARGS);
    let mut caller = Caller::new(&executor);
    let id = ask(&mut caller, "hello");
    assert_eq!(repeat(&mut caller, "hello", &id).0, 202, "nobody has approved yet");
    let (taken, text) = approve(&stage, &id, "alice.pem", "alice");
    assert!(taken, "{text}");
    let (status, call) = repeat(&mut caller, "other", &id);
    assert_ne!(status, 200, "another call under the same approval: {call}");
    let id = ask(&mut caller, "hello");
    assert!(approve(&stage, &id, "alice.pem", "alice").0);
    let (status, call) = repeat(&mut caller, "hello", &id);
    assert_eq!((status, stdout(&call).as_str()), (200, "hello\n"), "{call}");
    let (status, _) = repeat(&mut caller, "hello", &id);
    assert_ne!(status, 200, "an approval is used once");
    let kinds: Vec<String> = stage.records().iter().map(|record| format!("{}", record["kind"])).collect();
    assert!(kinds.contains(&"\"approval\"".to_owned()), "{kinds:?}");
}

#[test]
fn whoever_takes_part_or_holds_another_key_cannot_approve() {
    let stage = stage();
    let executor = stage.start(ARGS);
    let mut caller = Caller::new(&executor);
    let id = ask(&mut caller, "hello");
    let (taken, text) = approve(&stage, &id, "caller.pem", "caller");
    assert!(!taken && text.contains("may not"), "{text}");
    let (taken, text) = approve(&stage, &id, "caller.pem", "alice");
    assert!(!taken && text.contains("signature"), "{text}");
    assert_eq!(repeat(&mut caller, "hello", &id).0, 202, "still asked");
    // The call socket has no approvals.
    let answer = caller.client.post(&format!("/v1/approvals/{id}"), b"{}").expect("an answer");
    assert_eq!(answer.status, 404);
}

#[test]
fn another_call_of_the_session_makes_an_approval_stale() {
    let stage = stage();
    let executor = stage.start(ARGS);
    let mut caller = Caller::new(&executor);
    let id = ask(&mut caller, "hello");
    assert!(approve(&stage, &id, "alice.pem", "alice").0);
    caller.shell("echo changed > /work/file");
    let (status, call) = repeat(&mut caller, "hello", &id);
    assert_eq!(status, 403, "{call}");
    assert!(
        call["decision"]["reason"].as_str().is_some_and(|reason| reason.starts_with("approval-stale")),
        "{call}"
    );
}

#[test]
fn a_question_that_shows_another_call_than_its_hash_is_not_signed() {
    let stage = stage();
    let executor = stage.start(ARGS);
    let mut caller = Caller::new(&executor);
    let id = ask(&mut caller, "hello");
    let mut admin = executor.admin().expect("a connection");
    let mut question = value(&admin.get(&format!("/v1/approvals/{id}")).expect("an answer"));
    question["binds"]["arguments"]["word"] = json!("harmless");
    fs::write(stage.path().join("question.json"), question.to_string()).expect("the question");
    let signed =
        stage.executor(&["approvals", "sign", "--key", "alice.pem", "--key-id", "alice", "question.json"]);
    assert!(!signed.status.success() && signed.stdout.is_empty(), "{}", said(&signed));
    assert!(said(&signed).contains("do not approve"), "{}", said(&signed));
}

#[test]
fn questions_however_long_are_listed_and_can_be_approved() {
    let rule = "    - {name: asked-writes, tools: [workspace.write], confirm: {approvers: oncall, quorum: 1, expires: 4m}}\n";
    let stage = with_people(crate::phases::with_rules(rule));
    let executor = stage.start(ARGS);
    let mut caller = Caller::new(&executor);
    // Six times as long in JSON, which is nearly the limit for arguments.
    let file = json!({ "path": "file", "content": "\u{1}".repeat(650_000) });
    let asked: Vec<String> = (0..5)
        .map(|_| {
            let (status, call) = caller.call("workspace.write", file.clone());
            assert_eq!(status, 202, "{}", call["decision"]);
            call["decision"]["approval"]["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let listed = stage.executor(&["approvals", "list", "--admin-socket", "admin.sock"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(asked.len()));
    let last = asked.last().expect("an id");
    let (taken, _) = approve(&stage, last, "alice.pem", "alice");
    assert!(taken);
    let repeat = json!({ "tool": "workspace.write", "args": file, "approval": last });
    let (status, call) = caller.send(repeat, "");
    assert_eq!((status, &call["result"]["sizeBytes"]), (200, &json!(650_000)), "{}", call["decision"]);
}
