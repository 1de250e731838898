//! Bad requests and too many of them: clear answers, bounded memory, and the executor lives on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::{Caller, Stage, own_pack, stdout, value};

#[test]
fn bad_requests_get_a_reason_and_a_remedy() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let session = caller.session.clone();
    let calls = format!("/v1/sessions/{session}/calls");
    let big = format!(r#"{{"tool": "shell.exec", "args": {{"command": "{}"}}}}"#, "x".repeat(10 << 20));
    let deep = format!(r#"{{"tool": "shell.exec", "args": {}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let cases: [(&str, &str, &[u8], u16, &str); 13] = [
        ("POST", &calls, b"", 400, "malformed"),
        ("POST", &calls, b"{", 400, "malformed"),
        ("POST", &calls, b"\xff\xfe", 400, "malformed"),
        ("POST", &calls, br#"{"tool": "shell.exec", "subject": {"agent": "root"}}"#, 400, "malformed"),
        ("POST", &calls, br#"{"tool": "shell.exec", "args": []}"#, 400, "malformed"),
        ("POST", &calls, br#"{"tool": "shell.exec", "approval": "nope"}"#, 404, "unknown-approval"),
        ("POST", &calls, deep.as_bytes(), 400, "malformed"),
        ("POST", &calls, big.as_bytes(), 413, "too-large"),
        ("POST", "/v1/sessions/s-none/calls", br#"{"tool": "x"}"#, 404, "unknown-session"),
        ("GET", &format!("{calls}/c-none"), b"", 404, "unknown-call"),
        ("PUT", "/v1/sessions", b"", 405, "method"),
        ("GET", "/v2", b"", 404, "no-such-path"),
        ("GET", "/v1/approvals", b"", 404, "no-such-path"),
    ];
    for (method, path, body, status, word) in cases {
        let mut client = executor.client().expect("a connection");
        let answer = client.request(method, path, &[("content-type", "application/json")], body);
        // A body that is refused unread may meet a closed connection.
        let Ok(answer) = answer else {
            assert_eq!(status, 413, "{method} {path}");
            continue;
        };
        let problem = value(&answer);
        assert_eq!(
            (answer.status, problem["error"].as_str()),
            (status, Some(word)),
            "{method} {path}: {problem}"
        );
        assert!(problem["message"].as_str().is_some_and(|text| text.len() > 10), "{problem}");
    }
    assert_eq!(stdout(&caller.shell("echo alive")), "alive\n");
}

#[test]
fn ten_thousand_sessions_are_held_and_one_more_is_refused() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--max-sessions", "10000"]);
    let mut client = executor.client().expect("a connection");
    let before = resident_kib(executor.id());
    for _ in 0..10_000 {
        assert_eq!(client.post("/v1/sessions", b"").expect("an answer").status, 201);
    }
    let answer = client.post("/v1/sessions", b"").expect("an answer");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    let grown = resident_kib(executor.id()).saturating_sub(before);
    assert!(grown < 128 << 10, "10,000 sessions took {grown} KiB");
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn slow_clients_are_cut_off_and_hold_nobody_up() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--read-timeout-s", "1", "--max-connections", "8"]);
    let mut caller = Caller::new(&executor);
    let slow: Vec<UnixStream> = (0..6)
        .map(|number| {
            let mut stream = UnixStream::connect(stage.path().join("call.sock")).expect("a connection");
            let half: &[u8] = match number % 2 {
                0 => b"POST /v1/sessions HTTP/1.1\r\nhost: x\r\n",
                _ => b"POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
            };
            stream.write_all(half).expect("it is taken");
            stream
        })
        .collect();
    assert_eq!(stdout(&caller.shell("echo meanwhile")), "meanwhile\n");
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the connection ends");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[test]
fn calls_beyond_the_bound_are_refused_not_queued() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--max-calls", "2"]);
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let mut caller = Caller::new(&executor);
            std::thread::spawn(move || caller.shell("sleep 1.5"))
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(20);
    let mut late = Caller::new(&executor);
    let refused = loop {
        let (status, body) = late.call("shell.exec", json!({ "command": "true" }));
        if status == 429 {
            break body;
        }
        assert!(Instant::now() < until, "never refused");
    };
    assert_eq!(refused["error"], "busy", "{refused}");
    for caller in callers {
        caller.join().expect("it ran");
    }
    // A place is free again once the sandbox of its call is gone, which is a moment after its answer.
    while late.call("shell.exec", json!({ "command": "true" })).0 != 200 {
        assert!(Instant::now() < until, "no place is free again");
    }
}
