//! A small log to test with: short segments, few records, no waiting.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_audit::{
    AppendError, Appended, Damage, Entry, Event, Hash, Intent, Known, Mode, Options, Prepare, Recorded,
    Report, Writer, note,
};
use serde_json::json;

/// The smallest segments, and nothing that depends on the clock.
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
    let recorded = intend(writer, name).expect("an intent");
    end(writer, recorded.at(), ended(name)).expect("a result")
}

/// An intent that is durable.
pub(crate) fn intend(writer: &Writer, name: &str) -> Result<Recorded<()>, AppendError> {
    writer.begin_intent((), Intent::from(call(name)), writer.failures())?.wait()
}

/// How a call ended, durably.
pub(crate) fn end(writer: &Writer, intent: &Appended, entry: Entry) -> Result<Appended, AppendError> {
    writer.begin_result(intent, entry)?.wait()
}

/// A denied call.
pub(crate) fn deny(writer: &Writer, name: &str) -> Appended {
    let entry = Entry { effect: Some("deny".to_owned()), ..call(name) };
    writer.append(Event::Decision, entry).expect("a decision")
}

/// A folder in memory where possible: these tests are about bytes, not disks.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

/// What a verifier knows that has the log's key.
pub(crate) fn known(writer: &Writer) -> Known {
    Known { log_key: Some(note::parse_verifier_key(&writer.log_key()).expect("a key")), ..Known::default() }
}

/// A log with a history: opened twice, and so in two segments, with a lost call, and sealed. Also what is
/// known of it, and its last checkpoint.
pub(crate) struct Lived {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) known: Known,
    pub(crate) pinned: Known,
}

pub(crate) fn lived() -> Lived {
    let dir = folder();
    let writer = open(dir.path());
    run(&writer, "c1");
    let _ = intend(&writer, "c2").expect("an intent");
    drop(writer);
    let writer = open(dir.path());
    run(&writer, "c3");
    deny(&writer, "c4");
    let large = Entry { values: Mode::Plain, arguments: Some("y".repeat(5_000).into()), ..call("c5") };
    writer.append(Event::Decision, large).expect("a decision");
    let known = known(&writer);
    let last = writer.seal("drain").expect("a seal");
    let pinned = Known { checkpoints: vec![last.to_string()], ..known.clone() };
    Lived { dir, known, pinned }
}

pub(crate) fn segment(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("segments/{number:08}.jsonl"))
}

/// Lines of a segment, without the zeros behind them.
pub(crate) fn lines(dir: &Path, number: u32) -> Vec<String> {
    let text = std::fs::read(segment(dir, number)).expect("the segment");
    let text = String::from_utf8(text).expect("UTF-8");
    text.trim_end_matches('\0').lines().map(str::to_owned).collect()
}

/// Lines of all segments.
pub(crate) fn all_lines(dir: &Path) -> Vec<String> {
    let count = std::fs::read_dir(dir.join("segments")).expect("segments").count() as u32;
    (1..=count).flat_map(|number| lines(dir, number)).collect()
}

/// Writes these lines in place of the existing ones; a line that continues another segment begins a segment.
pub(crate) fn write_lines(dir: &Path, lines: &[String]) {
    std::fs::remove_dir_all(dir.join("segments")).ok();
    std::fs::create_dir(dir.join("segments")).expect("a folder");
    let (mut number, mut text) = (1, String::new());
    for line in lines {
        if line.contains(CONTINUES) && !text.is_empty() {
            std::fs::write(segment(dir, number), &text).expect("the segment is written");
            text.clear();
            number += 1;
        }
        text.push_str(line);
        text.push('\n');
    }
    std::fs::write(segment(dir, number), text).expect("the segment is written");
}

const CONTINUES: &str = "\"continues\":{";

pub(crate) fn verify(dir: &Path, known: &Known) -> Report {
    bailiwick_audit::verify(dir, known).expect("the log can be read")
}

/// Name of the damage and number of the record.
pub(crate) fn named(report: &Report) -> Option<(&'static str, u64)> {
    report.damage.as_ref().map(|Damage { kind, seq, .. }| (kind.name(), *seq))
}

/// CRC-32, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// The lines as an attacker without the key would write them: numbers, links and sums are all consistent
/// again.
pub(crate) fn forge(lines: &[String]) -> Vec<String> {
    let mut chain = Hash::ZERO;
    let (mut group, mut number, mut offset) = (0, 1, 0);
    let number_of = |line: &str, key: &str| -> u64 {
        let rest = line.split_once(&format!("\"{key}\":")).expect("an envelope").1;
        rest.split_once(',').expect("an envelope").0.parse().expect("a number")
    };
    let forge_line = |(seq, line): (usize, &String)| {
        if number_of(line, "seq") == number_of(line, "group") {
            group = seq;
        }
        let body = line.split_once("\"kind\":").expect("a kind").1;
        let mut body = body.rsplit_once(",\"sum\":").expect("a sum").0.to_owned();
        if let Some((before, after)) = body.split_once(CONTINUES).filter(|_| offset > 0) {
            let after = after.split_once('}').expect("its end").1;
            body = format!(
                "{before}{CONTINUES}\"segment\":{number},\"offset\":{offset},\"hash\":\"{chain}\"}}{after}"
            );
            (number, offset) = (number + 1, 0);
        }
        let said = format!("{{\"seq\":{seq},\"group\":{group},\"prev\":\"{chain}\",\"kind\":{body}");
        let line = format!("{said},\"sum\":\"{:08x}\"}}", crc32(said.as_bytes()));
        chain = chain.link(&Hash::leaf(line.as_bytes()));
        offset += line.len() + 1;
        line
    };
    lines.iter().enumerate().map(forge_line).collect()
}
