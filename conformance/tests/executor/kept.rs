//! What the log keeps of what callers send: all of it in the form that the pack sets, and none of it elsewhere.

use std::process::Command;

use serde_json::{Value, json};

use crate::stage::{Caller, Stage, kind, own_pack, said};

/// Every byte of the log's segments.
fn segments(stage: &Stage) -> String {
    let folder = std::fs::read_dir(stage.path().join("state/segments")).expect("segments");
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry.expect("a name").path());
    folder.map(|entry| String::from_utf8_lossy(&read(entry).expect("a segment")).into_owned()).collect()
}

/// Sends this to a command that reads it, in two parts; returns the record of the call's end.
fn sent(stage: &Stage, parts: [&str; 2]) -> Value {
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let running = caller.start(&executor, "cat.stream", json!({}));
    let path = format!("{}/stdin", running.path);
    for (query, part) in ["", "?close=true"].into_iter().zip(parts) {
        let answer = caller.client.post(&format!("{path}{query}"), part.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    }
    let ended = running.rest();
    let call = &ended.last().expect("the outcome")["call"];
    assert_eq!(kind(call), "Exited", "{call}");
    assert!(executor.terminate().expect("it ends").success());
    let records = stage.records();
    let result = records.iter().find(|record| record["kind"] == "result" && record["call"] == call["id"]);
    result.expect("the record of its end").clone()
}

/// `echo -n 'pour the acid' | sha256sum`, and in Base64.
const HASH: &str = "d26d0723d07a4696881375ec3e4aa9bfd76fd1b3052e83675a78f78bec1c79cd";
const DATA: &str = "cG91ciB0aGUgYWNpZA==";

#[test]
fn what_a_caller_sends_while_a_call_runs_is_committed_to_and_shown_by_its_opening() {
    let stage = Stage::new(&own_pack());
    let result = sent(&stage, ["pour the ", "acid"]);
    assert!(result["arguments"]["commitment"].is_string(), "{result}");
    assert_eq!(result["usage"]["stdinBytes"], 13, "{result}");
    let text = segments(&stage);
    for clear in ["pour the acid", DATA, HASH] {
        assert!(!text.contains(clear), "`{clear}` is in clear, and could be guessed by its hash");
    }
    let shown = stage.bailiwick(&["audit", "inspect", "state", result["call"].as_str().expect("an id")]);
    let expected = json!({ "stdin": { "bytes": 13, "data": DATA, "sha256": HASH } }).to_string();
    assert!(said(&shown).contains(&expected), "{}", said(&shown));
    both_verifiers_agree(&stage);
}

#[test]
fn where_arguments_are_kept_as_they_are_so_is_what_a_caller_sends() {
    for (mode, expected) in [
        ("Plain", json!({ "plain": { "stdin": { "bytes": 13, "data": DATA, "sha256": HASH } } })),
        ("Drop", json!("dropped")),
    ] {
        let stage = with_audit(&format!("{{arguments: {mode}, results: Commit}}"));
        let result = sent(&stage, ["pour the ", "acid"]);
        assert_eq!((&result["arguments"], &result["usage"]["stdinBytes"]), (&expected, &json!(13)));
        both_verifiers_agree(&stage);
    }
}

/// A stage whose pack says this about what is kept.
fn with_audit(audit: &str) -> Stage {
    let text = std::fs::read_to_string(own_pack()).expect("the pack");
    let folder = tempfile::tempdir().expect("a folder");
    let pack = folder.path().join("pack.yaml");
    std::fs::write(&pack, format!("{text}  audit: {audit}\n")).expect("the pack");
    Stage::new(&pack)
}

/// Ours, and the one that was written from the document alone.
fn both_verifiers_agree(stage: &Stage) {
    let (code, said) = stage.verify();
    assert_eq!(code, Some(6), "{said}");
    let verifier = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("audit-log/verify.py");
    let output =
        Command::new("python3").arg("-B").arg(verifier).arg("state").current_dir(stage.path()).output();
    let output = output.expect("python3 is installed");
    let text = crate::stage::said(&output);
    assert!(text.starts_with("incomplete ") && output.status.code() == Some(6), "{text}");
}

/// The clerk refuses it before it is started, and the error becomes the outcome, which is in clear.
#[test]
fn a_path_that_the_clerk_refuses_is_not_in_the_log() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    for (tool, args) in [
        ("workspace.read", json!({ "path": "../TOP-SECRET/patient-4711" })),
        ("workspace.write", json!({ "path": "/TOP-SECRET/patient-4711", "content": "TOP-SECRET" })),
        ("workspace.list", json!({ "path": "x/../TOP-SECRET/patient-4711" })),
    ] {
        let (status, call) = caller.call(tool, args);
        assert_eq!((status, kind(&call)), (200, "SetupFailed"), "{call}");
        assert!(call["outcome"]["step"].as_str().is_some_and(|step| step.contains("path")), "{call}");
    }
    // The program that is missing is the pack's text, and told.
    let (_, call) = caller.call("missing.program", json!({}));
    assert_eq!(kind(&call), "SetupFailed", "{call}");
    assert!(executor.terminate().expect("it ends").success());
    let text = segments(&stage);
    assert!(text.matches("SetupFailed").count() >= 4 && !text.contains("TOP-SECRET"), "{text}");
}
