//! Calls whose thread panics: they have an end for clients and in the log, and give back what they held.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use clap::{Args as _, FromArgMatches as _};
use serde_json::Value;

use super::*;
use crate::calls::{CommandHandle, Order};
use crate::clock::BehindLog;
use crate::executor::{Executor, Settings, Started};
use crate::host::Host;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::warm::Sandboxes;
use crate::wire::CallRequest;

/// A policy that allows `ls` five times a minute, in a sandbox that this executor does not have.
const POLICY: &str = include_str!("../../../compiler/policy/src/tool/fuzz_policy.json");

/// An executor that decides and records, and has no sandboxes.
pub(crate) fn executor(state: &std::path::Path) -> Arc<Executor> {
    let policy = serde_json::from_str(POLICY).unwrap();
    let policy = Arc::new(bailiwick_policy::tool::LoadedPolicy::new(policy, "a".repeat(64)).unwrap());
    let group = format!("bailiwick-test-{}-{:?}", std::process::id(), std::thread::current().id());
    let host = Host::with(PathBuf::from("/nonexistent"), &group.replace(['(', ')'], "")).unwrap();
    let limits =
        Limits::augment_args(clap::Command::new("test")).get_matches_from(["test", "--max-calls", "1"]);
    let limits = Limits::from_arg_matches(&limits).unwrap();
    let settings = Settings {
        bundle: PathBuf::new(),
        expect_digest: None,
        state: state.to_owned(),
        subject: None,
        links: None,
        warm: 0,
        clock: BehindLog::Refused,
        limits,
    };
    let sandboxes = Sandboxes::start(host, &[], 0, 0).unwrap();
    Arc::new(
        Executor::with(&settings, policy, None, crate::subject::subject(None).unwrap(), sandboxes).unwrap(),
    )
}

/// A call that is allowed, and has not begun.
pub(crate) fn started(executor: &Arc<Executor>, session: &str) -> Started {
    let request: CallRequest = serde_json::from_str(r#"{"tool": "argv", "args": {"text": "ls"}}"#).unwrap();
    let started = executor.start_call(session, &request, None).unwrap();
    assert_eq!(started.call.decision().effect, "Allow", "{:?}", started.call.decision());
    started
}

/// The handle of a command. It panics whenever the call ends, also while its thread panics.
pub(crate) struct Panics;

impl CommandHandle for Panics {
    fn order(&self, _: Order) {}
    fn input(&self) {}
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("as the call ends");
    }
}

/// The kinds of outcomes of all results in the log.
fn outcomes(state: &std::path::Path) -> Vec<String> {
    let mut kinds = Vec::new();
    bailiwick_audit::fold(state, None, |record, _| {
        if record.intent.is_some() {
            let kind = record.outcome.as_ref().and_then(|outcome| outcome.get("kind"));
            kinds.push(kind.and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap();
    kinds
}

/// What a call that has ended gives back: its place, its session's turn, and its place among the calls that run.
fn has_given_everything_back(executor: &Arc<Executor>, session: &str) {
    assert_eq!((executor.seated(), executor.calls().running().len()), (0, 0));
    let Started { job, .. } = started(executor, session);
    job.unwrap().run(None).finish();
    executor.close_session(session).unwrap();
}

#[test]
fn a_call_whose_thread_panics_has_an_end_and_gives_everything_back() {
    let state = tempfile::tempdir().unwrap();
    let executor = executor(state.path());
    let session = executor.open_session().unwrap().id;
    let Started { call, job } = started(&executor, &session);
    call.attach(Box::new(Panics));
    let ran = catch_unwind(AssertUnwindSafe(|| job.unwrap().run(None).finish()));
    assert!(ran.is_err() && !call.runs() && call.is_settled());
    let outcome = call.how_it_ended().and_then(|ended| ended.outcome).unwrap();
    assert_eq!(outcome.kind, "Unknown", "its command may have run");
    has_given_everything_back(&executor, &session);
    assert_eq!(outcomes(state.path()), ["Unknown", "SetupFailed"]);
}

/// Whether the session takes no more calls, since it is not known which labels it has.
fn is_lost(executor: &Arc<Executor>, session: &str) -> bool {
    let request: CallRequest = serde_json::from_str(r#"{"tool": "argv", "args": {"text": "ls"}}"#).unwrap();
    matches!(executor.start_call(session, &request, None), Err(Refusal::WorkspaceLost))
}

/// A panic that leaves a destructor while its thread panics ends the whole executor.
#[test]
fn a_call_whose_end_panics_as_well_has_an_end_and_loses_its_session() {
    let state = tempfile::tempdir().unwrap();
    let executor = executor(state.path());
    let session = executor.open_session().unwrap().id;
    let Started { call, job } = started(&executor, &session);
    call.attach(Box::new(Panics));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let _job = job;
        panic!("as the call runs");
    }));
    assert!(ran.is_err() && !call.runs() && call.is_settled());
    assert_eq!((executor.seated(), executor.calls().running().len()), (0, 0));
    assert!(is_lost(&executor, &session));
    assert_eq!(outcomes(state.path()), ["Unknown"]);
}

/// Who waits for a record. It panics when it is told of it.
struct Waits;

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        panic!("as the record is told");
    }
}

#[test]
fn a_session_is_lost_when_a_panic_may_have_kept_a_label_from_it() {
    for labels in [true, false] {
        let state = tempfile::tempdir().unwrap();
        let executor = executor(state.path());
        let session = executor.open_session().unwrap().id;
        let Started { call, job } = started(&executor, &session);
        let mut rest = job.unwrap().run(None);
        rest.labels = labels;
        let mut told = Box::pin(call.result_recorded());
        let waker = Waker::from(Arc::new(Waits));
        assert!(told.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(rest);
        assert_eq!(is_lost(&executor, &session), labels);
    }
}

#[test]
fn a_job_that_nobody_runs_has_an_end_as_well() {
    let state = tempfile::tempdir().unwrap();
    let executor = executor(state.path());
    let session = executor.open_session().unwrap().id;
    let Started { call, job } = started(&executor, &session);
    drop(job);
    assert!(!call.runs() && call.is_settled());
    has_given_everything_back(&executor, &session);
    assert_eq!(outcomes(state.path()), ["Unknown", "SetupFailed"]);
}

/// As when the runtime shuts down with the work still queued.
#[test]
fn what_is_left_of_a_call_is_done_when_it_is_dropped() {
    let state = tempfile::tempdir().unwrap();
    let executor = executor(state.path());
    let session = executor.open_session().unwrap().id;
    let Started { call, job } = started(&executor, &session);
    let rest = job.unwrap().run(None);
    assert!(!call.runs() && !call.is_settled() && executor.seated() == 1, "clients know its end");
    drop(rest);
    assert!(call.is_recorded());
    has_given_everything_back(&executor, &session);
    assert_eq!(outcomes(state.path()), ["SetupFailed", "SetupFailed"]);
}

/// A process that a program leaves running is measured by a cgroup only.
#[test]
fn without_a_cgroup_the_reserved_cpu_time_is_charged_in_full() {
    let measured = |cpu_source: Source, ms: u64| Measured {
        wall: Duration::ZERO,
        cpu: Duration::from_millis(ms),
        cpu_source,
        peak_memory_bytes: 0,
        memory_source: Source::Rusage,
        oom_kills: 0,
        refused_forks: 0,
    };
    let charged = |source, ms| used(&measured(source, ms), 2_000, 7).cpu_ms;
    assert_eq!((charged(Source::Cgroup, 3), charged(Source::Rusage, 3)), (4, 2_000));
    assert_eq!(charged(Source::Rusage, 5_000), 5_001, "as much as is known to be used");
}

/// Its client is told to send it again, and sends the key again, too.
#[test]
fn a_throttled_call_is_decided_anew_with_the_same_key() {
    let state = tempfile::tempdir().unwrap();
    let executor = executor(state.path());
    let session = executor.open_session().unwrap().id;
    let request: CallRequest = serde_json::from_str(r#"{"tool": "argv", "args": {"text": "ls"}}"#).unwrap();
    let call = |key: &str| executor.start_call(&session, &request, Some(key.to_owned())).unwrap();
    let mut ran = Vec::new();
    let throttled = loop {
        let Started { call, job } = call(&ran.len().to_string());
        let Some(job) = job else { break call };
        job.run(None).finish();
        ran.push(call.id().to_owned());
    };
    assert!(throttled.decision().retry_after_ms.is_some() && !ran.is_empty(), "{:?}", throttled.decision());
    let again = call(&ran.len().to_string());
    assert_ne!(again.call.id(), throttled.id());
    assert_eq!(call("0").call.id(), ran[0], "one that ran does not run again");
}
