//! Sessions from their beginning to their recorded end: their workspaces, what these may hold together, and
//! how they are closed.

use std::convert::Infallible;

use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::{self, Executor};
use serde_json::{Value, json};

use crate::privileges::outposts;
use crate::records::strace;
use crate::stage::{Caller, Stage, kind, own_pack, stdout, value};

/// Status of a session.
fn get(executor: &Executor, id: &str) -> u16 {
    executor.client().expect("a connection").get(&format!("/v1/sessions/{id}")).expect("an answer").status
}

fn delete(executor: &Executor, id: &str) -> u16 {
    let mut client = executor.client().expect("a connection");
    client.request("DELETE", &format!("/v1/sessions/{id}"), &[], b"").expect("an answer").status
}

/// What the log says about the end of a session. It is read along its course, since a failed group may be in
/// a segment that the log has left.
fn endings(stage: &Stage, id: &str) -> Vec<Value> {
    let closed = json!({ "closed": { "session": id } });
    let mut endings = Vec::new();
    bailiwick_audit::fold(&stage.path().join("state"), None, |record, _| {
        let changes = record.state_delta.as_ref().and_then(|delta| delta["changes"].as_array());
        if changes.is_some_and(|changes| changes.contains(&closed)) {
            endings.extend(record.outcome.clone());
        }
        Ok::<_, Infallible>(())
    })
    .expect("the log can be read");
    endings
}

#[test]
fn a_workspace_that_is_gone_is_told_and_never_replaced_unseen() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--warm", "0"]);
    let mut caller = Caller::new(&executor);
    caller.shell("echo kept > /work/file");
    let keepers = outposts(&executor).into_iter().filter(|(_, role)| role == "keeper");
    for (pid, _) in keepers {
        let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }
    // The call that notices it does not run; from then on none is decided.
    let gone = until("the workspace is found gone", || {
        let (status, call) = caller.call("shell.exec", json!({ "command": "cat /work/file" }));
        assert!(status == 410 || kind(&call) == "SetupFailed", "it ran in another workspace: {call}");
        (status == 410).then_some(call)
    })
    .expect("gone");
    assert_eq!(gone["error"], "workspace-lost", "{gone}");
    assert!(gone["help"].as_str().is_some_and(|help| help.contains("open a new one")), "{gone}");
    let session = caller.session.clone();
    let shown = value(&caller.client.get(&format!("/v1/sessions/{session}")).expect("an answer"));
    assert_eq!(shown["state"], "WorkspaceLost", "{shown}");
    // Another session has a workspace of its own again.
    assert_eq!(stdout(&Caller::new(&executor).shell("ls -A /work | wc -l")), "0\n");
}

#[test]
fn workspaces_have_no_more_than_their_budget_together() {
    let stage = Stage::new(&own_pack());
    // The pack gives each 32 MiB.
    let executor = stage.start(&["--workspace-budget", &(64 << 20).to_string(), "--warm", "0"]);
    let mut callers = [(); 3].map(|()| Caller::new(&executor));
    for caller in &mut callers[..2] {
        assert_eq!(kind(&caller.shell("true")), "Exited");
    }
    let call = callers[2].shell("true");
    assert_eq!(kind(&call), "SetupFailed", "{call}");
    let step = call["outcome"]["step"].as_str().unwrap_or_default();
    assert!(step.contains("67108864 is the most"), "{step}");
    // Its share is free again when the session ends.
    let first = callers[0].session.clone();
    assert_eq!(delete(&executor, &first), 204);
    assert_eq!(kind(&callers[2].shell("true")), "Exited");
}

#[test]
fn a_session_that_nobody_uses_is_closed_and_one_whose_call_runs_is_not() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--session-idle-s", "1"]);
    let busy = Caller::new(&executor);
    let running = busy.start(&executor, "cat.stream", json!({}));
    let idle = Caller::new(&executor).session;
    until("it is closed", || (get(&executor, &idle) == 404).then_some(())).expect("closed");
    assert_eq!(get(&executor, &busy.session), 200, "its call runs");
    let mut control = executor.client().expect("a connection");
    let closed = control.post(&format!("{}/stdin?close=true", running.path), b"").expect("an answer");
    assert_eq!(closed.status, 202);
    assert_eq!(kind(&running.rest().last().expect("the outcome")["call"]), "Exited");
    until("it is closed too", || (get(&executor, &busy.session) == 404).then_some(())).expect("closed");
    until("both are on record", || {
        (endings(&stage, &idle).len() + endings(&stage, &busy.session).len() == 2).then_some(())
    })
    .expect("on record");
}

/// Without its token a writer cannot tell whether it still owns the log, so no record is durable.
#[test]
fn a_session_whose_end_cannot_be_recorded_is_closed_on_record_later() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--warm", "0"]);
    let [asked_again, by_itself] = [(); 2].map(|()| Caller::new(&executor).session);
    let (token, aside) = (stage.path().join("state/writer"), stage.path().join("state/aside"));
    std::fs::rename(&token, &aside).expect("the token is there");
    for session in [&asked_again, &by_itself] {
        assert_eq!(delete(&executor, session), 503, "it is not on record");
        assert_eq!(get(&executor, session), 404, "and closed all the same");
    }
    std::fs::rename(&aside, &token).expect("the token is there");
    // Both ways lead to the record: a client that asks again may already find it there.
    until("whoever asks again is not told that it was never there", || {
        [204, 404].contains(&delete(&executor, &asked_again)).then_some(())
    })
    .expect("closed");
    for session in [&asked_again, &by_itself] {
        let ended = until("its end is on record", || endings(&stage, session).pop()).expect("on record");
        assert_eq!(ended, "closed");
    }
    assert!(executor.terminate().expect("it ends").success());
    for session in [&asked_again, &by_itself] {
        assert_eq!(endings(&stage, session).len(), 1, "once");
    }
}

/// Every flush takes half a second, which leaves time to close the session of a call whose intent is written
/// and not durable yet. A late close finds the call running, and cancels it as well.
#[test]
fn a_session_that_is_closed_while_its_call_is_decided_ends_that_call() {
    let Some(strace) = strace() else { return };
    let stage = Stage::new(&own_pack());
    let mut command = std::process::Command::new(strace);
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]);
    command.args(["-e", "inject=fdatasync:delay_enter=500000"]);
    command.arg(programs::find("bailiwick-executor").expect("built"));
    let executor = Executor::start_by(command, stage.path(), &["--warm", "0"]).expect("it comes up");
    let mut caller = Caller::new(&executor);
    let session = caller.session.clone();
    let called = std::thread::spawn(move || caller.call("shell.exec", json!({ "command": "sleep 600" })));
    let is_intent = |record: &Value| record["kind"] == "intent";
    until("the intent is written", || stage.records().iter().any(is_intent).then_some(()))
        .expect("an intent");
    assert_eq!(delete(&executor, &session), 204);
    let (status, call) = called.join().expect("no panic");
    assert_eq!((status, kind(&call)), (200, "Cancelled"), "{call}");
}
