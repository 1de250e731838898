//! The audit log: durable records per second, the cost of an append over its flush, verification, recovery.
//!
//! Everything is on the disk under `target/bench`. A rate depends on the disk as much as on the log. The
//! report therefore also has the number of records that shared a flush, and the processor time of a record.
//! The record is a denied tool call with commitments to its values, as by default. Verification is measured
//! without the openings, so that it reads every byte of the log and nothing else.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_audit::{Entry, Event, Known, Mode, Options, Writer, fold, verify};
use serde_json::json;

use crate::report::{Report, directory};
use crate::sampling::median;

/// How long each number of writers appends.
const WINDOW: Duration = Duration::from_secs(3);

/// Pairs of an append and a bare flush.
const PAIRS: usize = 1_000;

/// The size of the verified log.
const VERIFIED_BYTES: u64 = 200 * 1024 * 1024;

/// The records that are recovered, in bytes, all in one segment.
const RECORDED_BYTES: u64 = 1_000_000_000;

const GIB: u64 = 1024 * 1024 * 1024;

/// The bench `audit`.
pub(crate) fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("audit");
    std::fs::create_dir_all(directory())?;
    for writers in [1, 8, 64] {
        let folder = tempfile::tempdir_in(directory())?;
        let Durable { count, groups, cpu_us } = durable(folder.path(), writers)?;
        let mut set = |key: &str, figure: f64| report.set(&format!("{key}_{writers}_writers"), figure, count);
        set("durable_per_s", count as f64 / WINDOW.as_secs_f64());
        set("records_per_flush", count as f64 / groups as f64);
        set("cpu_us_per_record", cpu_us / count as f64);
    }
    let (over, flush) = append_over_flush(tempfile::tempdir_in(directory())?.path())?;
    report.set("append_over_fdatasync_us", over, PAIRS);
    report.set("fdatasync_p50_us", flush, PAIRS);
    let folder = tempfile::tempdir_in(directory())?;
    let (bytes, records) = fill(folder.path(), &Options::default(), VERIFIED_BYTES, 1)?;
    report.set("verify_mb_per_s", bytes as f64 / 1e6 / verified(folder.path())?, records);
    let folder = tempfile::tempdir_in(directory())?;
    let large = Options { segment_bytes: GIB, ..Options::default() };
    fill(folder.path(), &large, RECORDED_BYTES, 12)?;
    let begun = Instant::now();
    drop(Writer::open(folder.path(), &Options::default())?);
    report.set("recover_1gb_s", begun.elapsed().as_secs_f64(), 1);
    Ok(report)
}

fn entry(values: Mode) -> Entry {
    Entry {
        subject: Some(json!({"uid": 1000, "pool": "agents"})),
        session: Some("0192c1e4-7c5a-7000-8000-000000000001".to_owned()),
        call: Some("0192c1e4-7c5a-7000-8000-0000000000c1".to_owned()),
        tool: Some("shell.exec".to_owned()),
        arguments: Some(json!({"command": "git push --force origin main"})),
        facts: Some(json!({"programs": ["git"]})),
        rules: Some(json!(["no-force-push"])),
        effect: Some("deny".to_owned()),
        reason: Some("history is kept".to_owned()),
        values,
        ..Entry::default()
    }
}

/// The records that threads made durable within the window.
struct Durable {
    count: usize,
    /// The number of flushes.
    groups: usize,
    /// Processor time of all threads of the process in that time.
    cpu_us: f64,
}

/// How many records this many threads make durable within the window.
fn durable(folder: &Path, writers: usize) -> anyhow::Result<Durable> {
    let (writer, _) = Writer::open(folder, &Options::default())?;
    let (count, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (begun, used) = (Instant::now(), cpu_us()?);
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                while begun.elapsed() < WINDOW {
                    match writer.append(Event::Decision, entry(Mode::Commit)) {
                        Ok(_) => count.fetch_add(1, Ordering::Relaxed),
                        Err(_) => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    anyhow::ensure!(failed.into_inner() == 0, "an append failed");
    let cpu_us = cpu_us()? - used;
    drop(writer);
    let (mut groups, mut last) = (0, None);
    fold(folder, None, |record, _| {
        groups += usize::from(last.replace(record.group) != Some(record.group));
        Ok::<_, std::convert::Infallible>(())
    })?;
    Ok(Durable { count: count.into_inner(), groups, cpu_us })
}

/// Processor time that this process has used so far, in µs: user and system time, in hundredths of a second
/// (proc(5), `stat`).
fn cpu_us() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, behind_name) = text.rsplit_once(") ").unwrap_or_default();
    let ticks: Vec<f64> =
        behind_name.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() * 1e4)
}

/// Appends, and writes and flushes of as many bytes to a file of zeros, in turns: the difference of their
/// medians, and the median of the latter, in µs.
fn append_over_flush(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let (writer, _) = Writer::open(&folder.join("log"), &Options::default())?;
    let file = File::create(folder.join("zeros"))?;
    file.write_all_at(&vec![0; 4 * 1024 * 1024], 0)?;
    file.sync_all()?;
    let (mut appends, mut flushes) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let begun = Instant::now();
        writer.append(Event::Decision, entry(Mode::Commit))?;
        appends.push(begun.elapsed().as_nanos() as f64 / 1e3);
        let begun = Instant::now();
        file.write_all_at(&[b'x'; 900], pair as u64 * 900)?;
        file.sync_data()?;
        flushes.push(begun.elapsed().as_nanos() as f64 / 1e3);
    }
    appends.sort_by(f64::total_cmp);
    flushes.sort_by(f64::total_cmp);
    Ok((median(&appends) - median(&flushes), median(&flushes)))
}

/// Appends until the log has about this many bytes, and deletes the openings. With `times` above 1, values
/// are plain and that many times as long. Returns bytes and records.
fn fill(folder: &Path, options: &Options, bytes: u64, times: usize) -> anyhow::Result<(u64, usize)> {
    let (writer, _) = Writer::open(folder, options)?;
    let written = AtomicUsize::new(0);
    let mut entry = entry(Mode::Commit);
    if times > 1 {
        entry.values = Mode::Plain;
        entry.arguments = Some("a".repeat(300 * times).into());
        entry.facts = entry.arguments.clone();
        entry.rules = Some("r".repeat(4_000 * times).into());
    }
    let size = serde_json::to_vec(&json!([entry.arguments, entry.facts, entry.rules]))?.len() + 500;
    let enough = usize::try_from(bytes)? / size;
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                while written.fetch_add(1, Ordering::Relaxed) < enough {
                    if writer.append(Event::Decision, entry.clone()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let records = writer.position().map_or(0, |position| position.seq);
    drop(writer);
    std::fs::remove_dir_all(folder.join("disclosures"))?;
    let mut bytes = 0;
    for file in std::fs::read_dir(folder.join("segments"))? {
        bytes += file?.metadata()?.len();
    }
    Ok((bytes, usize::try_from(records)?))
}

/// The fastest of three verifications, in seconds: the first reads from the disk.
fn verified(folder: &Path) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let begun = Instant::now();
        let found = verify(folder, &Known::default())?;
        anyhow::ensure!(found.damage.is_none(), "{:?}", found.damage);
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}
