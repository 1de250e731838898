//! Sandboxes: the cost of one over starting the program without any, ready in advance (warm) and built on
//! demand (cold). The comparison is nsjail, with the configuration compiled from the same policy. All limits
//! are on, whatever cgroups the machine has.
//!
//! Each ratio is of candidates that take turns in random order. What a candidate needs but is not charged
//! for, such as a sandbox that is ready, is made before its clock starts; what it leaves is cleared
//! afterwards. Percentiles are of raw samples.

mod calls;
mod ground;

use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bailiwick_sys::outcome::Cause;
use bailiwick_sys::{Parked, Remains, Request};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::report::Report;
use crate::sampling::{Order, percentile};
use ground::{Ground, Kind, PROGRAM, output, run_in, unsandboxed};

/// Paired samples of each candidate, and how many of them share one preparation.
const ROUNDS: usize = 600;
const BATCH: usize = 20;

/// How long one core builds sandboxes.
const WINDOW: Duration = Duration::from_secs(4);

/// Sandboxes that are parked at one time to measure their memory, and how often this is repeated.
const PARKED: usize = 64;
const PARKINGS: usize = 7;

/// Memory has settled when no more than this was freed in one pause; the pause, and the number of checks.
const SETTLED_KB: f64 = 256.0;
const SETTLING_PAUSE: Duration = Duration::from_millis(200);
const SETTLING_LOOKS: usize = 25;

/// Processes of a sandbox that is killed, in addition to the two that hold it, and the number of kills.
const KILLED_PROCESSES: usize = 8;
const KILLS: usize = 100;

/// What is not measured, and why.
const ABSENT: [(&str, &str); 4] = [
    ("python_zygote_result_ratio", "runtimes that are loaded ahead are not supported (BW0509)"),
    ("python_zygote_exit_ratio", "runtimes that are loaded ahead are not supported (BW0509)"),
    ("bwrap_over_ours_p50", "nothing is compiled for bubblewrap, so that it would run under other limits"),
    ("slowest_of_100k_over_median", "a hundred thousand calls take longer than a bench may"),
];

/// The bench `sandbox`.
pub(crate) fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("sandbox");
    let ground = Ground::new()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    report.machine.insert("kernel".to_owned(), kernel.trim().to_owned());
    report.machine.insert("cgroup".to_owned(), format!("{:?}", ground.host.found().cgroup));
    against_each_other(&ground, &mut report)?;
    let plain = ground.kind("plain")?;
    parked(&plain, &mut report)?;
    killed(&plain, &mut report)?;
    drop((plain, ground));
    one_core(&mut report)?;
    calls::run(&mut report)?;
    for (key, why) in ABSENT {
        report.lacks(key, why);
    }
    Ok(report)
}

/// The candidates that run the program once, in the order of their samples.
const CANDIDATES: [&str; 6] = ["unsandboxed", "output", "warm", "cold", "session", "nsjail"];

fn against_each_other(ground: &Ground, report: &mut Report) -> anyhow::Result<()> {
    let (plain, session) = (ground.kind("plain")?, ground.kind("session")?);
    let mut nsjail = ground.under_nsjail();
    if nsjail.is_none() {
        eprintln!("nsjail is missing, so its figures are: run `make setup`");
    }
    let mut samples: [Vec<Duration>; CANDIDATES.len()] = Default::default();
    let mut order = Order::of(CANDIDATES.len());
    for _ in 0..=ROUNDS / BATCH {
        let mut ready = Vec::new();
        let mut sessions = Vec::new();
        for _ in 0..BATCH {
            ready.push(plain.build()?);
            sessions.push(session.build()?);
        }
        let mut left: Vec<Remains> = Vec::new();
        for _ in 0..BATCH {
            for at in order.round() {
                let taken = match CANDIDATES.get(*at).copied().unwrap_or_default() {
                    "unsandboxed" => unsandboxed()?,
                    "output" => output(&mut Command::new(PROGRAM))?,
                    "warm" => warm(ready.pop().context("none is ready")?, &mut left)?,
                    "session" => warm(sessions.pop().context("none is ready")?, &mut left)?,
                    "cold" => cold(&plain)?,
                    _ => match &mut nsjail {
                        Some(command) => output(command)?,
                        None => continue,
                    },
                };
                if let Some(samples) = samples.get_mut(*at) {
                    samples.push(taken);
                }
            }
        }
    }
    // The first batch was a warm-up.
    let samples = samples.map(|samples| {
        let mut us: Vec<f64> =
            samples.iter().skip(BATCH).map(|taken| taken.as_nanos() as f64 / 1e3).collect();
        us.sort_by(f64::total_cmp);
        us
    });
    let [bare, output, warm, cold, session, nsjail] = &samples;
    let mut ratio = |key: &str, of: &[f64], to: &[f64], at: f64| {
        if !of.is_empty() && !to.is_empty() {
            report.set(key, percentile(of, at) / percentile(to, at), of.len());
        }
    };
    ratio("cold_exec_p50_ratio", cold, bare, 0.5);
    ratio("cold_exec_p99_ratio", cold, bare, 0.99);
    ratio("warm_exec_p50_ratio", warm, bare, 0.5);
    ratio("warm_exec_p99_ratio", warm, bare, 0.99);
    ratio("api_over_command_output_p50_ratio", warm, output, 0.5);
    ratio("api_over_command_output_p99_ratio", warm, output, 0.99);
    ratio("session_workspace_p50_ratio", session, warm, 0.5);
    ratio("nsjail_over_cold_p50", nsjail, cold, 0.5);
    ratio("nsjail_over_ours_p50", nsjail, warm, 0.5);
    ratio("nsjail_over_ours_p99", nsjail, warm, 0.99);
    for (name, samples) in CANDIDATES.iter().zip(&samples).filter(|(_, samples)| !samples.is_empty()) {
        report.set(&format!("{name}_p50_us"), percentile(samples, 0.5), samples.len());
        report.set(&format!("{name}_p99_us"), percentile(samples, 0.99), samples.len());
    }
    Ok(())
}

/// From the request to the end with its usage and output, in a sandbox that was ready.
fn warm(parked: Parked, left: &mut Vec<Remains>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let completed = run_in(parked)?;
    let taken = begun.elapsed();
    left.push(completed.remains);
    Ok(taken)
}

/// From nothing to nothing: built, run and cleared away.
fn cold(kind: &Kind) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    run_in(kind.build()?)?.remains.clear()?;
    Ok(begun.elapsed())
}

/// The memory of each waiting sandbox: the larger of the decrease of the machine's available memory, kernel
/// structures included, and its two processes' share of pages. Either alone is too small: pages that the
/// kernel frees late are reused, and memory outside the pages of a process has no share.
fn parked(kind: &Kind, report: &mut Report) -> anyhow::Result<()> {
    let mut figures = Vec::new();
    for _ in 0..PARKINGS {
        let before = settled_kb()?;
        let held: Vec<Parked> = (0..PARKED).map(|_| kind.build()).collect::<Result<_, _>>()?;
        let taken = before - available_kb()?;
        let shares = shares_kb()?;
        drop(held);
        figures.push(taken.max(shares) / 1024.0 / PARKED as f64);
    }
    figures.sort_by(f64::total_cmp);
    report.set("parked_mb", percentile(&figures, 0.5), PARKINGS * PARKED);
    Ok(())
}

/// Available memory, once what has ended is freed: namespaces and cgroups go some time after their last
/// process.
fn settled_kb() -> anyhow::Result<f64> {
    let mut last = available_kb()?;
    for _ in 0..SETTLING_LOOKS {
        std::thread::sleep(SETTLING_PAUSE);
        let now = available_kb()?;
        if now - last < SETTLED_KB {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

/// The shares (`Pss` of `proc_pid_smaps_rollup(5)`) of all holders and workers that are children of this
/// process.
fn shares_kb() -> anyhow::Result<f64> {
    let own = std::process::id().to_string();
    let mut sum = 0.0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let is_ours = stat.contains("(bailiwick-hold)") || stat.contains("(bailiwick-work)");
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        if !is_ours || parent != Some(own.as_str()) {
            continue;
        }
        let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup"))?;
        let share = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no share")?;
        sum += share.trim().trim_end_matches(" kB").parse::<f64>()?;
    }
    Ok(sum)
}

fn available_kb() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// From the kill until all processes of a sandbox are dead, and until nothing of it is left, its cgroups
/// included. For comparison, the same programs killed and reaped without a sandbox.
fn killed(kind: &Kind, report: &mut Report) -> anyhow::Result<()> {
    let script = "i=0; while [ $i -lt COUNT ]; do sleep 100 & i=$((i+1)); done; echo; wait";
    let script = script.replace("COUNT", &(KILLED_PROCESSES - 1).to_string());
    let request = Request {
        program: "/bin/sh".into(),
        arguments: ["sh", "-c", script.as_str()].map(str::to_owned).to_vec(),
        ..Request::default()
    };
    let (mut dead, mut cleared, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..KILLS {
        bare.push(killed_bare(&script)?);
        let mut running = kind.build()?.run(&request)?;
        let stdout = running.take_stdout().context("no pipe")?;
        poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        let begun = Instant::now();
        running.kill(Cause::TimedOut);
        let (_, mut remains) = running.finish();
        remains.end();
        dead.push(begun.elapsed().as_nanos() as f64 / 1e6);
        remains.clear()?;
        cleared.push(begun.elapsed().as_nanos() as f64 / 1e6);
    }
    for (key, figures) in [("kill_tree", &mut dead), ("clear_tree", &mut cleared), ("kill_bare", &mut bare)] {
        figures.sort_by(f64::total_cmp);
        report.set(&format!("{key}_ms"), percentile(figures, 0.5), KILLS);
        report.set(&format!("{key}_p99_ms"), percentile(figures, 0.99), KILLS);
    }
    Ok(())
}

/// Milliseconds from the kill of a process group with the programs of `script` until all are reaped.
fn killed_bare(script: &str) -> anyhow::Result<f64> {
    // What a killed shell leaves is then ours to reap.
    set_child_subreaper(true)?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = shell.spawn()?;
    let stdout = child.stdout.take().context("no pipe")?;
    poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let begun = Instant::now();
    killpg(group, Signal::SIGKILL)?;
    let members = Pid::from_raw(-group.as_raw());
    while waitpid(members, None) != Err(Errno::ECHILD) {}
    let taken = begun.elapsed().as_nanos() as f64 / 1e6;
    set_child_subreaper(false)?;
    Ok(taken)
}

/// How many sandboxes one core builds, runs and clears away in a second, including everything that they need
/// on that core.
fn one_core(report: &mut Report) -> anyhow::Result<()> {
    let output = Command::new(std::env::current_exe()?).arg("sandbox-core").output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count: usize = said.trim().parse().context("no number")?;
    report.set("per_core_per_s", count as f64 / WINDOW.as_secs_f64(), count);
    Ok(())
}

/// The process of [`one_core`]: its children are on its core as well.
pub(crate) fn run_core() -> anyhow::Result<()> {
    let mut core = CpuSet::new();
    core.set(std::thread::available_parallelism()?.get() - 1)?;
    sched_setaffinity(Pid::from_raw(0), &core)?;
    let ground = Ground::new()?;
    let kind = ground.kind("plain")?;
    for _ in 0..BATCH {
        cold(&kind)?;
    }
    let (mut count, begun) = (0_usize, Instant::now());
    while begun.elapsed() < WINDOW {
        cold(&kind)?;
        count += 1;
    }
    println!("{count}");
    Ok(())
}
