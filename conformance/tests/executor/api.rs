//! `docs/executor-api.json` compared with the running server: every path and method answers, and bodies have
//! the documented members.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use bailiwick_conformance::programs;
use serde_json::{Value, json};

use crate::stage::{Caller, Stage, is_root, kind, limits_are_exact, own_pack, said, value};

/// `nobody`, on every Linux.
const NOBODY: u32 = 65_534;

fn document() -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/executor-api.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the document")).expect("JSON")
}

/// Checks a body against a schema of the document: all required members, and no unknown ones.
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
    let failed = run("workspace.read", r#"{"path": "nope"}"#);
    assert_eq!((failed.status.code(), failed.stdout.as_slice()), (Some(5), &b""[..]), "{}", said(&failed));
    assert!(said(&failed).contains("failed: "), "{}", said(&failed));
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
fn beside_an_executor_a_machine_can_be_looked_at_and_a_second_one_is_told_what_to_do() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let probe = stage.executor(&["probe", "--bundle", "bundle.json"]);
    assert_eq!(probe.status.code(), Some(0), "{}", said(&probe));
    let mut caller = Caller::new(&executor);
    assert_eq!(kind(&caller.shell("true")), "Exited", "it was not disturbed");
    if !limits_are_exact("an executor that has the machine's cgroup") {
        return;
    }
    let run = ["run", "--bundle", "bundle.json", "--state", "other", "--tool", "count.calls"];
    let refused = stage.command("bailiwick-executor", &run).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("run --socket"), "{}", said(&refused));
}

/// The error for an ordinary user without a cgroup and a policy with exact limits.
#[test]
fn probe_tells_an_ordinary_user_what_is_refused_and_what_helps() {
    let stage = Stage::new(&own_pack());
    let compiled = stage.bailiwick(&["compile", own_pack().to_str().expect("UTF-8"), "--out", "exact"]);
    assert!(compiled.status.success(), "{}", said(&compiled));
    let cell = std::fs::read_dir(stage.path().join("exact")).expect("exact").next().expect("a cell");
    // A folder that an ordinary user can reach, which the build folder may not be.
    let place = tempfile::tempdir_in("/tmp").expect("a temporary folder");
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("it is ours");
    for program in ["bailiwick-executor", "bailiwick-launcher"] {
        let built = programs::find(program).expect("the program is built");
        programs::copy(&built, &place.path().join(program)).expect("a copy");
    }
    let bundle = place.path().join("bundle.json");
    std::fs::copy(cell.expect("a folder").path().join("bundle.json"), &bundle).expect("the bundle");
    std::fs::set_permissions(&bundle, Permissions::from_mode(0o644)).expect("it is ours");
    let probe = |form: &str| {
        let mut command = Command::new(place.path().join("bailiwick-executor"));
        command.args(["probe", "--bundle", "bundle.json", "--format", form]).current_dir(place.path());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().expect("it runs")
    };
    let output = probe("json");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&answer["tier"], &answer["cgroup"]), (&json!("Limited"), &Value::Null), "{answer}");
    let refusals = answer["refusals"].as_array().expect("refusals");
    let cgroup = refusals.iter().find(|refusal| refusal["what"] == "Cgroup").expect("there is no cgroup");
    assert!(cgroup["remedy"].as_str().expect("a remedy").contains("Delegate=yes"), "{cgroup}");
    let sandboxes = answer["sandboxes"].as_array().expect("sandboxes");
    assert!(!sandboxes.is_empty());
    let human = String::from_utf8(probe("human").stdout).expect("UTF-8");
    assert!(human.starts_with("tier: Limited\n"), "{human}");
    for refusal in refusals.iter().chain(sandboxes) {
        let remedy = refusal["remedy"].as_str().expect("a remedy");
        assert!(!remedy.is_empty() && human.contains(&format!("remedy: {remedy}\n")), "{human}");
    }
    for sandbox in sandboxes {
        assert!(
            sandbox["refused"].as_str().expect("a reason").contains("held for the whole sandbox"),
            "{sandbox}"
        );
        let remedy = sandbox["remedy"].as_str().expect("a remedy");
        assert!(remedy.contains("Delegate=yes") && remedy.contains("atLeast: {memory: Rlimit}"), "{sandbox}");
    }
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
