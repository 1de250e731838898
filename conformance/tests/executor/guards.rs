//! The cost of a request, as the kernel sees it: with a sandbox ready, the executor makes no process and
//! touches no control group between the record of a call and its command. The worker that becomes the command
//! makes two system calls at most.

use std::collections::BTreeSet;
use std::process::Command;

use bailiwick_conformance::programs::{self, Executor};

use crate::records::{executions, intent_flushed, strace};
use crate::stage::{Caller, Stage, kind, limits_are_exact, own_pack};

/// System calls that make a process, unless they make a thread.
const FORKS: [&str; 4] = [" fork(", " vfork(", " clone(", " clone3("];

/// What happened between the flush of a call's intent and the execution of its command.
struct Way<'t> {
    /// Lines of the executor's threads that concern the call.
    executor: Vec<&'t str>,
    /// Lines of the process that became the command, without the end of its waiting.
    worker: Vec<&'t str>,
}

fn process(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// The threads that this thread has started, and itself.
fn with_its_threads<'l>(lines: &[&'l str], thread: &'l str) -> BTreeSet<&'l str> {
    let mut threads = BTreeSet::from([thread]);
    for line in lines.iter().filter(|line| line.contains("clone") && line.contains(" = ")) {
        let started = line.rsplit(" = ").next().unwrap_or_default().trim();
        if process(line) == thread && started.bytes().all(|byte| byte.is_ascii_digit()) {
            threads.insert(started);
        }
    }
    threads
}

/// Makes calls of a session, one after the other, and passes the trace of the last one to `look`.
fn traced(warm: &str, look: impl FnOnce(&Way<'_>, &str)) {
    let Some(strace) = strace() else { return };
    let stage = Stage::new(&own_pack());
    let trace = stage.path().join("trace");
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-y", "-s", "65535", "-esignal=none", "-o"]).arg(&trace);
    command.arg(programs::find("bailiwick-executor").expect("built"));
    let executor = Executor::start_by(command, stage.path(), &["--warm", warm]).expect("it comes up");
    let mut caller = Caller::new(&executor);
    // The first calls create the keeper and the session's workspace. The sandbox for the next call is ready
    // before its turn.
    let calls = [(); 3].map(|()| caller.shell("true"));
    assert!(calls.iter().all(|call| kind(call) == "Exited"), "{calls:?}");
    drop(executor);
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let lines: Vec<&str> = text.lines().collect();
    let id = calls[2]["id"].as_str().expect("an id");
    let flushed = intent_flushed(&lines, id).expect("the intent is on disk");
    let executed = executions(&lines).find(|at| *at > flushed).expect("the command");
    let between = &lines[flushed + 1..executed];
    let threads = with_its_threads(between, process(lines[flushed]));
    let of =
        |whose: &dyn Fn(&str) -> bool| between.iter().copied().filter(|line| whose(process(line))).collect();
    let executor: Vec<&str> = of(&|pid| threads.contains(pid));
    let mut worker: Vec<&str> = of(&|pid| pid == process(lines[executed]));
    // It was waiting for its request all the time.
    worker.retain(|line| !line.contains(" resumed>"));
    look(&Way { executor, worker }, &between.join("\n"));
}

fn forks(line: &str) -> bool {
    FORKS.iter().any(|call| line.contains(call)) && !line.contains("CLONE_THREAD")
}

/// Anything but a reading of the processor time that a sandbox has used, through a descriptor that was open: on a slow
/// machine the call is watched already when its program begins.
fn touches_a_group(line: &str) -> bool {
    let watches = line.contains(" pread64(") && line.contains("/cpu.stat>");
    line.contains("/sys/fs/cgroup") && !watches
}

#[test]
fn a_request_forks_nothing_and_moves_nothing_between_groups() {
    traced("1", |way, text| {
        assert!(!way.executor.is_empty(), "no thread of the executor:\n{text}");
        for line in &way.executor {
            assert!(!forks(line), "it forks: {line}\n{text}");
            assert!(!touches_a_group(line), "it touches a group: {line}\n{text}");
        }
        assert!(way.worker.len() <= 2, "{:#?}", way.worker);
    });
}

/// Without a ready sandbox, one is built during the call, and the guard above notices it.
#[test]
fn a_sandbox_that_is_built_on_demand_is_seen_by_the_guard() {
    if !limits_are_exact("groups of sandboxes") {
        return;
    }
    traced("0", |way, text| {
        assert!(way.executor.iter().any(|line| touches_a_group(line)), "no group is made:\n{text}");
    });
}
