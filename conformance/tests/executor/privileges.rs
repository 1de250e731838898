//! The privileges of the executor and its launchers: as root the executor has five capabilities, and none of
//! its other processes has any id of the host's root; an ordinary user's executor has that user's privileges.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::{self, Executor};
use serde_json::json;

use crate::stage::{Caller, Stage, is_root, kind, own_pack, said, stdout};

/// A line of the status of a process.
fn status(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
    line.trim().to_owned()
}

/// Launchers and keepers of an executor, with what each is.
pub(crate) fn outposts(executor: &Executor) -> Vec<(u32, String)> {
    let pids = std::fs::read_dir("/proc")
        .expect("proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let parent = executor.id().to_string();
    let ours = pids.filter_map(|pid| {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        if rest.split(' ').nth(1)? != parent {
            return None;
        }
        // Holders and workers are copies of their launcher, with names of their own.
        let (_, name) = stat.split_once('(')?;
        if name.starts_with("bailiwick-hold") || name.starts_with("bailiwick-work") {
            return None;
        }
        let words = std::fs::read_to_string(folder.join("cmdline")).ok()?;
        let role = words.split('\0').nth(1)?.strip_suffix("-inside")?.to_owned();
        Some((pid, role))
    });
    let mut ours: Vec<_> = ours.collect();
    ours.retain(|(_, role)| ["launcher", "keeper"].contains(&role.as_str()));
    ours
}

#[test]
fn the_executor_keeps_five_capabilities_and_its_launchers_no_id_of_root() {
    if !is_root() {
        eprintln!("SKIPPED: an ordinary user has no capability to give up");
        return;
    }
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--warm", "1"]);
    let mut caller = Caller::new(&executor);
    assert_eq!(kind(&caller.shell("true")), "Exited");
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(executor.id(), set), "00000000000000e3", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(executor.id(), set), "0000000000000000", "{set}");
    }
    let outposts = outposts(&executor);
    assert!(outposts.iter().any(|(_, role)| role == "keeper"), "{outposts:?}");
    assert!(outposts.iter().filter(|(_, role)| role == "launcher").count() >= 2, "{outposts:?}");
    for (pid, role) in outposts {
        let ids = status(pid, "Uid") + " " + &status(pid, "Gid");
        assert!(ids.split_whitespace().all(|id| id != "0"), "{role}: {ids}");
    }
}

#[test]
fn a_killed_launcher_is_started_anew_and_what_runs_is_confined() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&["--warm", "0"]);
    let mut caller = Caller::new(&executor);
    let confined = "grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status | tr -s '\\t\\n' ' '";
    let expected = "CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ";
    assert_eq!(stdout(&caller.shell(confined)), expected);
    for _ in 0..3 {
        let launchers: Vec<u32> = outposts(&executor)
            .into_iter()
            .filter(|(_, role)| role == "launcher")
            .map(|(pid, _)| pid)
            .collect();
        assert!(!launchers.is_empty());
        for pid in &launchers {
            let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            assert!(killed.expect("kill runs").success());
        }
        // Calls that arrive while the launchers die fail with a set-up error, or run; later ones run. No
        // other answer occurs.
        let later = until("calls run again", || {
            let (status, call) = caller.call("shell.exec", json!({ "command": confined }));
            assert_eq!(status, 200, "{call}");
            match kind(&call) {
                "Exited" => Some(call),
                "SetupFailed" => None,
                other => panic!("{other}: {call}"),
            }
        });
        assert_eq!(stdout(&later.expect("a call")), expected);
    }
    executor.terminate().expect("it ends");
    // 6: it verifies, but no outside evidence says that it is complete.
    assert!(matches!(stage.verify().0, Some(0 | 6)));
}

/// `nobody`, on every Linux.
const NOBODY: u32 = 65_534;

/// Gives an ordinary user the programs and a folder of his own.
fn let_nobody_in(stage: &Stage) {
    // Copied, because an ordinary user may not be able to reach the build folder.
    let (open_to_all, his) = (std::fs::Permissions::from_mode(0o755), stage.path().join("his"));
    for name in ["bailiwick-executor", "bailiwick-launcher"] {
        programs::copy(&programs::find(name).expect("it is built"), &stage.path().join(name))
            .expect("a copy");
    }
    std::fs::create_dir(&his).expect("a folder");
    std::os::unix::fs::chown(&his, Some(NOBODY), Some(NOBODY)).expect("his");
    std::fs::set_permissions(stage.path(), open_to_all).expect("he can come in");
}

/// One call of the shell by an ordinary user, who has no cgroup.
fn run_as_nobody(stage: &Stage, bundle: &str, line: &str) -> Output {
    let mut command = Command::new(stage.path().join("bailiwick-executor"));
    command.args(["run", "--bundle", bundle, "--state", "his/state", "--tool", "shell.exec", "--args"]);
    command.arg(json!({ "command": line }).to_string()).current_dir(stage.path());
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).uid(NOBODY).gid(NOBODY).output().expect("it runs")
}

/// Nothing measures what a program leaves running there, which would use a budget's processor for nothing.
#[test]
fn without_a_cgroup_a_call_costs_a_budget_all_the_cpu_time_that_its_sandbox_allows() {
    if !is_root() {
        eprintln!("SKIPPED: the test runs as another user than the folder's");
        return;
    }
    let stage = Stage::new(&own_pack());
    let weaker = stage.weaker(&own_pack());
    let text = std::fs::read_to_string(&weaker).expect("the pack");
    // Two calls of 2 s each.
    std::fs::write(
        &weaker,
        text.replace("resource: CpuSeconds, limit: 3600", "resource: CpuSeconds, limit: 4"),
    )
    .expect("the pack");
    stage.compile(&weaker, "weaker", "weaker.json");
    let_nobody_in(&stage);
    let run = || run_as_nobody(&stage, "weaker.json", "(while :; do :; done) & sleep 0.3; echo ran");
    for _ in 0..2 {
        let ran = run();
        assert!(ran.status.success() && ran.stdout == b"ran\n", "{}", said(&ran));
    }
    let third = run();
    assert!(!third.status.success() && third.stdout.is_empty(), "{}", said(&third));
    assert!(said(&third).contains("budget"), "{}", said(&third));
}

/// `make test-user` runs all of this.
#[test]
fn an_ordinary_user_has_calls_confined_by_what_he_has_and_refused_where_that_is_not_enough() {
    if !is_root() {
        eprintln!("SKIPPED: an ordinary user runs all of these tests himself");
        return;
    }
    let stage = Stage::new(&own_pack());
    stage.compile(&stage.weaker(&own_pack()), "weaker", "weaker.json");
    let_nobody_in(&stage);
    let command = "id -u; grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status | tr -s '\t\n' ' '";
    let run = |bundle: &str| run_as_nobody(&stage, bundle, command);
    let refused = run("bundle.json");
    assert!(!refused.status.success() && said(&refused).contains("cgroup"), "{}", said(&refused));
    let ran = run("weaker.json");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(told, "1000\nCapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ", "{}", said(&ran));
    // The user on record, by the kernel's word and not by his own.
    let report = stage.bailiwick(&["audit", "verify", "his/state"]);
    assert_eq!(report.status.code(), Some(6), "{}", said(&report));
    let log =
        std::fs::read_to_string(stage.path().join("his/state/segments/00000001.jsonl")).expect("a segment");
    assert!(log.contains("uid:65534"), "{log}");
}
