//! The docket over a real log: decisions stand in the log in their order, share flushes, and are forgotten together when one fails.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use bailiwick_audit::Wait;
use bailiwick_executor::docket::{Docket, DocketError, End};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Policy;
use bailiwick_policy::tool::{LoadedPolicy, Subject, ToolCall};

/// A policy that allows `ls` five times a minute.
const POLICY: &str = include_str!("../../compiler/policy/src/tool/fuzz_policy.json");

/// How many calls the throttle lets through.
const ALLOWED: usize = 5;

/// How long a log that failed may take to recover; it tries every tenth of a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn docket(dir: &Path) -> Docket {
    let policy = serde_json::from_str::<Policy>(POLICY).expect("a policy");
    let policy = LoadedPolicy::new(policy, "a".repeat(64)).expect("a sound policy");
    Docket::open(dir, Arc::new(policy), None).expect("a docket")
}

fn subject() -> Subject {
    Subject { agent: "agent".to_owned(), ..Subject::default() }
}

fn call(session: &str, id: &str) -> ToolCall {
    let arguments = Json::parse(br#"{"text": "ls"}"#).expect("JSON").into_owned();
    ToolCall::new(id, session, subject(), "argv", arguments).expect("a call")
}

fn sessions(docket: &Docket, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
    for name in &names {
        docket.open_session(name, &subject()).expect("a session");
    }
    names
}

/// Groups of the records about calls: each group is one flush.
fn groups(dir: &Path) -> Vec<u64> {
    let mut groups = Vec::new();
    bailiwick_audit::fold(dir, None, |record, _| {
        if record.call.is_some() {
            groups.push(record.group);
        }
        Ok::<_, Infallible>(())
    })
    .expect("the log can be read");
    groups
}

fn distinct(groups: &[u64]) -> usize {
    groups.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn calls_that_are_decided_before_a_flush_share_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let docket = docket(dir.path());
    let names = sessions(&docket, 8);
    let decided: Vec<_> =
        names.iter().map(|name| docket.decide(&call(name, "c"), None, None).expect("decided")).collect();
    assert!(groups(dir.path()).is_empty(), "nothing is on disk before somebody waits for it");
    let rulings: Vec<_> = decided.into_iter().map(|one| one.recorded().expect("recorded")).collect();
    // Each was decided on what the ones before it change, though none of them was durable.
    let cleared: Vec<bool> = rulings.iter().map(|ruling| ruling.cleared.is_some()).collect();
    assert_eq!(cleared, [true, true, true, true, true, false, false, false]);
    let of_calls = groups(dir.path());
    assert_eq!((of_calls.len(), distinct(&of_calls)), (8, 1), "{of_calls:?}");
    for name in &names {
        docket.rule(&call(name, "d"), None, None).expect("decided");
    }
    assert_eq!(distinct(&groups(dir.path())), 9, "whoever waits for each alone flushes for each alone");
}

#[test]
fn calls_at_once_are_counted_one_by_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let docket = docket(dir.path());
    let names = sessions(&docket, 16);
    let start = Barrier::new(names.len());
    let rule = |name: &str| {
        start.wait();
        let ruling = docket.rule(&call(name, "c"), None, None).expect("decided");
        let Some(cleared) = ruling.cleared else { return 0 };
        docket.settle(&call(name, "c"), cleared.at(), End::default(), Wait::Durable).expect("settled");
        1
    };
    let allowed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(|| rule(name))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(allowed, ALLOWED);
    // The log gives the same state: nothing more is allowed after a start anew either.
    drop(docket);
    let docket = self::docket(dir.path());
    docket.open_session("anew", &subject()).expect("a session");
    let ruling = docket.rule(&call("anew", "c"), None, None).expect("decided");
    assert!(ruling.cleared.is_none(), "{:?}", ruling.record);
}

/// Without its token a writer cannot tell whether it is in charge, so that every group fails after it was written.
#[test]
fn what_was_decided_on_a_record_that_failed_fails_with_it_and_counts_for_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let docket = docket(dir.path());
    let names = sessions(&docket, 4);
    let (token, aside) = (dir.path().join("writer"), dir.path().join("aside"));
    let decided: Vec<_> =
        names.iter().map(|name| docket.decide(&call(name, "lost"), None, None).expect("decided")).collect();
    std::fs::rename(&token, &aside).expect("the token is there");
    for one in decided {
        let error = one.recorded().expect_err("no record");
        assert!(matches!(error, DocketError::Append(_)), "{error}");
    }
    assert!(docket.health().is_err());
    assert!(docket.rule(&call("s0", "refused"), None, None).is_err(), "refused at once");
    std::fs::rename(&aside, &token).expect("the token is there");
    let begun = Instant::now();
    while docket.health().is_err() {
        assert!(begun.elapsed() < PATIENCE, "it does not recover by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    let allow = |id: &str| docket.rule(&call("s0", id), None, None).expect("decided").cleared.is_some();
    let allowed = (0..8).filter(|number| allow(&number.to_string())).count();
    assert_eq!(allowed, ALLOWED, "calls that were refused for want of a record are not counted");
    drop(docket);
    assert_eq!(groups(dir.path()).len(), 8, "of what failed nothing stands in the log");
}
