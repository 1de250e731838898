//! An agent's calls, one after the other: some ordinary, most hostile. This step shows only the answers; the
//! records show afterwards what stopped each call.

use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use bailiwick_conformance::http;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::heading;
use crate::stage::Stage;

/// The approver's private key in the shipped pack: RFC 8410, section 10.3, which is public.
const ALICE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// The caller: fixed for the socket, whatever a request says.
const SUBJECT: &str = r#"{"agent": "coder", "user": "dana@example.org", "namespace": "agents"}"#;

/// A call, and what its record must say: a part of the text in [`crate::records`].
pub(crate) struct Attempt {
    pub(crate) tool: &'static str,
    pub(crate) text: &'static str,
    pub(crate) ends: &'static str,
}

pub(crate) const ATTEMPTS: [Attempt; 7] = [
    Attempt {
        tool: "python.run",
        text: "print(sum(range(1_000_001)))",
        ends: "it ran to its end and printed `500000500000`",
    },
    Attempt {
        tool: "python.run",
        text: "import os\nwhile True: os.fork()",
        ends: "the cgroup's limit of processes",
    },
    Attempt { tool: "python.run", text: "x = bytearray(1 << 30)", ends: "the cgroup's limit of memory" },
    Attempt { tool: "python.run", text: "while True: pass", ends: "the executor's clock" },
    Attempt {
        tool: "python.run",
        text: "import socket\nsocket.create_connection(('169.254.169.254', 80), 5)",
        ends: "the system-call filter",
    },
    Attempt { tool: "shell.exec", text: "cat /etc/shadow", ends: "the sandbox's file system" },
    Attempt { tool: "shell.exec", text: "git push --force", ends: "restricted-agent@0.2.0/no-forced-push" },
];

/// The command that approvers are asked about.
const ASKED: &str = "echo quarterly > /work/report && cat /work/report";

/// A call that was made, to be found in the log.
pub(crate) struct Made {
    /// Its id.
    pub(crate) id: String,
    /// Its tool.
    pub(crate) tool: &'static str,
    /// What it attempted.
    pub(crate) text: &'static str,
    /// What its record must say.
    pub(crate) ends: &'static str,
    /// The key of the approver who signed for it.
    pub(crate) signed_by: Option<&'static str>,
}

/// The agent's session.
struct Agent {
    client: http::Client<UnixStream>,
    session: String,
}

/// Makes every call; returns them in order.
pub(crate) fn run(stage: &mut Stage) -> Result<Vec<Made>> {
    can_be_confined(stage)?;
    heading("An agent's calls: each is decided, recorded, and run in a sandbox of its own")?;
    std::fs::write(stage.path("subject.json"), SUBJECT)?;
    stage.start_executor()?;
    println!(
        "$ bailiwick-executor serve --bundle bundle.json --state state --socket call.sock --admin-socket admin.sock --subject subject.json --seal"
    );
    let mut client = stage.call_socket()?;
    let session = session(&client.post("/v1/sessions", b"")?)?;
    let mut agent = Agent { client, session };
    let mut made = Vec::new();
    for Attempt { tool, text, ends } in ATTEMPTS {
        let (_, call) = agent.call(tool, text, None)?;
        made.push(Made { id: id(&call)?, tool, text, ends, signed_by: None });
    }
    made.push(ask(stage, &mut agent)?);
    Ok(made)
}

/// The id of the session that was asked for.
pub(crate) fn session(answer: &http::Answer) -> Result<String> {
    ensure!(answer.status == 201, "no session: {}", String::from_utf8_lossy(&answer.body));
    let session: Value = serde_json::from_slice(&answer.body)?;
    Ok(session["id"].as_str().context("a session has no id")?.to_owned())
}

/// Runs nothing on a machine that cannot hold the pack's sandboxes, and says what it lacks and what helps.
fn can_be_confined(stage: &Stage) -> Result<()> {
    heading("What this machine can hold a sandbox to")?;
    std::fs::copy(stage.path("bundles/code-interpreter.json"), stage.path("bundle.json"))?;
    println!("$ bailiwick-executor probe --bundle bundle.json");
    let output = stage.executor_says(&["probe", "--bundle", "bundle.json"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "this machine cannot hold the pack's sandboxes:\n{said}{errors}");
    Ok(())
}

impl Agent {
    /// Makes a call and shows it with its answer.
    fn call(&mut self, tool: &str, text: &str, approval: Option<&str>) -> Result<(u16, Value)> {
        let name = if tool == "python.run" { "code" } else { "command" };
        let mut body = json!({ "tool": tool, "args": { name: text }, "waitForResultRecord": true });
        if let Some(approval) = approval {
            body["approval"] = json!(approval);
        }
        let path = format!("/v1/sessions/{}/calls", self.session);
        let answer = self.client.post(&path, body.to_string().as_bytes())?;
        let call: Value = serde_json::from_slice(&answer.body).context("the answer is not JSON")?;
        println!("\n  {tool}  {}", text.replace('\n', "; "));
        println!("      {} {}", answer.status, shown(&call));
        for stream in ["stdout", "stderr"] {
            let bytes = STANDARD.decode(call[stream].as_str().unwrap_or_default())?;
            // The last line of a traceback contains the error.
            if let Some(line) = String::from_utf8_lossy(&bytes).lines().last() {
                println!("      {stream}: {line}");
            }
        }
        Ok((answer.status, call))
    }
}

fn id(call: &Value) -> Result<String> {
    Ok(call["id"].as_str().with_context(|| format!("not a call: {call}"))?.to_owned())
}

/// Decision and outcome in one line.
fn shown(call: &Value) -> String {
    let decision = &call["decision"];
    let effect = decision["effect"].as_str().unwrap_or("refused");
    let more = match (&decision["remedy"], &call["outcome"]) {
        (Value::String(remedy), _) => {
            format!("{}; instead: {remedy}", decision["reason"].as_str().unwrap_or_default())
        }
        (_, Value::Null) => "people are asked".to_owned(),
        (_, outcome) => match outcome["code"].as_i64() {
            Some(code) => format!("exit code {code}"),
            None => outcome["kind"].as_str().unwrap_or_default().to_owned(),
        },
    };
    format!("{effect}: {more}")
}

/// A call that needs an approval: asked, signed with the approver's key, repeated.
fn ask(stage: &Stage, agent: &mut Agent) -> Result<Made> {
    let (status, asked) = agent.call("shell.exec", ASKED, None)?;
    let question = question(status, &asked)?;
    std::fs::write(stage.path("alice.pem"), ALICE)?;
    println!();
    let steps: [(&[&str], &str); 3] = [
        (&["approvals", "list", "--admin-socket", "admin.sock", question], "question.json"),
        (
            &["approvals", "sign", "--key", "alice.pem", "--key-id", "alice", "question.json"],
            "signature.json",
        ),
        (&["approvals", "submit", "--admin-socket", "admin.sock", question, "signature.json"], "answer.json"),
    ];
    for (args, to) in steps {
        println!("  $ bailiwick-executor {} > {to}", args.join(" "));
        let output = stage.executor_says(args)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`bailiwick-executor {}` failed: {errors}", args.join(" "));
        std::fs::write(stage.path(to), &output.stdout)?;
    }
    let (status, call) = agent.call("shell.exec", ASKED, Some(question))?;
    approved(status, &call)?;
    let ends = "it ran to its end and printed `quarterly`";
    Ok(Made { id: id(&call)?, tool: "shell.exec", text: ASKED, ends, signed_by: Some("alice") })
}

/// The id of the question that approvers are asked in place of an answer.
pub(crate) fn question(status: u16, asked: &Value) -> Result<&str> {
    let question = asked["decision"]["approval"]["id"].as_str();
    question.filter(|_| status == 202).with_context(|| format!("nobody is asked: {asked}"))
}

/// Whether a call ran once it was approved.
pub(crate) fn approved(status: u16, call: &Value) -> Result<()> {
    ensure!(status == 200, "an approved call did not run: {call}");
    Ok(())
}
