//! When the executor is killed, nothing of its sandboxes goes on, and what it cannot remove any more the next start removes.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_sys::keeper::Keeper;
use bailiwick_sys::{CgroupError, CgroupRoot, Host, Ids, Launcher};

use crate::ground::{build, is_root, launcher_program, profile, root_name, shell};

/// Variable that makes `owner_of_sandboxes` be the one that is killed.
const OWNER: &str = "BAILIWICK_TEST_OWNER";

/// Not a test of its own: the process that `nothing_survives_a_killed_owner` kills. It holds one sandbox parked and one running.
#[test]
fn owner_of_sandboxes() {
    let Some(name) = std::env::var_os(OWNER) else { return };
    let root = CgroupRoot::open(name.to_str().unwrap()).unwrap();
    let directories = root.directories();
    let host = Host::new(launcher_program(), Ids::of_this_process(), Some(root));
    let keeper = Keeper::spawn(&host).unwrap();
    let launcher = Arc::new(Launcher::spawn(&host, &profile()).unwrap());
    let parked = build(&host, &launcher);
    let running = build(&host, &launcher).run(&shell("setsid sleep 1000 & sleep 1000")).unwrap();
    for directory in directories {
        println!("root {}", directory.display());
    }
    println!("ready");
    std::thread::sleep(Duration::from_secs(60));
    drop((parked, running, keeper));
}

/// Every process in the groups below a root.
fn processes(root: &Path) -> Vec<i32> {
    let groups = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("cgroup.procs"));
    let listed = groups.filter_map(|path| std::fs::read_to_string(path).ok()).collect::<String>();
    listed.lines().map(|line| line.parse().unwrap()).collect()
}

fn groups(root: &Path) -> usize {
    std::fs::read_dir(root).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()).count()
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn nothing_survives_a_killed_owner() {
    if !is_root() {
        return;
    }
    let name = root_name();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner::owner_of_sandboxes", "--nocapture"])
        .env(OWNER, &name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| line != "ready").collect();
    let roots: Vec<PathBuf> =
        said.iter().filter_map(|line| Some(line.split_once("root ")?.1.into())).collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    let pids = loop {
        let mut pids: Vec<i32> = roots.iter().flat_map(|root| processes(root)).collect();
        pids.sort_unstable();
        pids.dedup();
        // Two holders, two workers (one now a shell) and two sleeps; launcher and keeper where there is a unified tree.
        if pids.len() >= 6 {
            break pids;
        }
        assert!(Instant::now() < deadline, "{said:?} {pids:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(matches!(CgroupRoot::open(&name), Err(CgroupError::InUse(_))), "the root is locked");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < deadline, "still alive: {pids:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(roots.iter().any(|root| groups(root) > 0), "there is something to remove");
    let next = CgroupRoot::open(&name).expect("the lock ended with its owner");
    assert!(roots.iter().all(|root| groups(root) == 0), "the next start has removed what was left");
    drop(next);
    assert!(roots.iter().all(|root| !root.exists()));
}
