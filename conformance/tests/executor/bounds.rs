//! Bad requests and too many of them: the answers are clear, memory is bounded, and the executor survives.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use bailiwick_conformance::patience::{PATIENCE, until};
use serde_json::json;

use crate::stage::{Caller, Stage, kind, own_pack, stdout, value};

#[test]
fn bad_requests_get_a_reason_and_a_remedy() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let session = caller.session.clone();
    let calls = format!("/v1/sessions/{session}/calls");
    let big = format!(r#"{{"tool": "shell.exec", "args": {{"command": "{}"}}}}"#, "x".repeat(10 << 20));
    let deep = format!(r#"{{"tool": "shell.exec", "args": {}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let running = Caller::new(&executor).start(&executor, "cat.stream", json!({}));
    let stdin = format!("{}/stdin", running.path);
    let cases: [(&str, &str, &[u8], u16, &str); 17] = [
        // More than is ever buffered for a command's input.
        ("POST", &stdin, &big.as_bytes()[..(1 << 20) + 1], 413, "too-large"),
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
        ("POST", &format!("{calls}/c-none/stdin?shut=true"), b"", 400, "malformed"),
        ("PUT", "/v1/sessions", b"", 405, "method"),
        ("GET", "/v2", b"", 404, "no-such-path"),
        ("POST", "/v2", &big.as_bytes()[..1 << 19], 404, "no-such-path"),
        ("PUT", "/v1/sessions", &big.as_bytes()[..1 << 19], 405, "method"),
        ("GET", "/v1/approvals", b"", 404, "no-such-path"),
    ];
    for (method, path, body, status, word) in cases {
        let mut client = executor.client().expect("a connection");
        let answer = client
            .request(method, path, &[("content-type", "application/json")], body)
            .unwrap_or_else(|error| panic!("{method} {path} has no answer: {error:#}"));
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

/// Bodies that are sent at the same time, each of 10 MiB.
const TOO_LARGE: u64 = 32;

#[test]
fn arguments_that_are_too_large_are_read_and_not_held() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--max-body-bytes", "1048576", "--read-timeout-s", "120"]);
    let mut caller = Caller::new(&executor);
    caller.shell("echo warm");
    let calls = format!("/v1/sessions/{}/calls", caller.session);
    let big = format!(r#"{{"tool": "shell.exec", "args": {{"command": "{}"}}}}"#, "x".repeat(10 << 20));
    let before = most_resident_kib(executor.id());
    std::thread::scope(|scope| {
        for _ in 0..TOO_LARGE {
            scope.spawn(|| {
                let mut client = executor.client().expect("a connection");
                let json = [("content-type", "application/json")];
                let answer = client.request("POST", &calls, &json, big.as_bytes()).expect("an answer");
                assert_eq!((answer.status, &value(&answer)["error"]), (413, &json!("too-large")));
            });
        }
    });
    // At no time was more of each there than what is allowed, 1 MiB, which grows by doubling and copying.
    let grown = most_resident_kib(executor.id()).saturating_sub(before);
    assert!(grown < TOO_LARGE * 3 * 1024, "{TOO_LARGE} bodies took {grown} KiB");
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
    status_kib(process, "VmRSS:")
}

/// The most that it ever had.
pub(crate) fn most_resident_kib(process: u32) -> u64 {
    status_kib(process, "VmHWM:")
}

fn status_kib(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line of it");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn slow_clients_are_cut_off_and_hold_nobody_up() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--read-timeout-s", "5", "--max-connections", "8"]);
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
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the connection ends");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

/// The thread of a connection runs the call, and must notice all the same that nobody waits for its answer.
#[test]
fn a_client_that_has_left_holds_no_connection_while_its_call_runs() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--max-connections", "2"]);
    let mut caller = Caller::new(&executor);
    let body = json!({ "tool": "cat.stream", "args": {} }).to_string();
    let request = format!(
        "POST /v1/sessions/{}/calls HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        caller.session,
        body.len()
    );
    let mut leaving = UnixStream::connect(stage.path().join("call.sock")).expect("a connection");
    leaving.write_all(request.as_bytes()).expect("it is taken");
    let mut runs = || {
        let text = caller.client.get("/metrics").expect("an answer").body;
        String::from_utf8_lossy(&text).contains("bailiwick_executor_calls 1\n")
    };
    until("the call runs", || runs().then_some(())).expect("it runs");
    drop(leaving);
    let mut other = executor.client().expect("a connection");
    assert_eq!(other.get("/healthz").expect("an answer").status, 200);
    assert!(runs(), "its command waits for input that never comes");
    let session = format!("/v1/sessions/{}", caller.session);
    assert_eq!(caller.client.request("DELETE", &session, &[], b"").expect("an answer").status, 204);
}

/// Clients that request a stream and never read it, each of a command that prints endlessly.
const NOT_READING: u64 = 12;

#[test]
fn clients_that_do_not_read_cost_no_more_than_the_output_limit() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--kept-bytes", "1048576"]);
    let mut caller = Caller::new(&executor);
    caller.shell("echo warm");
    let before = resident_kib(executor.id());
    let body = br#"{"tool": "flood.output"}"#;
    let head = |session: &str| {
        format!(
            "POST /v1/sessions/{session}/calls?stream=true HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
    };
    let unread: Vec<UnixStream> = (0..NOT_READING)
        .map(|_| {
            let session = Caller::new(&executor).session;
            let mut stream = UnixStream::connect(stage.path().join("call.sock")).expect("a connection");
            stream.write_all(head(&session).as_bytes()).expect("it is taken");
            stream.write_all(body).expect("it is taken");
            stream
        })
        .collect();
    until("every flood is cut off", || {
        let records = stage.records();
        let cut = records.iter().filter(|record| record["outcome"]["kind"] == "OutputExceeded");
        (cut.count() as u64 == NOT_READING).then_some(())
    })
    .expect("all of them");
    assert_eq!(stdout(&caller.shell("echo meanwhile")), "meanwhile\n");
    // Output is kept once, and one record of it is made in base64; the limit of each is 1 MiB.
    let grown = resident_kib(executor.id()).saturating_sub(before);
    assert!(grown < NOT_READING * 6 * 1024, "{NOT_READING} clients took {grown} KiB");
    drop(unread);
}

#[test]
fn clients_that_never_read_give_their_places_back() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--max-connections", "2", "--write-timeout-s", "2"]);
    let sessions = [(); 2].map(|()| Caller::new(&executor).session);
    // Every place is taken by a client that requests more than a socket holds, and reads none of it.
    let unread = sessions.map(|session| {
        let body = r#"{"tool": "flood.output"}"#;
        let mut stream = UnixStream::connect(stage.path().join("call.sock")).expect("a connection");
        let head = format!("POST /v1/sessions/{session}/calls?stream=true HTTP/1.1\r\nhost: x\r\n");
        let length = body.len();
        write!(stream, "{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            .expect("it is taken");
        stream
    });
    let both = || {
        let cut =
            stage.records().iter().filter(|record| record["outcome"]["kind"] == "OutputExceeded").count();
        (cut == unread.len()).then_some(())
    };
    until("both commands have ended", both).expect("both");
    assert_eq!(stdout(&Caller::new(&executor).shell("echo served")), "served\n");
    drop(unread);
}

#[test]
fn what_ran_is_gone_with_the_executor() {
    let stage = Stage::new(&own_pack());
    let (mounts, groups) = (mounts(), groups());
    let executor = stage.start(&["--warm", "2", "--drain-s", "1"]);
    let mut caller = Caller::new(&executor);
    let name = format!("bailiwick-left-{}", std::process::id());
    caller.shell(&format!("(exec -a {name} sleep 600 &); mkdir /work/deep; echo x > /tmp/file"));
    caller.call(
        "brief.exec",
        json!({ "command": format!("(exec -a {name} setsid sleep 600 &); exec -a {name} sleep 600") }),
    );
    let hanging =
        caller.start(&executor, "shell.exec", json!({ "command": format!("exec -a {name} sleep 600") }));
    assert!(executor.terminate().expect("it ends").success());
    drop(hanging);
    until("every process is gone", || (named(&name) == 0).then_some(())).expect("none of that name");
    assert_eq!(mounts, self::mounts(), "mounts are left");
    // Another executor of this machine may have created the group meanwhile, and ends too.
    until("every control group is gone", || (self::groups() <= groups).then_some(())).expect("none of ours");
    assert!(!stage.path().join("call.sock").exists() && !stage.path().join("admin.sock").exists());
}

/// Processes of this name.
fn named(name: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let is_named = |entry: &std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next() == Some(name.as_bytes())
    };
    processes.filter(is_named).count()
}

fn mounts() -> usize {
    std::fs::read_to_string("/proc/self/mountinfo").expect("/proc").lines().count()
}

/// The executor's control groups, which are below this process' own: one root in each tree, and in it a group
/// for each sandbox.
fn groups() -> usize {
    let own = std::fs::read_to_string("/proc/self/cgroup").expect("/proc");
    let folders = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).flat_map(|below| {
        let trees =
            std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|tree| tree.path());
        let root = std::path::PathBuf::from("/sys/fs/cgroup");
        let below = below.trim_start_matches('/').to_owned();
        trees.chain([root]).map(move |tree| tree.join(&below).join("bailiwick"))
    });
    let mut folders: Vec<_> = folders.filter(|folder| folder.is_dir()).collect();
    folders.sort();
    folders.dedup();
    folders.len()
}

#[test]
fn calls_beyond_the_bound_are_refused_not_queued() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--max-calls", "2"]);
    // Both wait for their caller's input, which does not arrive.
    let running = [(); 2].map(|()| Caller::new(&executor).start(&executor, "cat.stream", json!({})));
    let mut late = Caller::new(&executor);
    let (status, refused) = late.call("shell.exec", json!({ "command": "true" }));
    assert_eq!((status, &refused["error"]), (429, &json!("busy")), "{refused}");
    for one in running {
        let closed = late.client.post(&format!("{}/stdin?close=true", one.path), b"").expect("an answer");
        assert_eq!(closed.status, 202);
        let events = one.rest();
        assert_eq!(kind(&events.last().expect("the outcome")["call"]), "Exited", "{events:?}");
    }
    // A place is free again once the sandbox of its call is gone, a moment after its answer.
    until("a place is free again", || {
        (late.call("shell.exec", json!({ "command": "true" })).0 == 200).then_some(())
    })
    .expect("a place");
}

#[test]
fn an_executor_whose_connections_are_all_taken_ends_when_it_is_told() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--max-connections", "1", "--drain-s", "1"]);
    let session = Caller::new(&executor).session;
    // The only connection waits for the end of a command that may run for a minute.
    let body = r#"{"tool": "shell.exec", "args": {"command": "sleep 600"}}"#;
    let mut blocked = UnixStream::connect(stage.path().join("call.sock")).expect("a connection");
    let head = format!("POST /v1/sessions/{session}/calls HTTP/1.1\r\nhost: x\r\n");
    let length = body.len();
    write!(blocked, "{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .expect("it is taken");
    let of_kind = |wanted: &str| stage.records().into_iter().find(|record| record["kind"] == wanted);
    until("the call runs", || of_kind("intent")).expect("an intent");
    assert!(executor.terminate().expect("it ends").success());
    assert_eq!(of_kind("result").expect("a result")["outcome"]["kind"], "Cancelled");
}

#[test]
fn calls_that_wait_for_their_session_are_counted_among_those_that_run() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let caller = Caller::new(&executor);
    let running = caller.start(&executor, "cat.stream", json!({}));
    let mut waiting = executor.client().expect("a connection");
    let calls = format!("/v1/sessions/{}/calls", caller.session);
    let waits = std::thread::spawn(move || waiting.post(&calls, br#"{"tool": "count.calls"}"#));
    let mut control = executor.client().expect("a connection");
    let mut counted = |wanted: &str| {
        until("the gauge shows them", || {
            let text = control.get("/metrics").expect("an answer").body;
            String::from_utf8_lossy(&text).lines().any(|line| line == wanted).then_some(())
        })
        .expect("the gauge");
    };
    counted("bailiwick_executor_calls 2");
    let closed =
        executor.client().expect("a connection").post(&format!("{}/stdin?close=true", running.path), b"");
    assert_eq!(closed.expect("an answer").status, 202);
    assert_eq!(waits.join().expect("no panic").expect("an answer").status, 200);
    counted("bailiwick_executor_calls 0");
}

#[test]
fn a_drained_executor_takes_no_calls_and_lets_those_that_run_end() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    // It waits for its caller's input, which has not arrived yet.
    let running = Caller::new(&executor).start(&executor, "cat.stream", json!({}));
    let mut late = Caller::new(&executor);
    let mut admin = executor.admin().expect("a connection");
    assert_eq!(
        late.client.post("/v1/drain", b"").expect("an answer").status,
        404,
        "it is not the callers' to say"
    );
    let answer = admin.post("/v1/drain", b"").expect("an answer");
    assert_eq!((answer.status, value(&answer)), (200, json!({ "running": 1 })));
    let (status, refused) = late.call("shell.exec", json!({ "command": "true" }));
    assert_eq!((status, &refused["error"]), (503, &json!("draining")), "{refused}");
    assert_eq!(late.client.post("/v1/sessions", b"").expect("an answer").status, 503);
    assert_eq!(late.client.get("/readyz").expect("an answer").status, 503);
    let closed = late.client.post(&format!("{}/stdin?close=true", running.path), b"").expect("an answer");
    assert_eq!(closed.status, 202);
    let events = running.rest();
    assert_eq!(kind(&events.last().expect("the outcome")["call"]), "Exited", "{events:?}");
    until("nothing runs", || {
        let answer = admin.post("/v1/drain?waitMs=20000", b"").expect("an answer");
        (value(&answer) == json!({ "running": 0 })).then_some(())
    })
    .expect("the call is cleared away");
    // It has not ended by itself: the one who drained it decides when.
    assert_eq!(late.client.get("/healthz").expect("an answer").status, 200);
}
