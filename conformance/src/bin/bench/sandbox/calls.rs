//! Whole calls: a client's HTTP request on the Unix socket is decided, recorded durably, run in a sandbox
//! that was ready, and answered.
//!
//! The goal is a sum, because a call cannot be faster than its parts: the program without any sandbox, one
//! flush of the log, and a quarter of a millisecond for everything else. On an in-memory file system a flush
//! costs nothing, and only the program remains.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bailiwick_conformance::programs::Executor;
use serde_json::{Value, json};

use super::ground::{PROGRAM, compile, output};
use crate::report::{Report, directory};
use crate::sampling::percentile;

const ROUNDS: usize = 400;
const WARM_UP: usize = 20;

/// Sandboxes kept ready, and the pause in which the used one is replaced.
const WARM: &str = "4";
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes of a record, approximately.
const RECORD_BYTES: usize = 900;

/// What deciding, recording, sending and answering may cost in addition to the program and the flush.
const ALLOWANCE_US: f64 = 250.0;

pub(super) fn run(report: &mut Report) -> anyhow::Result<()> {
    let disk = tempfile::tempdir_in(directory())?;
    let Samples { calls, outputs, flushes } = measure(disk.path())?;
    let formula = 0.95 * percentile(&outputs, 0.5) + percentile(&flushes, 0.5) + ALLOWANCE_US;
    report.set("call_over_formula_p50_ratio", percentile(&calls, 0.5) / formula, ROUNDS);
    report.set("call_p50_us", percentile(&calls, 0.5), ROUNDS);
    report.set("call_p99_us", percentile(&calls, 0.99), ROUNDS);
    report.set("call_flush_p50_us", percentile(&flushes, 0.5), ROUNDS);
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let Samples { calls, outputs, .. } = measure(memory.path())?;
    report.set("call_tmpfs_p50_ratio", percentile(&calls, 0.5) / percentile(&outputs, 0.5), ROUNDS);
    report.set("call_tmpfs_p50_us", percentile(&calls, 0.5), ROUNDS);
    Ok(())
}

/// Microseconds, sorted.
struct Samples {
    calls: Vec<f64>,
    outputs: Vec<f64>,
    flushes: Vec<f64>,
}

/// An executor with its log in a folder. Measures in turns: calls, the program by the standard library, and a
/// flush of as many bytes in the same folder.
fn measure(folder: &Path) -> anyhow::Result<Samples> {
    compile(folder)?;
    let executor = Executor::start(folder, &["--warm", WARM])?;
    let mut client = executor.client()?;
    let opened: Value = serde_json::from_slice(&client.post("/v1/sessions", b"")?.body)?;
    let session = opened.get("id").and_then(Value::as_str).context("no session")?;
    let path = format!("/v1/sessions/{session}/calls");
    let body = json!({"tool": "true.run", "args": {}}).to_string();
    let file = File::create(folder.join("zeros"))?;
    file.write_all_at(&vec![0; (ROUNDS + WARM_UP) * RECORD_BYTES], 0)?;
    file.sync_all()?;
    let mut samples = Samples { calls: Vec::new(), outputs: Vec::new(), flushes: Vec::new() };
    let us = |taken: Duration| taken.as_nanos() as f64 / 1e3;
    for round in 0..ROUNDS + WARM_UP {
        std::thread::sleep(PAUSE);
        let begun = Instant::now();
        let answer = client.post(&path, body.as_bytes())?;
        let call = us(begun.elapsed());
        let answer: Value = serde_json::from_slice(&answer.body)?;
        anyhow::ensure!(answer.pointer("/outcome/code") == Some(&json!(0)), "{answer}");
        std::thread::sleep(PAUSE);
        let output = us(output(&mut Command::new(PROGRAM))?);
        let begun = Instant::now();
        file.write_all_at(&[b'x'; RECORD_BYTES], (round * RECORD_BYTES) as u64)?;
        file.sync_data()?;
        let flush = us(begun.elapsed());
        if round >= WARM_UP {
            samples.calls.push(call);
            samples.outputs.push(output);
            samples.flushes.push(flush);
        }
    }
    for figures in [&mut samples.calls, &mut samples.outputs, &mut samples.flushes] {
        figures.sort_by(f64::total_cmp);
    }
    Ok(samples)
}
