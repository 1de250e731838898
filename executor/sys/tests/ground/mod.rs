//! The setting of the tests: a host with a cgroup root of its own, the profile that they vary, and a way to
//! run a program to its end.

#![allow(dead_code, reason = "every test binary uses a part of it")]

pub(crate) mod ordinary;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bailiwick_sys::drain::{CallLimits, Completed, Excess, Output, complete};
use bailiwick_sys::outcome::{Exit, Outcome};
use bailiwick_sys::profile::{Binding, CgroupLimits, Device, Landlock, Link, Proc, Profile, Rlimits, Tmpfs};
use bailiwick_sys::seccomp::{Instruction, Program};
use bailiwick_sys::{Build, CgroupRoot, Host, Ids, Launcher, Parked, Request};

/// A call that has not ended by then is stuck.
pub(crate) const TEST_DEADLINE: Duration = Duration::from_secs(300);

/// Variable that says how many times slower this machine is, for one whose processors are emulated.
const SLOWNESS: &str = "BAILIWICK_TEST_SLOWNESS";

/// A wait of this length, on a machine of the usual speed.
pub(crate) fn patience(usual: Duration) -> Duration {
    let slowness = std::env::var(SLOWNESS).ok().and_then(|times| times.parse().ok());
    usual * slowness.unwrap_or(1)
}

pub(crate) fn launcher_program() -> PathBuf {
    std::env::var_os(LAUNCHER)
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_bailiwick-launcher")), PathBuf::from)
}

/// Variable that names another launcher program, for a test that starts itself again as another user.
pub(crate) const LAUNCHER: &str = "BAILIWICK_TEST_LAUNCHER";

/// Copies a program with this mode, by another process. One that this process writes by itself is "busy" (ETXTBSY,
/// execve(2)) as long as a child that another thread has begun holds the descriptor, which it does until it executes
/// its program.
pub(crate) fn copy_program(from: &Path, to: &Path, mode: &str) {
    let status = Command::new("install").args(["-m", mode]).args([from, to]).status().unwrap();
    assert!(status.success(), "install {} {}: {status}", from.display(), to.display());
}

pub(crate) fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .expect("proc is mounted")
        .lines()
        .any(|line| line.starts_with("Uid:\t0\t0"))
}

/// Whether a test can run that needs root; if not, prints that it is skipped. Root's run of the suite covers
/// it, and an ordinary user's equivalent is tested as well.
pub(crate) fn root_or_skipped(what: &str) -> bool {
    if !is_root() {
        eprintln!("SKIPPED: {what}");
    }
    is_root()
}

/// A name for a cgroup root that no other test has.
pub(crate) fn root_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("bailiwick-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

/// A host with everything that this machine and user have.
pub(crate) fn host() -> Host {
    let cgroups = is_root().then(|| CgroupRoot::open(&root_name()).expect("root has a cgroup"));
    Host::new(launcher_program(), Ids::of_this_process(), cgroups)
}

/// A sandbox that can run what this machine has in `/usr`, and in `/bin` and `/lib` where those are not links
/// into it.
pub(crate) fn profile() -> Profile {
    let mut read_only = Vec::new();
    let mut links = Vec::new();
    for path in
        ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/passwd"]
    {
        let path = PathBuf::from(path);
        match std::fs::read_link(&path) {
            Ok(target) => links.push(Link { path, target }),
            Err(_) if path.exists() => read_only.push(Binding { source: path.clone(), target: path }),
            Err(_) => {}
        }
    }
    Profile {
        read_only,
        links,
        devices: vec![Device::Null, Device::Zero, Device::Full, Device::Random, Device::Urandom],
        writable: vec![Tmpfs { path: "/tmp".into(), size_bytes: 16 << 20, inodes: 1024 }],
        workspace: None,
        proc: Proc::Own,
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        host_name: "sandbox".to_owned(),
        working_directory: "/tmp".into(),
        rlimits: Rlimits {
            open_files: 256,
            file_size_bytes: 64 << 20,
            cpu_seconds: Some(20),
            processes: None,
            address_space_bytes: None,
        },
        cgroup: if is_root() {
            CgroupLimits { memory_bytes: Some(256 << 20), processes: Some(64), cpu_milli: Some(2000) }
        } else {
            CgroupLimits::default()
        },
        filter: filter(&[libc::SYS_mount, libc::SYS_umount2, libc::SYS_unshare, libc::SYS_setns]),
        landlock: Landlock::WhereAvailable,
        without: BTreeSet::new(),
    }
}

/// Processes that descend from one.
pub(crate) fn descendants(ancestor: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").expect("proc is mounted").flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        children.entry(parent.unwrap_or_default()).or_default().push(id);
    }
    let (mut found, mut next) = (BTreeSet::new(), vec![ancestor]);
    while let Some(parent) = next.pop() {
        let ids = children.remove(&parent).unwrap_or_default();
        found.extend(&ids);
        next.extend(ids);
    }
    found
}

/// The processes that descend from one, as soon as they are the expected ones; whatever they are in the end.
pub(crate) fn descendants_in_the_end(ancestor: u32, expected: &BTreeSet<u32>) -> BTreeSet<u32> {
    let deadline = Instant::now() + patience(TEST_DEADLINE);
    loop {
        let found = descendants(ancestor);
        if found.is_subset(expected) || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A filter that answers the given calls with EPERM and allows all others of this architecture: enough to see
/// that one is installed.
pub(crate) fn filter(denied: &[libc::c_long]) -> Program {
    let at = |code: u16, jt: u8, jf: u8, k: u32| Instruction { code, jt, jf, k };
    let (load, equal, answer) = (0x20, 0x15, 0x06);
    let arch = if cfg!(target_arch = "x86_64") { 0xC000_003E } else { 0xC000_00B7 };
    let mut program = vec![at(load, 0, 0, 4), at(equal, 1, 0, arch), at(answer, 0, 0, 0x8000_0000)];
    program.push(at(load, 0, 0, 0));
    for call in denied {
        program.push(at(equal, 0, 1, u32::try_from(*call).expect("call numbers are small")));
        program.push(at(answer, 0, 0, 0x0005_0000 | 1));
    }
    program.push(at(answer, 0, 0, 0x7fff_0000));
    Program(program)
}

/// A shell command as a request.
pub(crate) fn shell(command: &str) -> Request {
    Request {
        program: "/bin/sh".into(),
        arguments: vec!["sh".into(), "-c".into(), command.into()],
        ..Request::default()
    }
}

pub(crate) fn program(path: &str, arguments: &[&str]) -> Request {
    Request {
        program: path.into(),
        arguments: std::iter::once(path).chain(arguments.iter().copied()).map(str::to_owned).collect(),
        ..Request::default()
    }
}

pub(crate) fn python(code: &str) -> Request {
    program("/usr/bin/python3", &["-I", "-S", "-c", code])
}

pub(crate) fn build(host: &Host, launcher: &Launcher) -> Parked {
    let identity = host.identity().expect("ids are left");
    launcher.build(&Build { identity, workspace: None }).unwrap_or_else(|error| panic!("{error}"))
}

/// The result of a call.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) dropped: (u64, u64),
}

impl Done {
    /// The output of a call that must have succeeded.
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.exit.outcome, Outcome::Exited { code: 0 }, "{} {}", self.stdout, self.stderr);
        &self.stdout
    }
}

/// Limits that no test about something else reaches.
pub(crate) fn ample() -> CallLimits {
    CallLimits { wall: patience(TEST_DEADLINE), cpu: None, output_bytes: 1 << 20, excess: Excess::Drop }
}

/// Runs a request in a parked sandbox to its end.
pub(crate) fn run_in(parked: Parked, request: &Request) -> Done {
    run_within(parked, request, &ample())
}

/// The same within limits.
pub(crate) fn run_within(parked: Parked, request: &Request, limits: &CallLimits) -> Done {
    let running = parked.run(request).unwrap_or_else(|error| panic!("{error}"));
    finished(complete(running, b"", limits))
}

/// Clears a completed call away and gives its output as text.
pub(crate) fn finished(completed: Completed) -> Done {
    let Completed { exit, stdout, stderr, remains } = completed;
    remains.clear().expect("the sandbox is cleared away");
    let text = |output: &Output| String::from_utf8_lossy(&output.bytes).into_owned();
    Done { exit, stdout: text(&stdout), stderr: text(&stderr), dropped: (stdout.dropped, stderr.dropped) }
}

/// Builds a sandbox of a profile and runs one request in it.
pub(crate) fn run(profile: &Profile, request: &Request) -> Done {
    let host = host();
    let launcher = Launcher::spawn(&host, profile).unwrap_or_else(|error| panic!("{error}"));
    run_in(build(&host, &launcher), request)
}
