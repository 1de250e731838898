//! Every command of `docs/guide/tool-calls.md`, in order, as a reader would type it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use bailiwick_conformance::patience::until;
use bailiwick_conformance::{http, programs};
use serde_json::{Value, json};

use crate::stage::{Stage, limits_are_exact, said, shipped, value};

/// RFC 8410, section 10.3: the private half of the pack's approver, known to everybody.
const ALICE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// Ended with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shell(stage: &Stage, line: &str) -> Command {
    let programs = programs::find("bailiwick-executor").expect("the programs are built");
    let folder = programs.parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    // `exec`, so that whoever ends the server ends the server and not a shell.
    command.args(["-c", line]).current_dir(stage.path()).env("PATH", path).stdin(Stdio::null());
    command
}

fn ran(stage: &Stage, line: &str, codes: &[i32]) -> Output {
    let output = shell(stage, line).output().expect("bash");
    assert!(
        output.status.code().is_some_and(|code| codes.contains(&code)),
        "{line}: {:?}: {}",
        output.status,
        said(&output)
    );
    output
}

#[test]
fn every_command_of_the_guide_runs() {
    if !limits_are_exact("the guide's pack, which asks for them") {
        return;
    }
    let stage = Stage::new(&shipped("code-interpreter"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::remove_dir_all(stage.path().join("dist")).expect("dist");
    std::os::unix::fs::symlink(root.join("policy-packs"), stage.path().join("policy-packs")).expect("a link");
    std::fs::write(stage.path().join("alice.pem"), ALICE).expect("a key");
    std::fs::write(
        stage.path().join("subject.json"),
        r#"{"agent": "coder", "user": "dana", "namespace": "agents"}"#,
    )
    .expect("a subject");
    let text = std::fs::read_to_string(root.join("docs/guide/tool-calls.md")).expect("the guide");
    let (mut server, mut session, mut question, mut call, mut seen) =
        (None, String::new(), String::new(), String::new(), 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("    ")) {
        seen += 1;
        if line.contains(" serve ") {
            let log = std::fs::File::create(stage.path().join("server.log")).expect("a file");
            server = Some(Server(
                shell(&stage, &format!("exec {line}"))
                    .stderr(log)
                    .stdout(Stdio::null())
                    .spawn()
                    .expect("it starts"),
            ));
            until("the server listens", || {
                let sockets = ["run/call.sock", "admin/admin.sock"];
                sockets.iter().all(|path| http::unix(&stage.path().join(path)).is_ok()).then_some(())
            })
            .expect("a server");
        } else if line.contains("/v1/sessions/ID/calls") {
            let output = ran(&stage, &line.replace("ID", &session), &[0]);
            let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(answer["stdout"], "NDIK", "{answer}");
            call = answer["id"].as_str().expect("an id").to_owned();
            let mut client = http::unix(&stage.path().join("run/call.sock")).expect("a connection");
            let body = json!({ "tool": "shell.exec", "args": { "command": "make" } }).to_string();
            let asked = value(
                &client.post(&format!("/v1/sessions/{session}/calls"), body.as_bytes()).expect("an answer"),
            );
            question = asked["decision"]["approval"]["id"].as_str().expect("an id").to_owned();
        } else if line.contains("/v1/sessions") {
            let answer: Value = serde_json::from_slice(&ran(&stage, line, &[0]).stdout).expect("JSON");
            session = answer["id"].as_str().expect("an id").to_owned();
        } else if line.contains("audit verify") {
            let log = std::fs::read_to_string(stage.path().join("server.log")).expect("the log");
            let key = log
                .split("log_key=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .expect("the key")
                .to_owned();
            drop(server.take());
            // The log of a server that was not sealed is open, which is not a finding.
            ran(&stage, &line.replace("KEY", &key), &[0, 6]);
        } else if line.contains("audit") {
            ran(&stage, &line.replace("CALL", &call), &[0, 6]);
        } else {
            ran(&stage, &line.replace("ID", &question), &[0]);
        }
    }
    assert!(seen >= 12, "{seen} commands");
}
