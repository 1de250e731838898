//! A small log to act on: short segments, few records, no waiting.

use std::path::Path;
use std::time::Duration;

use bailiwick_audit::{Appended, Entry, Event, Intent, Mode, Options, Prepare, Wait, Writer};
use serde_json::json;

/// The smallest segments, and nothing that happens by the clock.
pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        result_room_bytes: 2 * 1024,
        checkpoint_every: Duration::from_secs(3600),
        linger: Duration::from_secs(3600),
        prepare: Prepare::OnDemand,
        ..Options::default()
    }
}

pub(crate) fn call(name: &str) -> Entry {
    Entry {
        time_ms: Some(1_764_000_000_000),
        subject: Some(json!({"uid": 1000})),
        session: Some("s1".to_owned()),
        call: Some(name.to_owned()),
        tool: Some("shell.exec".to_owned()),
        arguments: Some(json!({"command": "cat /etc/shadow"})),
        facts: Some(json!({"programs": ["cat"]})),
        state_delta: Some(json!({"counters": {"calls": 1}})),
        policy_digest: Some("ab".repeat(32)),
        rules: Some(json!(["allow-reading"])),
        effect: Some("allow".to_owned()),
        reason: Some("reading is allowed".to_owned()),
        ..Entry::default()
    }
}

pub(crate) fn ended(name: &str) -> Entry {
    Entry {
        time_ms: Some(1_764_000_000_500),
        call: Some(name.to_owned()),
        outcome: Some(json!({"Exited": {"code": 1}})),
        usage: Some(json!({"cpuUs": {"value": 700, "source": "cgroup"}})),
        result: Some(json!({"stderr": "no such file"})),
        results: Mode::Commit,
        ..Entry::default()
    }
}

/// A writer on this folder.
pub(crate) fn open(dir: &Path) -> Writer {
    Writer::open(dir, &options()).expect("the log opens").0
}

/// One call from its intent to its durable result.
pub(crate) fn run(writer: &Writer, name: &str) -> Appended {
    let recorded = writer.append_intent((), Intent::from(call(name))).expect("an intent");
    let result = writer.append_result(recorded.at(), ended(name), Wait::Durable).expect("a result");
    result.expect("it was waited for")
}

/// A denied call.
pub(crate) fn deny(writer: &Writer, name: &str) -> Appended {
    let entry = Entry { effect: Some("deny".to_owned()), ..call(name) };
    writer.append(Event::Decision, entry).expect("a decision")
}
