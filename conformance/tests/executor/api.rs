//! `docs/executor-api.json` against the running server: every path and method answers, and bodies have the documented members.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stage::{Caller, Stage, own_pack, said, value};

fn document() -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/executor-api.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the document")).expect("JSON")
}

/// Checks a body against a schema of the document: required members there, no other ones.
fn fits(document: &Value, name: &str, body: &Value) {
    let schema = &document["components"]["schemas"][name];
    let known: BTreeSet<&str> =
        schema["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
    let there: BTreeSet<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    let required: BTreeSet<&str> =
        schema["required"].as_array().expect("required").iter().filter_map(Value::as_str).collect();
    assert!(there.is_subset(&known), "{name} has undocumented members: {:?}", there.difference(&known));
    assert!(required.is_subset(&there), "{name} lacks {:?}", required.difference(&there));
}

#[test]
fn every_documented_path_is_there_and_bodies_are_as_documented() {
    let document = document();
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let call = caller.shell("echo x");
    fits(&document, "Call", &call);
    fits(&document, "Decision", &call["decision"]);
    fits(&document, "Outcome", &call["outcome"]);
    let (_, asked) = caller.call("asked.run", json!({ "word": "hello" }));
    fits(&document, "PendingApproval", &asked["decision"]["approval"]);
    let (session, id) = (caller.session.clone(), call["id"].as_str().expect("an id").to_owned());
    let question = asked["decision"]["approval"]["id"].as_str().expect("an id").to_owned();
    let mut admin = executor.admin().expect("a connection");
    fits(
        &document,
        "OpenQuestion",
        &value(&admin.get(&format!("/v1/approvals/{question}")).expect("an answer")),
    );
    fits(
        &document,
        "Session",
        &value(&caller.client.get(&format!("/v1/sessions/{session}")).expect("an answer")),
    );
    fits(&document, "Tool", &value(&caller.client.get("/v1/tools").expect("an answer"))[0]);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in
            item.as_object().expect("methods").iter().filter(|(key, _)| *key != "parameters")
        {
            // The session goes last: closing it would take the others away.
            if method == "delete" {
                continue;
            }
            let url =
                path.replace("{session}", &session).replace("{call}", &id).replace("{approval}", &question);
            let for_admin = operation["summary"].as_str().expect("a summary").contains("(admin socket)");
            let client = if for_admin { &mut admin } else { &mut caller.client };
            let answer = client.request(&method.to_uppercase(), &url, &[], b"").expect("an answer");
            let missing = answer.status == 405
                || answer.status == 404 && String::from_utf8_lossy(&answer.body).contains("no-such-path");
            assert!(!missing, "{method} {path}: {}", answer.status);
            if answer.status >= 400 {
                fits(&document, "Problem", &value(&answer));
            }
            if path == "/v1/drain" {
                fits(&document, "Drained", &value(&answer));
            }
        }
    }
    let answer =
        caller.client.request("DELETE", &format!("/v1/sessions/{session}"), &[], b"").expect("an answer");
    assert_eq!(answer.status, 204);
}

#[test]
fn run_makes_one_call_and_probe_tries_every_sandbox() {
    let stage = Stage::new(&own_pack());
    let run = |tool: &str, args: &str| {
        stage.executor(&[
            "run",
            "--bundle",
            "bundle.json",
            "--state",
            "state",
            "--tool",
            tool,
            "--args",
            args,
        ])
    };
    let output = run("shell.exec", r#"{"command": "echo out; echo err >&2"}"#);
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), &b"out\n"[..]),
        "{}",
        said(&output)
    );
    assert!(said(&output).contains("err"));
    assert_eq!(run("shell.exec", r#"{"command": "exit 3"}"#).status.code(), Some(5));
    let denied = run("shell.exec", r#"{"command": "tripwire"}"#);
    assert_eq!(denied.status.code(), Some(4));
    assert!(said(&denied).contains("leave it alone"), "{}", said(&denied));
    assert_eq!(run("shell.exec", "{").status.code(), Some(1));
    let probe =
        stage.executor(&["probe", "--bundle", "bundle.json", "--format", "json", "--report", "report.json"]);
    let report = std::fs::read_to_string(stage.path().join("report.json")).expect("a report");
    assert_eq!(report.trim(), String::from_utf8_lossy(&probe.stdout).trim());
    let answer: Value = serde_json::from_slice(&probe.stdout).expect("JSON");
    assert_eq!(answer["version"], 1);
    let refused: Vec<&Value> = answer["sandboxes"]
        .as_array()
        .expect("sandboxes")
        .iter()
        .filter(|one| !one["refused"].is_null())
        .collect();
    assert_eq!((probe.status.code(), refused.len()), (Some(0), 0), "{answer}");
}

#[test]
fn run_asks_a_serving_executor_and_ready_says_whether_it_serves() {
    let stage = Stage::new(&own_pack());
    let ready = || stage.executor(&["ready", "--socket", "call.sock"]).status.code();
    let run = |tool: &str, args: &str, more: &[&str]| {
        let fixed = ["run", "--socket", "call.sock", "--tool", tool, "--args", args];
        stage.executor(&[&fixed[..], more].concat())
    };
    assert_eq!(ready(), Some(1));
    assert_eq!(run("shell.exec", r#"{"command": "true"}"#, &[]).status.code(), Some(1));
    let executor = stage.start(&[]);
    assert_eq!(ready(), Some(0));
    let output = run("shell.exec", r#"{"command": "echo out; echo err >&2"}"#, &[]);
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), "out\nerr\n"));
    assert_eq!(run("shell.exec", r#"{"command": "exit 3"}"#, &[]).status.code(), Some(5));
    let denied = run("shell.exec", r#"{"command": "tripwire"}"#, &[]);
    assert_eq!(denied.status.code(), Some(4));
    assert!(said(&denied).contains("leave it alone"), "{}", said(&denied));
    let unknown = run("no.tool", "{}", &["--format", "json"]);
    assert_eq!(unknown.status.code(), Some(4), "{}", said(&unknown));
    assert_eq!(run("shell.exec", "{}", &["--state", "other"]).status.code(), Some(2));
    drop(executor);
    // 6: the executor was killed, so the log has no seal.
    let (code, told) = stage.verify();
    assert!(matches!(code, Some(0 | 6)), "{told}");
}

#[test]
fn a_second_executor_and_a_changed_bundle_are_refused() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let second = stage
        .command(
            "bailiwick-executor",
            &[
                "serve",
                "--bundle",
                "bundle.json",
                "--state",
                "other",
                "--socket",
                "call.sock",
                "--admin-socket",
                "b.sock",
            ],
        )
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    drop(executor);
    let bundle = std::fs::read_to_string(stage.path().join("bundle.json")).expect("a bundle");
    std::fs::write(stage.path().join("bundle.json"), bundle.replace("executor-tests", "executor-testz"))
        .expect("a bundle");
    let digest = "0".repeat(64);
    let refused = stage.executor(&[
        "serve",
        "--bundle",
        "bundle.json",
        "--expect-digest",
        &digest,
        "--state",
        "state",
        "--socket",
        "c.sock",
        "--admin-socket",
        "d.sock",
    ]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("digest"), "{}", said(&refused));
}
