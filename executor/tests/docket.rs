//! The docket over a real log: decisions are in the log in their order, share flushes, and are forgotten
//! together when one fails.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use bailiwick_audit::{AppendError, Entry, Event, Held, Options, Writer};
use bailiwick_executor::clock::{self, BehindLog, MAX_DIFFERENCE_MS};
use bailiwick_executor::docket::{Docket, DocketError, End, OpenDocketError, OwedResult};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::tools::{Audit, AuditAdmission, Keep};
use bailiwick_policy::tool::{
    Change, LoadedPolicy, MAX_TALLIES, Owner, State, StateDelta, Subject, TallyKey, ToolCall,
};
use serde_json::json;

/// A policy that allows `ls` five times a minute.
const POLICY: &str = include_str!("../../compiler/policy/src/tool/fuzz_policy.json");

/// How many calls the throttle allows.
const ALLOWED: usize = 5;

/// How long a log that failed may take to recover; it tries every tenth of a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn docket(dir: &Path) -> Docket {
    opened(dir, None, BehindLog::Refused).expect("a docket")
}

fn opened(dir: &Path, audit: Option<Audit>, behind: BehindLog) -> Result<Docket, OpenDocketError> {
    let policy = serde_json::from_str::<Policy>(POLICY).expect("a policy");
    let policy = LoadedPolicy::new(policy, "a".repeat(64)).expect("a sound policy");
    Docket::open(dir, Arc::new(policy), audit, behind)
}

/// Writes state changes into a log, as an earlier executor did.
fn write(dir: &Path, deltas: impl Iterator<Item = StateDelta>) {
    let (writer, _) = Writer::open(dir, &Options::default()).expect("a log");
    for delta in deltas {
        let state_delta = Some(serde_json::to_value(delta).expect("JSON"));
        writer.append(Event::Session, Entry { state_delta, ..Entry::default() }).expect("recorded");
    }
}

fn subject() -> Subject {
    Subject { agent: "agent".to_owned(), ..Subject::default() }
}

fn call(session: &str, id: &str) -> ToolCall {
    let arguments = Json::parse(br#"{"text": "ls"}"#).expect("JSON").into_owned();
    ToolCall::new(id, session, subject(), "argv", arguments).expect("a call")
}

/// Otherwise the session would wait for its end for ever, and a restart would call it lost.
#[test]
fn a_result_is_on_record_though_the_thread_that_owes_it_panics() {
    let dir = tempfile::tempdir().expect("a folder");
    let docket = Arc::new(docket(dir.path()));
    let names = sessions(&docket, 1);
    let ruling = docket.rule(&call(&names[0], "c"), None, None).expect("decided");
    let owed = OwedResult::new(&docket, ruling.cleared.expect("allowed"));
    let fails = std::thread::spawn(move || {
        let _owed = owed;
        panic!("while the call runs");
    });
    fails.join().expect_err("it panics");
    let mut outcomes = Vec::new();
    bailiwick_audit::fold(dir.path(), None, |record, _| {
        outcomes.extend(record.intent.and(record.outcome.clone()));
        Ok::<_, Infallible>(())
    })
    .expect("the log can be read");
    assert_eq!(outcomes, [json!({ "kind": "Unknown" })]);
    docket.close_session(&names[0], "closed").expect("closed");
    drop(docket);
    let (_, recovered) = Writer::open(dir.path(), &Options::default()).expect("a log");
    assert!(recovered.lost.is_empty(), "{recovered:?}");
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
    // Each was decided on the changes of the ones before it, although none of them was durable.
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
        docket.settle(&call(name, "c"), cleared.at(), End::default()).expect("settled");
        1
    };
    let allowed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(|| rule(name))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(allowed, ALLOWED);
    // The log gives the same state: a restart does not allow anything more either.
    drop(docket);
    let docket = self::docket(dir.path());
    docket.open_session("anew", &subject()).expect("a session");
    let ruling = docket.rule(&call("anew", "c"), None, None).expect("decided");
    assert!(ruling.cleared.is_none(), "{:?}", ruling.record);
}

/// Without its token a writer cannot tell whether it is in charge, so every group fails after it was written.
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

/// A call's measurements and output, in plain text and together longer than a result's record.
#[test]
fn an_end_that_is_too_long_for_its_record_is_recorded_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = Audit {
        arguments: Keep::Plain,
        results: Keep::Plain,
        retention_ms: None,
        admission: AuditAdmission::Optional,
    };
    let docket = opened(dir.path(), Some(plain), BehindLog::Refused).expect("a docket");
    let names = sessions(&docket, 2);
    let end = |outcome: usize, result: usize| End {
        outcome: json!({ "kind": "Exited", "step": "o".repeat(outcome) }),
        result: Some(json!("r".repeat(result))),
        ..End::default()
    };
    let settle = |name: &str, end: End| {
        let ruling = docket.rule(&call(name, "c"), None, None).expect("decided");
        let cleared = ruling.cleared.expect("allowed");
        docket.settle(&call(name, "c"), cleared.at(), end)
    };
    settle(&names[0], end(4_500, 4_000)).expect("its plain value stands beside the record");
    let refused = settle(&names[1], end(9_000, 10)).expect_err("it cannot be told");
    assert!(matches!(refused, DocketError::Append(AppendError::TooLong { .. })), "{refused}");
    // It has ended all the same: the session goes on, and closes.
    for name in &names {
        let ruling = docket.rule(&call(name, "d"), None, None).expect("decided");
        docket.settle(&call(name, "d"), ruling.cleared.expect("allowed").at(), end(1, 1)).expect("settled");
        docket.close_session(name, "closed").expect("closed");
    }
    drop(docket);
    let mut results = Vec::new();
    bailiwick_audit::fold(dir.path(), None, |record, _| {
        if record.intent.is_some() {
            results.push((record.outcome.clone(), record.result.clone()));
        }
        Ok::<_, Infallible>(())
    })
    .expect("the log can be read");
    assert_eq!(results.len(), 4);
    assert!(matches!(results[0].1, Some(Held::Blob(_))), "{:?}", results[0]);
    assert_eq!(results[1], (Some(json!({ "kind": "Unrecorded" })), None));
    self::docket(dir.path());
}

#[test]
fn what_the_state_has_no_room_for_is_refused_before_it_is_recorded() {
    let dir = tempfile::tempdir().expect("a folder");
    let at_ms = clock::unwatched_ms();
    // As many as fit into a record's line.
    let numbers: Vec<usize> = (0..MAX_TALLIES).collect();
    let counted = |number: &usize| Change::Counted {
        tally: TallyKey { owner: Owner::Subject(number.to_string()), name: "c".to_owned() },
        window_ms: None,
    };
    let deltas = numbers.chunks(700);
    write(
        dir.path(),
        deltas.map(|numbers| StateDelta { at_ms, changes: numbers.iter().map(counted).collect() }),
    );
    let docket = self::docket(dir.path());
    docket.open_session("s", &subject()).expect("a session counts nothing");
    let refused = docket.rule(&call("s", "c"), None, None).expect_err("no room for its counter");
    assert!(matches!(refused, DocketError::Full(_)), "{refused}");
    docket.close_session("s", "closed").expect("state and log are one");
    // Reading all of it again would take long.
    for segment in std::fs::read_dir(dir.path().join("segments")).expect("segments") {
        let bytes = std::fs::read(segment.expect("a segment").path()).expect("a segment");
        assert!(!String::from_utf8_lossy(&bytes).contains("\"call\":\"c\""), "nothing of it is in the log");
    }
}

#[test]
fn a_record_of_a_wrong_clock_locks_nobody_out_for_good() {
    let dir = tempfile::tempdir().expect("a folder");
    let real_ms = clock::unwatched_ms();
    let ahead_ms = real_ms + 400 * 24 * 60 * 60 * 1000;
    write(dir.path(), std::iter::once(State::open("old", &subject(), ahead_ms)));
    let refused = opened(dir.path(), None, BehindLog::Refused).expect_err("the clock is not believed");
    assert!(refused.to_string().contains("--accept-clock"), "{refused}");
    let docket = opened(dir.path(), None, BehindLog::Accepted).expect("a docket");
    let now_ms = docket.now_ms().expect("the clock is believed");
    assert!(now_ms < real_ms + MAX_DIFFERENCE_MS, "{now_ms}");
    docket.open_session("s", &subject()).expect("a session");
    assert!(docket.rule(&call("s", "c"), None, None).expect("decided").cleared.is_some());
    drop(docket);
    // It is on record once; from then on the log itself says so.
    drop(opened(dir.path(), None, BehindLog::Accepted).expect("a docket"));
    self::docket(dir.path());
    let mut accepted = Vec::new();
    bailiwick_audit::fold(dir.path(), None, |record, _| {
        if format!("{:?}", record.kind) == "Admin" {
            accepted.push((record.state_delta.clone(), record.outcome.clone()));
        }
        Ok::<_, Infallible>(())
    })
    .expect("the log can be read");
    let [(Some(delta), Some(said))] = accepted.as_slice() else { panic!("{accepted:?}") };
    assert_eq!(delta["changes"], json!(["clockAccepted"]), "{said}");
}

/// The mode of results does not matter: it is the caller's text, not the call's.
#[test]
fn what_was_sent_to_a_call_while_it_ran_is_kept_as_arguments_are() {
    let sent = json!({ "stdin": { "bytes": 2, "sha256": "h", "data": "aGk=" } });
    for (arguments, results) in
        [(Keep::Plain, Keep::Drop), (Keep::Commit, Keep::Plain), (Keep::Drop, Keep::Plain)]
    {
        let dir = tempfile::tempdir().expect("a folder");
        let audit = Audit { arguments, results, retention_ms: None, admission: AuditAdmission::Optional };
        let docket = opened(dir.path(), Some(audit), BehindLog::Refused).expect("a docket");
        docket.open_session("s", &subject()).expect("a session");
        let cleared = docket.rule(&call("s", "c"), None, None).expect("decided").cleared.expect("allowed");
        let end = End { input: Some(sent.clone()), ..End::default() };
        docket.settle(&call("s", "c"), cleared.at(), end).expect("settled");
        let mut kept = None;
        bailiwick_audit::fold(dir.path(), None, |record, behind| {
            if record.intent.is_some() {
                kept = Some((record.arguments.clone(), behind.segment, record.seq));
            }
            Ok::<_, Infallible>(())
        })
        .expect("the log can be read");
        let (held, segment, seq) = kept.expect("a result");
        let openings = bailiwick_audit::disclosed(dir.path(), segment, seq);
        let opened = openings.first().map(|opening| opening.value().expect("JSON"));
        match arguments {
            Keep::Plain => assert_eq!((held, opened), (Some(Held::Plain(sent.clone())), None)),
            Keep::Drop => assert_eq!((held, opened), (Some(Held::Dropped), None)),
            Keep::Commit => {
                assert!(matches!(held, Some(Held::Commitment(_))), "{held:?}");
                assert_eq!(opened, Some(sent.clone()));
            }
        }
    }
}
