//! When the executor is killed, nothing of its sandboxes continues, and the next start removes what the
//! killed one could not.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_sys::keeper::Keeper;
use bailiwick_sys::{CgroupError, CgroupRoot, Host, Ids, Launcher};

use crate::ground::{build, is_root, launcher_program, profile, root_name, shell};

/// Generous, for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Variable that makes `owner_of_sandboxes` the process that is killed.
const OWNER: &str = "BAILIWICK_TEST_OWNER";

/// The same for `owner_of_bare_programs`.
const BARE_OWNER: &str = "BAILIWICK_TEST_BARE_OWNER";

/// A program that leaves another one behind.
const LEAVES: &str = "setsid sleep 1000 & sleep 1000";

/// Not a test of its own: the process that `nothing_survives_a_killed_owner` kills. It holds one sandbox
/// parked and one running.
#[test]
fn owner_of_sandboxes() {
    let Some(name) = std::env::var_os(OWNER) else { return };
    let root = is_root().then(|| CgroupRoot::open(name.to_str().unwrap()).unwrap());
    let directories = root.as_ref().map(CgroupRoot::directories).unwrap_or_default();
    let host = Host::new(launcher_program(), Ids::of_this_process(), root);
    let keeper = Keeper::spawn(&host).unwrap();
    let launcher = Arc::new(Launcher::spawn(&host, &profile()).unwrap());
    let parked = build(&host, &launcher);
    let running = build(&host, &launcher).run(&shell(LEAVES)).unwrap();
    for directory in directories {
        println!("root {}", directory.display());
    }
    println!("ready");
    std::thread::sleep(Duration::from_secs(120));
    drop((parked, running, keeper));
}

/// The same without a sandbox: the process that `without_a_sandbox_it_survives` kills.
#[test]
fn owner_of_bare_programs() {
    if std::env::var_os(BARE_OWNER).is_none() {
        return;
    }
    let mut shell = Command::new("/bin/sh");
    let running =
        shell.args(["-c", LEAVES]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    println!("ready");
    std::thread::sleep(Duration::from_secs(120));
    drop(running);
}

/// Name and parent of an existing process.
fn named(pid: i32) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(") ")?;
    Some((before.split_once('(')?.1.to_owned(), after.split(' ').nth(1)?.parse().ok()?))
}

/// All descendants of a process, as far as their parents live.
fn descendants(of: i32) -> Vec<(i32, String)> {
    let listed = std::fs::read_dir("/proc").unwrap();
    let pids = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let all: Vec<_> = pids.filter_map(|pid| named(pid).map(|(name, parent)| (pid, name, parent))).collect();
    let (mut found, mut parents) = (Vec::new(), vec![of]);
    while let Some(parent) = parents.pop() {
        for (pid, name, _) in all.iter().filter(|(_, _, other)| *other == parent) {
            parents.push(*pid);
            found.push((*pid, name.clone()));
        }
    }
    found
}

fn groups(root: &Path) -> usize {
    std::fs::read_dir(root).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()).count()
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Starts one of the two owners; returns its output until it was ready, and everything it had started once
/// both programs ran.
fn start(test: &str, variable: &str, value: &str) -> (Child, Vec<String>, Vec<(i32, String)>) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| line != "ready").collect();
    let deadline = Instant::now() + PATIENCE;
    let id = i32::try_from(owner.id()).unwrap();
    let processes = loop {
        let processes = descendants(id);
        if processes.iter().filter(|(_, name)| name == "sleep").count() == 2 {
            break processes;
        }
        assert!(Instant::now() < deadline, "the program does not run: {processes:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    (owner, said, processes)
}

#[test]
fn without_a_sandbox_it_survives() {
    let (mut owner, _, processes) = start("owner::owner_of_bare_programs", BARE_OWNER, "1");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let survivors: Vec<_> = processes.iter().filter(|(pid, _)| is_alive(*pid)).collect();
    for (pid, _) in &survivors {
        // SAFETY: sends a signal to a process that this test started and that was not reaped while it was
        // alive.
        unsafe { libc::kill(*pid, libc::SIGKILL) };
    }
    assert_eq!(survivors.iter().filter(|(_, name)| name == "sleep").count(), 2, "{processes:?}");
}

#[test]
fn nothing_survives_a_killed_owner() {
    let name = root_name();
    let (mut owner, said, processes) = start("owner::owner_of_sandboxes", OWNER, &name);
    let roots: Vec<PathBuf> =
        said.iter().filter_map(|line| Some(line.split_once("root ")?.1.into())).collect();
    // Launcher, keeper, two holders, two workers (one now a shell or a sleep) and what the shell has started.
    assert!(processes.len() >= 7, "{said:?} {processes:?}");
    if is_root() {
        assert!(matches!(CgroupRoot::open(&name), Err(CgroupError::InUse(_))), "the root is locked");
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while processes.iter().any(|(pid, _)| is_alive(*pid)) {
        assert!(Instant::now() < deadline, "still alive: {processes:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    if !is_root() {
        return;
    }
    assert!(roots.iter().any(|root| groups(root) > 0), "there is something to remove");
    let next = CgroupRoot::open(&name).expect("the lock ended with its owner");
    assert!(roots.iter().all(|root| groups(root) == 0), "the next start has removed what was left");
    drop(next);
    assert!(roots.iter().all(|root| !root.exists()));
}
