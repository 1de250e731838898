//! Faults in the executor's own code, made by a tracer: a write that reports more bytes than it was given makes the
//! thread that writes the log panic.

use std::process::Command;

use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::{self, Executor};
use serde_json::{Value, json};

use crate::records::strace;
use crate::stage::{Caller, Stage, kind, own_pack, stdout, value};

/// Every call is answered, whichever record its thread panics over: nobody waits for a record that never comes. The
/// executor then says that it must be started again, ends by itself, and the next one goes on with the log.
#[test]
fn an_executor_whose_log_is_lost_says_what_helps_and_ends() {
    let Some(strace) = strace() else { return };
    // Of the writes of one thread: sixteen fill the segment and two begin the log; a later one is that of an intent
    // or of a result.
    for write in [19, 20] {
        let stage = Stage::new(&own_pack());
        let mut command = Command::new(strace);
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64"]);
        command.args(["-e", &format!("inject=pwrite64:retval=1000000000:when={write}")]);
        command.arg("-P").arg(stage.path().join("state/segments/00000001.jsonl"));
        command.arg(programs::find("bailiwick-executor").expect("built"));
        let mut executor = Executor::start_by(command, stage.path(), &[]).expect("it comes up");
        let mut caller = Caller::new(&executor);
        let path = format!("/v1/sessions/{}/calls", caller.session);
        let body =
            json!({ "tool": "shell.exec", "args": { "command": "true" }, "waitForResultRecord": true });
        // Until it refuses, or has ended.
        while let Ok(answer) = caller.client.post(&path, body.to_string().as_bytes()) {
            let call = value(&answer);
            match answer.status {
                200 => assert_eq!(kind(&call), "Exited", "{call}"),
                500 => assert_eq!(call["error"], "fault", "{call}"),
                status => {
                    assert_eq!(status, 503, "{call}");
                    let is_ending = call["error"] == "draining";
                    assert!(is_ending || helps(call["help"].as_str().unwrap_or_default()), "{call}");
                    break;
                }
            }
        }
        let ended = until("it ends", || executor.ended().expect("its status")).expect("an end");
        assert_eq!(ended.code(), Some(1));
        assert!(helps(&std::fs::read_to_string(stage.path().join("executor.log")).expect("its log")));
        drop(executor);
        let executor = stage.start(&[]);
        assert_eq!(stdout(&Caller::new(&executor).shell("echo again")), "again\n");
        drop(executor);
        assert!(matches!(stage.verify().0, Some(0 | 6)), "{}", stage.verify().1);
        let lost = |record: &Value| record["recovered"]["lost"].as_array().map_or(0, Vec::len);
        assert!(stage.records().iter().map(lost).sum::<usize>() <= 1, "at most one call has no end");
    }
}

fn helps(said: &str) -> bool {
    said.contains("restart the executor") && !said.contains("disk that holds")
}
