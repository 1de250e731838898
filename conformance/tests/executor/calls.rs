//! Calls: decided, run, answered.

use serde_json::{Value, json};

use crate::stage::{Caller, Stage, kind, limits_are_exact, own_pack, shipped, stdout, value};

#[test]
fn the_shipped_pack_decides_and_runs() {
    if !limits_are_exact("the shipped pack, which asks for them") {
        return;
    }
    let stage = Stage::new(&shipped("code-interpreter"));
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let (status, call) = caller
        .call("python.run", json!({ "code": "import math, json\nprint(json.dumps(math.factorial(10)))" }));
    assert_eq!((status, kind(&call), stdout(&call).as_str()), (200, "Exited", "3628800\n"), "{call}");
    let (status, call) = caller.call("shell.exec", json!({ "command": "ls /usr | wc -l" }));
    assert_eq!((status, kind(&call)), (200, "Exited"), "{call}");
    let (status, call) = caller.call("shell.exec", json!({ "command": "git push --force" }));
    assert_eq!(status, 403, "{call}");
    assert_eq!(call["decision"]["remedy"], "open a new branch instead");
    assert!(call["decision"]["rules"].to_string().contains("no-forced-push"), "{call}");
    assert_eq!(call["outcome"], Value::Null);
    let (status, call) = caller.call("shell.exec", json!({ "command": "make -j4" }));
    assert_eq!(status, 202, "{call}");
    assert_eq!(call["decision"]["approval"]["groups"][0]["quorum"], 1);
}

#[test]
fn what_is_not_granted_does_not_run() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let cases = [
        (json!({ "tool": "no.such" }), 403, "unknown-tool"),
        (json!({ "tool": "shell.exec" }), 403, "arguments"),
        (json!({ "tool": "shell.exec", "args": { "command": 7 } }), 403, "arguments"),
        (json!({ "tool": "shell.exec", "args": { "command": "ls", "more": 1 } }), 403, "arguments"),
        (json!({ "tool": "never.granted", "args": {} }), 403, "no-rule"),
        (json!({ "tool": "shell.exec", "args": { "command": "touch /work/tripwire" } }), 403, "rule"),
        (json!({ "tool": "shell.exec", "args": { "command": "a\0b" } }), 403, "plan"),
    ];
    for (body, expected, reason) in cases {
        let (status, call) = caller.send(body.clone(), "");
        let said = call["decision"]["reason"].as_str().unwrap_or_default();
        assert_eq!((status, said.split(':').next()), (expected, Some(reason)), "{body}: {call}");
        assert_eq!(call["durable"], "decision");
    }
    assert_eq!(stdout(&caller.shell("ls -A /work | wc -l")), "0\n");
}

#[test]
fn a_workspace_is_the_session_s_and_a_sandbox_is_new() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let (mut one, mut other) = (Caller::new(&executor), Caller::new(&executor));
    one.shell("echo mine > /work/file; echo gone > /tmp/file; cd /work; (sleep 1000 &)");
    assert_eq!(
        stdout(
            &one.shell(
                "cat /work/file; ls -A /tmp | wc -l; ls /proc > /tmp/seen; grep -c '^[0-9]' /tmp/seen"
            )
        ),
        "mine\n0\n3\n"
    );
    assert_eq!(stdout(&other.shell("ls -A /work | wc -l")), "0\n");
    let (status, call) = one.call("workspace.write", json!({ "path": "made", "content": "by the clerk" }));
    assert_eq!((status, &call["result"]["sizeBytes"]), (200, &json!(12)), "{call}");
    assert_eq!(stdout(&one.shell("cat /work/made")), "by the clerk");
    let (_, call) = one.call("workspace.read", json!({ "path": "file" }));
    assert_eq!(call["result"]["content"], "bWluZQo=", "{call}");
    one.shell("ln -s /etc/passwd /work/link; mkdir /work/more");
    let (_, call) = one.call("workspace.list", json!({ "path": "." }));
    let names: Vec<&str> = call["result"]["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["path"].as_str())
        .collect();
    assert_eq!(names, ["file", "link", "made", "more"]);
    for path in ["link", "more", "../x", "/etc/passwd"] {
        let (_, call) = one.call("workspace.read", json!({ "path": path }));
        let refused = call["result"]["error"].is_string() || kind(&call) == "SetupFailed";
        assert!(refused, "{path}: {call}");
    }
}

/// A system call of the x32 form, which no program of the sandbox needs: `getpid` with bit 30 set.
const X32: &str = "python3 -c 'import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)'";

#[test]
fn every_way_in_which_a_call_ends_has_its_word() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let mut endings = vec![
        ("head -c 1000000 /dev/zero; sleep 600", "OutputExceeded"),
        ("while :; do :; done", "CpuTimeExceeded"),
        ("kill -9 $$", "Signaled"),
        ("exit 7", "Exited"),
        // As the API documents: of an end by a signal the kernel reports only the number, so this one looks
        // as if the filter had killed it.
        ("kill -SYS $$", "SyscallDenied"),
    ];
    if cfg!(target_arch = "x86_64") {
        endings.push((X32, "SyscallDenied"));
    }
    if limits_are_exact("limits of memory and processes") {
        endings.push(("python3 -c 'x = bytearray(1 << 30)'", "MemoryExceeded"));
        endings.push(("python3 -c 'import os\nwhile True: os.fork()'", "ProcessesExceeded"));
    }
    for (command, expected) in endings {
        let call = caller.shell(command);
        assert_eq!(kind(&call), expected, "{command}: {}", call["outcome"]);
        if expected == "ProcessesExceeded" {
            assert!(call["outcome"]["usage"]["refusedForks"].as_u64() > Some(0), "{call}");
        }
    }
    let (_, call) = caller.call("brief.exec", json!({ "command": "sleep 600" }));
    assert_eq!(kind(&call), "TimedOut", "{}", call["outcome"]);
    let (_, call) = caller.call("missing.program", json!({}));
    assert_eq!(kind(&call), "SetupFailed", "{}", call["outcome"]);
    assert!(call["outcome"]["step"].is_string(), "{call}");
    let running = caller.start(&executor, "shell.exec", json!({ "command": "sleep 600" }));
    let answer = caller.client.post(&format!("{}/cancel", running.path), b"").expect("an answer");
    assert_eq!(answer.status, 202);
    let events = running.rest();
    assert_eq!(kind(&events.last().expect("the outcome")["call"]), "Cancelled", "{events:?}");
    assert_eq!(stdout(&caller.shell("echo still here")), "still here\n");
}

#[test]
fn a_throttle_counts_and_says_when_to_come_again() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    for _ in 0..3 {
        assert_eq!(caller.call("count.calls", json!({})).0, 200);
    }
    let path = format!("/v1/sessions/{}/calls", caller.session);
    let answer = caller.client.post(&path, br#"{"tool": "count.calls"}"#).expect("an answer");
    assert_eq!(answer.status, 429);
    let seconds: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=3700).contains(&seconds), "{seconds}");
    assert!(value(&answer)["decision"]["retryAfterMs"].as_u64() > Some(0));
    // The counter is the session's.
    assert_eq!(Caller::new(&executor).call("count.calls", json!({})).0, 200);
}

#[test]
fn output_is_streamed_and_can_be_read_again_from_an_offset() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let path = format!("/v1/sessions/{}/calls?stream=true", caller.session);
    let body =
        json!({ "tool": "shell.exec", "args": { "command": "echo one; sleep 0.3; echo two >&2; exit 3" } });
    let answer = caller.client.post(&path, body.to_string().as_bytes()).expect("an answer");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let events: Vec<Value> = answer
        .body
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types, ["decision", "chunk", "chunk", "outcome"], "{events:?}");
    assert_eq!((&events[1]["stream"], &events[1]["data"]), (&json!("stdout"), &json!("b25lCg==")));
    assert_eq!((&events[2]["stream"], &events[2]["data"]), (&json!("stderr"), &json!("dHdvCg==")));
    assert_eq!(events[3]["call"]["outcome"]["code"], 3);
    let id = events[0]["id"].as_str().expect("an id");
    let path = format!("/v1/sessions/{}/calls/{id}?stdout=2&waitMs=1000", caller.session);
    let again = value(&caller.client.get(&path).expect("an answer"));
    assert_eq!(
        (again["stdout"].as_str(), again["stderr"].as_str()),
        (Some("ZQo="), Some("dHdvCg==")),
        "{again}"
    );
    let other = Caller::new(&executor).session;
    let answer = caller.client.get(&format!("/v1/sessions/{other}/calls/{id}")).expect("an answer");
    assert_eq!(answer.status, 404, "a call of another session");
}

#[test]
fn a_caller_feeds_signals_and_cancels() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let caller = Caller::new(&executor);
    let mut control = executor.client().expect("a connection");
    let stream = caller.start(&executor, "cat.stream", json!({}));
    for (query, body, expected) in [("", "hello ", 202), ("?close=true", "world", 202), ("", "late", 409)] {
        let path = format!("{}/stdin{query}", stream.path);
        let answer = control.request("POST", &path, &[], body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, expected, "{}", String::from_utf8_lossy(&answer.body));
    }
    let data: String = stream.rest().iter().filter(|event| event["type"] == "chunk").map(printed).collect();
    assert_eq!(data, "hello world");
    let waiting = "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.05; done";
    let mut stream = caller.start(&executor, "shell.exec", json!({ "command": waiting }));
    // The command prints once it has set its trap.
    let said = stream.event().expect("the connection holds").expect("a chunk");
    assert_eq!(printed(&said), "ready\n", "{said}");
    let path = stream.path.clone();
    assert_eq!(
        control.post(&format!("{path}/signal"), br#"{"signal": "USR1"}"#).expect("an answer").status,
        202
    );
    let events = stream.rest();
    assert_eq!(events.last().expect("the outcome")["call"]["outcome"]["code"], 9, "{events:?}");
    assert_eq!(
        control.post(&format!("{path}/signal"), br#"{"signal": "SEGV"}"#).expect("an answer").status,
        400
    );
    assert_eq!(control.post(&format!("{path}/cancel"), b"").expect("an answer").status, 409, "it has ended");
}

/// What a chunk carries.
fn printed(event: &Value) -> String {
    stdout(&json!({ "stdout": event["data"] }))
}

#[test]
fn a_repeated_key_gives_the_first_call() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let path = format!("/v1/sessions/{}/calls", caller.session);
    let mut send = |command: &str| {
        let body = json!({ "tool": "shell.exec", "args": { "command": command } }).to_string();
        let headers = [("idempotency-key", "k-1"), ("content-type", "application/json")];
        caller.client.request("POST", &path, &headers, body.as_bytes()).expect("an answer")
    };
    let first = value(&send("echo x >> /work/runs; cat /work/runs"));
    let second = value(&send("echo x >> /work/runs; cat /work/runs"));
    assert_eq!((&first["id"], stdout(&second).as_str()), (&second["id"], "x\n"), "it ran once");
    assert_eq!(send("echo other").status, 409);
}

#[test]
fn a_repeated_key_of_a_dropped_call_runs_nothing() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--kept-calls", "2"]);
    let mut caller = Caller::new(&executor);
    let path = format!("/v1/sessions/{}/calls", caller.session);
    let body = json!({ "tool": "shell.exec", "args": { "command": "echo x >> /work/runs" } }).to_string();
    let headers = [("idempotency-key", "k-1"), ("content-type", "application/json")];
    let first = caller.client.request("POST", &path, &headers, body.as_bytes()).expect("an answer");
    assert_eq!(first.status, 200);
    for _ in 0..3 {
        caller.shell("true");
    }
    let again = caller.client.request("POST", &path, &headers, body.as_bytes()).expect("an answer");
    assert_eq!((again.status, &value(&again)["error"]), (410, &json!("dropped")));
    assert_eq!(stdout(&caller.shell("wc -l < /work/runs")).trim(), "1", "it ran once");
}
