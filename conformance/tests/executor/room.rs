//! Callers that send a lot at one time: what the executor holds for all of them together is bounded, and small
//! calls are served meanwhile.

use std::io::{Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::Executor;
use serde_json::json;

use crate::bounds::most_resident_kib;
use crate::stage::{Caller, Stage, own_pack, stdout, value};

/// What the executor may come to take by these calls: the default of `--max-held-bytes`, 128 MiB, and one and a half times
/// as much for the records, which are made one at a time, and for what its allocator does not give back. Without a bound
/// the first of these tests took 1.8 GiB, and the others 800 MiB.
const MOST_KIB: u64 = 320 << 10;

/// Bytes of a large body: the most that is read by default, but for its frame.
const LARGE: usize = (4 << 20) - 4096;

/// A call with an array of this many bytes. Each two of them are a value, which takes many times as much when it is
/// read.
fn zeros(bytes: usize) -> Vec<u8> {
    format!(r#"{{"tool":"no.such.tool","args":{{"a":[{}0]}}}}"#, "0,".repeat(bytes / 2)).into_bytes()
}

/// The calls that run or wait, as the executor counts them.
fn calls(executor: &Executor) -> usize {
    let text = executor.client().and_then(|mut client| client.get("/metrics")).expect("an answer").body;
    let text = String::from_utf8_lossy(&text);
    let count = text.lines().find_map(|line| line.strip_prefix("bailiwick_executor_calls "));
    count.and_then(|count| count.parse().ok()).expect("the gauge")
}

/// The status that a client gets for a call of its own connection.
fn status(executor: &Executor, session: &str, body: &[u8]) -> u16 {
    let mut client = executor.client().expect("a connection");
    let answer = client.post(&format!("/v1/sessions/{session}/calls"), body).expect("an answer");
    if answer.status == 429 {
        assert_eq!((answer.header("retry-after"), &value(&answer)["error"]), (Some("1"), &json!("busy")));
    }
    answer.status
}

/// A call with a string of this many bytes.
fn text(bytes: usize) -> Vec<u8> {
    format!(r#"{{"tool":"no.such.tool","args":{{"a":"{}"}}}}"#, "x".repeat(bytes)).into_bytes()
}

/// Calls that are to wait for one session, half of them with many values. Ten of the others fit into the room.
const WAITING: usize = 40;

#[test]
fn large_calls_that_wait_for_their_session_take_no_more_than_the_bound() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let (mut other, caller) = (Caller::new(&executor), Caller::new(&executor));
    other.shell("echo warm");
    let running = caller.start(&executor, "cat.stream", json!({}));
    let before = most_resident_kib(executor.id());
    let (bodies, refused) = ([zeros(LARGE), text(LARGE)], AtomicUsize::new(0));
    let send = |kind: usize| {
        let status = status(&executor, &caller.session, &bodies[kind]);
        refused.fetch_add(usize::from(status != 403), Ordering::Relaxed);
        (kind, status)
    };
    let send = &send;
    let statuses: Vec<(usize, u16)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..WAITING).map(|number| scope.spawn(move || send(number % 2))).collect();
        let all = || (calls(&executor) + refused.load(Ordering::Relaxed) > WAITING).then_some(());
        until("each call waits or is refused", all).expect("all of them");
        let grown = most_resident_kib(executor.id()).saturating_sub(before);
        assert!(grown < MOST_KIB, "{WAITING} calls that wait took {grown} KiB");
        assert_eq!(stdout(&other.shell("echo meanwhile")), "meanwhile\n");
        let closed = other.client.post(&format!("{}/stdin?close=true", running.path), b"");
        assert_eq!(closed.expect("an answer").status, 202);
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    // As values, the zeros of one call would take more than all calls may take together.
    let is_expected = |(kind, status): &(usize, u16)| [[413, 429], [403, 429]][*kind].contains(status);
    assert!(statuses.iter().all(is_expected), "{statuses:?}");
    assert!([(0, 413), (1, 403), (1, 429)].iter().all(|one| statuses.contains(one)), "{statuses:?}");
    let grown = most_resident_kib(executor.id()).saturating_sub(before);
    assert!(grown < MOST_KIB, "{WAITING} calls took {grown} KiB");
    // What they held is free again.
    until("all have gone", || (calls(&executor) == 0).then_some(())).expect("they end");
    assert_eq!(status(&executor, &other.session, &text(LARGE)), 403);
}

/// Clients that keep back the end of what they send.
const WITHHOLDING: usize = 200;

#[test]
fn clients_that_keep_back_the_end_of_large_bodies_take_no_more_than_the_bound() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--read-timeout-s", "120"]);
    let mut caller = Caller::new(&executor);
    caller.shell("echo warm");
    let before = most_resident_kib(executor.id());
    let part = vec![b'x'; LARGE];
    let withheld: Vec<UnixStream> = (0..WITHHOLDING)
        .map(|number| {
            let mut stream = UnixStream::connect(stage.path().join("call.sock")).expect("a connection");
            let head = format!("POST /v1/sessions/{}/calls HTTP/1.1\r\nhost: x\r\n", caller.session);
            // Half of them say how much comes.
            let framing = match number % 2 {
                0 => format!("content-length: {}\r\n\r\n", LARGE + 10),
                _ => format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", LARGE + 10),
            };
            stream.write_all(format!("{head}{framing}").as_bytes()).expect("it is taken");
            stream.write_all(&part).expect("it is taken");
            stream
        })
        .collect();
    let grown = most_resident_kib(executor.id()).saturating_sub(before);
    assert!(grown < MOST_KIB, "{WITHHOLDING} clients took {grown} KiB");
    assert_eq!(stdout(&caller.shell("echo meanwhile")), "meanwhile\n");
    assert_eq!(status(&executor, &caller.session, &text(LARGE)), 429, "there is no room");
    drop(withheld);
    let served = || (status(&executor, &caller.session, &text(LARGE)) == 403).then_some(());
    until("there is room again", served).expect("what was held is free");
}

/// Sessions whose calls come at the same time.
const AT_ONCE: usize = 32;

#[test]
fn arguments_of_many_values_in_many_sessions_take_no_more_than_the_bound() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    Caller::new(&executor).shell("echo warm");
    let before = most_resident_kib(executor.id());
    let body = zeros(2 << 20);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let call = || status(&executor, &Caller::new(&executor).session, &body);
        let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(call)).collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    assert!(statuses.iter().all(|status| [403, 429].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&403), "{statuses:?}");
    let grown = most_resident_kib(executor.id()).saturating_sub(before);
    assert!(grown < MOST_KIB, "{AT_ONCE} calls took {grown} KiB");
}

/// Bytes of the files in a folder.
fn bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file"));
    files.map(|file| file.metadata().expect("a file").len()).sum()
}

#[test]
fn calls_that_no_rule_is_about_do_not_fill_the_disk_with_their_arguments() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let session = Caller::new(&executor).session;
    let disclosures = stage.path().join("state/disclosures");
    let small = br#"{"tool": "no.such.tool", "args": {"a": 1}}"#;
    assert_eq!(status(&executor, &session, small), 403);
    let before = bytes_in(&disclosures);
    assert_eq!(status(&executor, &session, &text(LARGE)), 403);
    // The tool is there, and its schema has no such member.
    let unfit = format!(r#"{{"tool": "count.calls", "args": {{"a": "{}"}}}}"#, "x".repeat(LARGE));
    assert_eq!(status(&executor, &session, unfit.as_bytes()), 403);
    let grown = bytes_in(&disclosures) - before;
    assert!(grown < 16 << 10, "two denied calls of 4 MiB left {grown} bytes");
    assert!(executor.terminate().expect("it ends").success());
    let mut openings = String::new();
    for file in std::fs::read_dir(&disclosures).expect("the folder") {
        let mut file = std::fs::File::open(file.expect("a file").path()).expect("a file");
        file.read_to_string(&mut openings).expect("text");
    }
    // What is left proves what was sent to whoever has it.
    assert_eq!(openings.matches(&format!(r#"\"bytes\":{}"#, LARGE + 8)).count(), 2, "{openings}");
    let output =
        stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let replay = &report["replay"];
    assert_eq!(
        (output.status.code(), &replay["equal"], &replay["withoutInputs"], &replay["different"]),
        (Some(6), &json!(1), &json!(2), &json!([])),
        "{report}"
    );
}

/// A caller must not get rid of its records where a directory that is too large goes away.
#[test]
fn in_a_state_directory_that_is_as_large_as_it_may_be_nothing_begins_and_nothing_is_lost() {
    let stage = Stage::new(&own_pack());
    // A segment has 16 MiB from the start.
    let executor = stage.start(&["--max-state-bytes", &(17 << 20).to_string()]);
    let mut caller = Caller::new(&executor);
    let (mut ran, began) = (0, Instant::now());
    let refusal = loop {
        assert!(began.elapsed() < Duration::from_secs(300), "{ran} calls fit into a megabyte");
        match caller.call("shell.exec", json!({ "command": "head -c 60000 /dev/urandom" })) {
            (200, call) => assert_eq!(call["outcome"]["kind"], "Exited"),
            (status, refusal) => break (status, refusal),
        }
        ran += 1;
    };
    assert_eq!((refusal.0, &refusal.1["error"]), (503, &json!("not-recorded")), "{refusal:?}");
    assert!(ran > 1 && refusal.1["message"].to_string().contains("17825792 bytes"), "{refusal:?}");
    let ready = caller.client.get("/readyz").expect("an answer");
    assert!(ready.status == 503 && String::from_utf8_lossy(&ready.body).contains("17825792"), "{ready:?}");
    let session = caller.client.post("/v1/sessions", b"").expect("an answer");
    assert_eq!(session.status, 503);
    assert!(executor.terminate().expect("it ends").success());
    // Also the end of the session is in it, and the log is written on where there is room.
    let (code, said) = stage.verify();
    assert!(matches!(code, Some(0 | 6)), "{code:?} {said}");
    let executor = stage.start(&["--max-state-bytes", &(80 << 20).to_string()]);
    assert_eq!(Caller::new(&executor).call("shell.exec", json!({ "command": "true" })).0, 200);
    assert!(executor.terminate().expect("it ends").success());
}
