//! The log of an executor: every call is in it before it runs, nothing runs without it, and what a crash
//! leaves.

use std::process::Command;

use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::{self, Executor};
use serde_json::json;

use crate::stage::{Caller, Stage, kind, own_pack, stdout};

#[test]
fn a_log_of_calls_verifies_and_names_each_of_them() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let ran = caller.shell("echo secret-word");
    let (_, denied) = caller.call("shell.exec", json!({ "command": "tripwire" }));
    assert!(executor.terminate().expect("it ends").success());
    let records = stage.records();
    let of = |id: &serde_json::Value| -> Vec<String> {
        let own = records.iter().filter(|record| &record["call"] == id);
        own.filter_map(|record| record["kind"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(of(&ran["id"]), ["intent", "result"]);
    assert_eq!(of(&denied["id"]), ["decision"]);
    let text = serde_json::to_string(&records).expect("JSON");
    assert!(
        !text.contains("secret-word") && !text.contains("c2VjcmV0"),
        "values are committed to, not written"
    );
    let (code, said) = stage.verify();
    assert!(matches!(code, Some(0 | 6)), "{said}");
    // A flipped byte is found.
    let segment = std::fs::read_dir(stage.path().join("state/segments"))
        .expect("segments")
        .next()
        .expect("one")
        .expect("a file")
        .path();
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let at = bytes.windows(9).position(|window| window == b"\"intent\",").expect("an intent");
    bytes[at + 1] ^= 1;
    std::fs::write(&segment, bytes).expect("a segment");
    assert_eq!(stage.verify().0, Some(4));
}

#[test]
fn every_decision_of_a_log_is_made_again_from_its_own_inputs() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    caller.shell("echo one");
    caller.call("shell.exec", json!({ "command": "tripwire" }));
    caller.call("shell.exec", json!({ "command": 1.0 }));
    caller.call("asked.run", json!({ "word": "hello" }));
    for _ in 0..4 {
        caller.call("count.calls", json!({}));
    }
    assert!(executor.terminate().expect("it ends").success());
    let output = stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json"]);
    let text = crate::stage::said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("8 decisions reproduced, 0 differ"), "{text}");
    // Without the openings no decision can be reproduced, and that is reported.
    for entry in std::fs::read_dir(stage.path().join("state/disclosures")).expect("openings") {
        std::fs::remove_file(entry.expect("a file").path()).expect("it goes");
    }
    let output = stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json"]);
    assert_eq!(output.status.code(), Some(6), "{}", crate::stage::said(&output));
}

#[test]
fn a_killed_executor_leaves_nothing_running_and_its_calls_are_lost_on_record() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let caller = Caller::new(&executor);
    // A unique name: another run of this test may have one too.
    let name = format!("bailiwick-orphan-{}", std::process::id());
    let command = json!({ "command": format!("exec -a {name} sleep 600") });
    let mut hanging = caller.start(&executor, "shell.exec", command);
    until("the command runs", || (orphans(&name) == 1).then_some(())).expect("an orphan to be");
    executor.kill();
    assert!(hanging.event().is_err(), "the connection broke");
    until("nothing outlives the executor", || (orphans(&name) == 0).then_some(())).expect("no orphan");
    let executor = stage.start(&[]);
    let mut caller_again = Caller::new(&executor);
    assert_eq!(stdout(&caller_again.shell("echo again")), "again\n");
    let records = stage.records();
    let lost = records.iter().find(|record| record["kind"] == "recovered").expect("a recovered record");
    assert_eq!(lost["recovered"]["lost"].as_array().map(Vec::len), Some(1), "{lost}");
    let closed = records
        .iter()
        .any(|record| record["kind"] == "session" && record["stateDelta"].to_string().contains("settled"));
    assert!(closed, "the lost call is charged in full, on record");
    assert_eq!(
        caller_again.client.get(&format!("/v1/sessions/{}", caller.session)).expect("an answer").status,
        404
    );
    drop(executor);
    assert!(matches!(stage.verify().0, Some(0 | 6)), "{}", stage.verify().1);
}

/// Processes of this name.
fn orphans(name: &str) -> usize {
    let named = [name.as_bytes(), b"\0"].concat();
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    processes
        .filter(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|text| text.starts_with(&named))
        })
        .count()
}

#[test]
fn a_result_that_is_not_on_disk_is_never_called_so() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let running = caller.start(&executor, "cat.stream", json!({}));
    let path = running.path.clone();
    // Another writer takes over the log while the command runs: its result is no longer acknowledged.
    std::fs::write(stage.path().join("state/writer"), "another").expect("the writer in charge");
    let closed = caller.client.post(&format!("{path}/stdin?close=true"), b"").expect("an answer");
    assert_eq!(closed.status, 202);
    assert_eq!(kind(&running.rest().last().expect("the outcome")["call"]), "Exited");
    // The session's next call has its turn once the record of the previous one has succeeded or failed.
    let (status, refused) = caller.call("shell.exec", json!({ "command": "true" }));
    assert_eq!((status, &refused["error"]), (503, &json!("not-recorded")), "{refused}");
    let call = crate::stage::value(&caller.client.get(&path).expect("an answer"));
    assert_eq!((kind(&call), &call["durable"]), ("Exited", &json!("intent")), "{call}");
}

#[test]
fn the_intent_is_on_disk_before_the_command_is_executed() {
    let Some(strace) = strace() else { return };
    let stage = Stage::new(&own_pack());
    let mut command = Command::new(strace);
    let trace = stage.path().join("trace");
    command.args(TRACED).arg(&trace).arg(programs::find("bailiwick-executor").expect("built"));
    let executor = Executor::start_by(command, stage.path(), &["--warm", "1"]).expect("it comes up");
    let mut caller = Caller::new(&executor);
    let calls = ["echo warm", "exec /usr/bin/env MARK=1 /bin/true"].map(|command| caller.shell(command));
    drop(executor);
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let lines: Vec<&str> = text.lines().collect();
    let runs: Vec<usize> = executions(&lines).collect();
    assert_eq!(runs.len(), calls.len(), "{text}");
    // Calls of one session take turns, so the first command is that of the first call.
    for (call, run) in calls.iter().zip(runs) {
        let id = call["id"].as_str().expect("an id");
        let flushed = intent_flushed(&lines, id).unwrap_or_else(|| panic!("no intent of {id}:\n{text}"));
        assert!(flushed < run, "the command of {id} before its record:\n{text}");
    }
}

/// What a tracer shows: files by their names, records whole.
const TRACED: [&str; 9] =
    ["-f", "-qq", "-y", "-s", "65535", "-e", "trace=pwrite64,fdatasync,execve", "-esignal=none", "-o"];

/// The positions in a trace at which a shell is executed.
pub(crate) fn executions<'l>(lines: &'l [&str]) -> impl Iterator<Item = usize> + 'l {
    let places = lines.iter().enumerate().filter(|(_, line)| line.contains("execve(\"/bin/bash\""));
    places.map(|(at, _)| at)
}

/// The position in a trace at which the flush returned that made the intent of this call durable: the next
/// flush of the thread that wrote it. `None` if either failed.
pub(crate) fn intent_flushed(lines: &[&str], call: &str) -> Option<usize> {
    let is_intent = |line: &str| line.contains(r#"\"kind\":\"intent\""#) && line.contains(call);
    let write = lines.iter().position(|line| line.contains("pwrite64(") && is_intent(line))?;
    let thread = lines.get(write)?.split_whitespace().next();
    let own = |name: &'static str, from: usize| {
        let behind = lines.iter().enumerate().skip(from);
        let of_thread = behind.filter(move |(_, line)| line.split_whitespace().next() == thread);
        // A call that was interrupted in the trace has a second line with its result.
        of_thread
            .filter(|(_, line)| !line.ends_with("<unfinished ...>"))
            .find(move |(_, line)| line.contains(name))
    };
    let (written, said) = own("pwrite64", write)?;
    if said.contains(" = -1 ") {
        return None;
    }
    let (flushed, said) = own("fdatasync", written + 1)?;
    said.ends_with(" = 0").then_some(flushed)
}

#[test]
fn whatever_write_or_flush_fails_no_command_runs_without_its_record() {
    let Some(strace) = strace() else { return };
    let stage = Stage::new(&own_pack());
    let trace = stage.path().join("trace");
    // Each run finds the log as the previous one left it, and so must recover by itself.
    let run = |inject: Option<&str>| {
        let mut command = Command::new(strace);
        if let Some(inject) = inject {
            command.args(["-e", &format!("inject={inject}")]);
        }
        command.args(TRACED).arg(&trace).arg(programs::find("bailiwick-executor").expect("built"));
        command.args(["run", "--bundle", "bundle.json", "--state", "state", "--tool", "shell.exec"]);
        command.args(["--args", r#"{"command": "echo ran"}"#]).current_dir(stage.path());
        let output = programs::with_the_cgroup(&mut command).expect("it runs");
        let text = std::fs::read_to_string(&trace).expect("a trace");
        (output.status.success(), text, crate::stage::said(&output))
    };
    assert!(run(None).0, "without a fault it runs");
    let (_, clean, _) = run(None);
    for call in ["pwrite64", "fdatasync"] {
        let (mut refused, mut openings) = (0, 0);
        for (when, error) in places(&clean, call).into_iter().zip(["EIO", "ENOSPC"].into_iter().cycle()) {
            let what = format!("{error} from {call} {when}");
            let (succeeded, text, said) = run(Some(&format!("{call}:error={error}:when={when}")));
            let lines: Vec<&str> = text.lines().collect();
            let is_opening = |line: &&str| line.contains("/disclosures/") && line.contains("(INJECTED)");
            if let Some(failed) = lines.iter().position(is_opening)
                && call == "pwrite64"
            {
                openings += 1;
                assert!(
                    executions(&lines).all(|run| run < failed),
                    "{what}: it ran without its openings:\n{text}"
                );
            }
            let Some(executed) = executions(&lines).next() else {
                assert!(!succeeded, "{what}: {said}");
                refused += 1;
                continue;
            };
            let flushed = intent_flushed(&lines, "");
            let flushed = flushed.unwrap_or_else(|| panic!("{what}: it ran without a record:\n{text}"));
            assert!(flushed < executed, "{what}: it ran before its record:\n{text}");
        }
        assert!(refused > 0, "no failed {call} refused the call");
        assert!(call != "pwrite64" || openings > 0, "no opening failed");
    }
    let (succeeded, _, said) = run(None);
    assert!(succeeded && said.contains("ran"), "{said}");
    assert!(matches!(stage.verify().0, Some(0 | 6)), "{}", stage.verify().1);
}

/// Which calls of this name, counted in each thread as the tracer does, concern the log.
fn places(traced: &str, call: &str) -> std::collections::BTreeSet<usize> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    let mut places = std::collections::BTreeSet::new();
    for line in traced.lines().filter(|line| line.contains(&format!(" {call}("))) {
        let count = counts.entry(line.split_whitespace().next().unwrap_or_default()).or_default();
        *count += 1;
        if line.contains("/state/") {
            places.insert(*count);
        }
    }
    places
}

#[test]
fn without_a_record_nothing_runs_and_it_recovers_by_itself() {
    // The flushes that open the log and the session succeed; some later ones fail, and after those they
    // succeed again.
    refuses_and_recovers("fdatasync", "error=EIO:when=12..20", None);
}

/// The segments are allocated in advance, so a full disk affects only the values next to them.
#[test]
fn without_the_openings_of_its_record_nothing_runs_and_it_recovers_by_itself() {
    // In a new log this is the first file of openings, and its first content is that of a call.
    let openings = Some("state/disclosures/00000001.jsonl");
    for error in ["ENOSPC", "EIO"] {
        refuses_and_recovers("pwrite64", &format!("error={error}:when=1..6"), openings);
        refuses_and_recovers("fdatasync", &format!("error={error}:when=1..6"), openings);
    }
}

/// Fails some of the executor's calls of this name, on any file or on this one: calls are refused meanwhile,
/// and refused calls did not run.
fn refuses_and_recovers(call: &str, inject: &str, file: Option<&str>) {
    let Some(strace) = strace() else { return };
    let stage = Stage::new(&own_pack());
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:{inject}")]);
    if let Some(file) = file {
        command.arg("-P").arg(stage.path().join(file));
    }
    command.arg(programs::find("bailiwick-executor").expect("built"));
    let executor = Executor::start_by(command, stage.path(), &[]).expect("it comes up");
    let mut caller = Caller::new(&executor);
    let (mut refused, mut ran, mut ran_after) = (0, 0, 0);
    // The tracer counts per thread, and the log retries 100 ms after a failure; so both are waited for.
    until("calls are refused, and later ones run", || {
        let (status, call) =
            caller.call("shell.exec", json!({ "command": format!("echo {refused} {ran} >> /work/ran") }));
        if status == 503 {
            refused += 1;
            assert_eq!(call["error"], "not-recorded", "{call}");
        } else {
            assert_eq!((status, kind(&call)), (200, "Exited"), "{call}");
            ran += 1;
            ran_after += usize::from(refused > 0);
        }
        (ran_after > 2).then_some(())
    })
    .expect("both");
    // Another thread may yet reach its failures.
    let counted = until("the log takes records again", || {
        let (status, call) = caller.call("shell.exec", json!({ "command": "wc -l < /work/ran" }));
        (status == 200).then(|| stdout(&call))
    });
    let counted = counted.expect("a count");
    assert_eq!(counted.trim(), ran.to_string(), "what was refused did not run");
    if file.is_some() {
        let metric = "bailiwick_executor_opening_failures_total ";
        until("the failures are counted", || {
            let text = caller.client.get("/metrics").expect("an answer").body;
            let text = String::from_utf8_lossy(&text).into_owned();
            let count = text.lines().find_map(|line| line.strip_prefix(metric))?;
            count.parse::<u64>().is_ok_and(|count| count > 0).then_some(())
        })
        .expect("the metric");
    }
    drop(executor);
    assert!(matches!(stage.verify().0, Some(0 | 6)), "{}", stage.verify().1);
}

/// The tracer, a Debian package. Under CI it must be there.
pub(crate) fn strace() -> Option<&'static str> {
    let there = Command::new("strace").arg("-V").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "strace is not there; apt-get install strace");
    if !there {
        eprintln!("skipped: strace is not there; apt-get install strace");
    }
    there.then_some("strace")
}
