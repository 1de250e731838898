//! Every command of `docs/guide/tool-calls.md` that needs a server or a key, in order, as a reader would type
//! it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::http;
use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::{self, Running};
use serde_json::{Value, json};

use crate::stage::{Caller, Stage, limits_are_exact, said, shipped, value};

/// RFC 8410, section 10.3: the private half of the pack's approver, which is public.
const ALICE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

fn shell(stage: &Stage, line: &str) -> Command {
    let programs = programs::find("bailiwick-executor").expect("the programs are built");
    let folder = programs.parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    // `exec`, so that a signal to the child ends the server and not a shell.
    command.args(["-c", line]).current_dir(stage.path()).env("PATH", path).stdin(Stdio::null());
    command
}

fn ran(stage: &Stage, line: &str, codes: &[i32]) -> Output {
    let output = programs::with_the_cgroup(&mut shell(stage, line)).expect("bash");
    assert!(
        output.status.code().is_some_and(|code| codes.contains(&code)),
        "{line}: {:?}: {}",
        output.status,
        said(&output)
    );
    output
}

/// The guide's server, once no other executor holds the machine's cgroup.
fn serving(stage: &Stage, line: &str) -> Running {
    let log = stage.path().join("server.log");
    let start = || {
        let stderr = std::fs::File::create(&log).expect("a file");
        let mut command = shell(stage, &format!("exec {line}"));
        Running::start(command.stderr(stderr).stdout(Stdio::null())).expect("it starts")
    };
    let mut server = start();
    until("the server listens", || {
        if server.ended().expect("its status").is_some() {
            let said = std::fs::read_to_string(&log).expect("its log");
            assert!(said.contains("is in use by another process"), "{said}");
            server = start();
        }
        let sockets = ["run/call.sock", "admin/admin.sock"];
        sockets.iter().all(|path| http::unix(&stage.path().join(path)).is_ok()).then_some(())
    })
    .expect("a server");
    server
}

/// The blocks of the guide with this tag.
fn blocks<'g>(guide: &'g str, tag: &str) -> Vec<&'g str> {
    let fence = format!("```{tag}\n");
    let parts = guide.split(fence.as_str()).skip(1);
    parts.filter_map(|part| part.split("\n```").next()).collect()
}

/// The guide's rules in the pack that it refers to.
fn with_the_guides_rules(guide: &str) -> Stage {
    let (sandboxes, rules): (Vec<&str>, Vec<&str>) =
        blocks(guide, "yaml").into_iter().partition(|block| block.starts_with("- name: "));
    assert_eq!((sandboxes.len(), rules.len()), (1, 3), "the guide has other blocks");
    let indented =
        |block: &str, by: &str| -> String { block.lines().map(|line| format!("{by}{line}\n")).collect() };
    let small = sandboxes[0].replace("name: quiet", "name: small").replace("processes: 16", "processes: 8");
    let small = small.replace("output: 64Ki", "output: 128Ki");
    let more = "    - {name: smaller, tools: [shell.exec], when: \"call.args.command == 'ls both'\", narrow: {sandbox: small}}\n";
    let rules: String = rules.into_iter().map(|rule| indented(rule, "    ")).collect();
    let text = std::fs::read_to_string(shipped("code-interpreter").join("pack.yaml")).expect("the pack");
    let text = text.replacen("    rules:\n", &format!("    rules:\n{rules}{more}"), 1);
    let sandboxes = indented(sandboxes[0], "  ") + &indented(&small, "  ");
    let text = text.replacen("  sandboxes:\n", &format!("  sandboxes:\n{sandboxes}"), 1);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("code-interpreter", Some(text)), ("restricted-agent", None)] {
        let pack = folder.path().join(name);
        std::fs::create_dir(&pack).expect("a folder");
        for file in std::fs::read_dir(shipped(name)).expect("the pack") {
            let file = file.expect("a file").path();
            if file.is_file() {
                std::fs::copy(&file, pack.join(file.file_name().expect("a name"))).expect("a copy");
            }
        }
        if let Some(text) = text {
            std::fs::write(pack.join("pack.yaml"), text).expect("the pack");
        }
    }
    Stage::new(&folder.path().join("code-interpreter"))
}

/// The guide's text about narrower sandboxes, other arguments and rules in shadow.
#[test]
fn the_rules_of_the_guide_do_what_it_says() {
    if !limits_are_exact("the guide's pack, which asks for them") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let guide = std::fs::read_to_string(root.join("docs/guide/tool-calls.md")).expect("the guide");
    let (_, guide) = guide.split_once("\n## Rules that change a call\n").expect("the section");
    let (guide, _) = guide.split_once("\n## ").expect("what follows");
    let stage = with_the_guides_rules(guide);
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let mut run = |command: &str| caller.call("shell.exec", json!({ "command": command }));
    let (_, listed) = run("ls /tmp");
    assert_ne!(listed["outcome"]["code"], 0, "{listed}");
    let (status, conflict) = run("ls both");
    assert_eq!(status, 403, "{conflict}");
    let (_, renamed) = run("dir");
    let (_, watched) = run("cat secret");
    assert!(watched["outcome"].is_object(), "{watched}");
    assert!(executor.terminate().expect("it ends").success());
    let records = stage.records();
    let of = |call: &Value| {
        let wanted = |record: &&Value| record["call"] == call["id"] && record["kind"] != "result";
        records.iter().find(wanted).cloned().unwrap_or_default()
    };
    let mut rules = of(&watched)["rules"].clone();
    for rule in rules.as_array_mut().expect("rules") {
        rule["pack"] = json!("code-interpreter@VERSION");
    }
    let shown = [
        json!({"decision": {"effect": "Deny", "reason": conflict["decision"]["reason"]}}),
        json!({"sandbox": of(&listed)["sandbox"]}),
        json!({ "rules": rules }),
    ];
    let written = blocks(guide, "json").into_iter().map(|block| {
        let whole = if block.starts_with('{') { block.to_owned() } else { format!("{{{block}}}") };
        serde_json::from_str::<Value>(&whole).expect("JSON")
    });
    assert_eq!(written.collect::<Vec<_>>(), shown);
    // The final arguments are recorded, and what ran.
    let output = stage.bailiwick(&["audit", "inspect", "state", renamed["id"].as_str().expect("an id")]);
    assert!(said(&output).contains(r#"arguments  {"command":"cat /etc/motd"}"#), "{}", said(&output));
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
    // Fenced text is shown, or run by the test of all documents.
    let unfenced = text.split("\n```").step_by(2).flat_map(str::lines);
    for line in unfenced.filter_map(|line| line.strip_prefix("    ")) {
        seen += 1;
        if line.contains(" serve ") {
            server = Some(serving(&stage, line));
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
            // The calls of a session take turns, so this answer's checkpoint covers the result of the first one.
            std::fs::write(
                stage.path().join("checkpoint.txt"),
                asked["checkpoint"].as_str().expect("a note"),
            )
            .expect("it is kept");
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
