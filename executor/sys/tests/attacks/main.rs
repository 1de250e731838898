//! Proof by attack. Every attack is run at least three times: bare, where it must succeed (so it is a real
//! one); under the profile, where it must be stopped with the errno of the layer that is said to stop it; and
//! with that layer left out, where it must succeed again. Where several layers stop an attack, one more run
//! leaves out all but the first, to show that the first stops it alone.
//!
//! Attacks on limits, endings, workspaces and the owner are in the `sandbox` tests, next to what they attack;
//! failing set-up steps are in `faults`.

#[path = "../ground/mod.rs"]
mod ground;

mod always;
mod filter;
mod payloads;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::profile::{Binding, CgroupLimits, Landlock, Layer, Profile, Tmpfs};
use bailiwick_sys::{CgroupRoot, Host, Ids, Launcher};

use ground::{
    Done, TEST_DEADLINE, build, descendants, descendants_in_the_end, is_root, launcher_program, patience,
    profile, python, root_name, run_in,
};

/// What is left out of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Layer(Layer),
    Landlock,
    /// The limits of the sandbox's cgroup.
    Cgroup,
    /// The bounds of `/tmp`: room for every attack on it.
    Tmpfs,
    /// The limit that only what the profile names is visible of the host: one more folder is shown.
    View,
}

/// Where an attack is run bare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bare {
    /// As root, or an ordinary user's root, in separate namespaces, so that it changes nothing on this
    /// machine.
    Apart,
    /// On the machine itself; only for attacks that change nothing.
    Host,
    /// The same as an ordinary user, whichever user runs the tests.
    Nobody,
}

/// One attack of the list in the reference, by its number there.
struct Attack {
    number: u8,
    name: &'static str,
    code: String,
    /// What stops it: with everything on, and with the first layer alone.
    stopped: [&'static str; 2],
    /// The layers that stop it, the one that is shown first.
    layers: Vec<Out>,
    bare: Bare,
}

/// The beginning of every payload: calls by number, and a report of the end.
const PRELUDE: &str = r"
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def word(x):
    return ctypes.c_char_p(x) if isinstance(x, bytes) else ctypes.c_long(x) if isinstance(x, int) else x
def call(*arguments):
    got = libc.syscall(*[word(x) for x in arguments])
    if got < 0:
        raise OSError(ctypes.get_errno(), 'call')
    return got
def attack():
";

const EPILOGUE: &str = r"
try:
    attack()
    print('succeeded')
except OSError as error:
    print('stopped', errno.errorcode.get(error.errno, error.errno))
";

/// A payload as a program: the body of a function that raises OSError when it is stopped.
fn payload(body: &str) -> String {
    let indented: String = body.lines().map(|line| format!("    {line}\n")).collect();
    [PRELUDE, &filter::numbered(&indented), EPILOGUE].concat()
}

/// Runs a payload without any sandbox; returns what it reported.
fn run_bare(code: &str, bare: Bare) -> String {
    let python = ["/usr/bin/python3", "-I", "-S", "-c", code];
    let mut command = match bare {
        Bare::Host => Command::new(python[0]),
        Bare::Nobody => Command::new("setpriv"),
        Bare::Apart => Command::new("unshare"),
    };
    if bare == Bare::Apart && !is_root() {
        // Root of a user namespace: the most that an ordinary user can be.
        command.args(["--user", "--map-root-user"]);
    }
    match bare {
        Bare::Host => command.args(&python[1..]),
        Bare::Nobody => command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).args(python),
        Bare::Apart => command
            .args(["--mount", "--ipc", "--net", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-c"])
            .arg("mount -t tmpfs none /tmp && exec \"$@\"")
            .arg("sh")
            .args(python),
    };
    let output = command.output().expect("python and unshare are there");
    String::from_utf8_lossy(&output.stdout).trim().to_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The profile that is attacked: the filter of `filter`, and a world-writable directory of the host.
fn attacked(open: &Path, hidden: &Path, out: &[Out]) -> Profile {
    let mut profile = profile();
    profile.filter = filter::program();
    profile.read_only.push(Binding { source: open.to_owned(), target: "/data".into() });
    for layer in out {
        match layer {
            Out::Landlock => profile.landlock = Landlock::Off,
            Out::Cgroup => profile.cgroup = CgroupLimits::default(),
            Out::Tmpfs => {
                profile.writable = vec![Tmpfs { path: "/tmp".into(), size_bytes: 64 << 20, inodes: 8192 }];
            }
            Out::View => {
                profile.read_only.push(Binding { source: hidden.to_owned(), target: hidden.to_owned() });
            }
            Out::Layer(layer) => {
                profile.without.insert(*layer);
            }
        }
    }
    profile
}

/// How many attacks of the list have a layer that can be left out, except the two that depend on a setting of
/// the machine (`legacy_tiocsti`, `dmesg_restrict`).
const MOST_AS_ROOT: usize = 36;

/// The same without being root of the machine, and so without cgroups.
const MOST_AS_ANYBODY: usize = 27;

/// The result of a run, in the words of the payloads.
fn said(done: &Done) -> String {
    match &done.exit.outcome {
        Outcome::SyscallDenied => "killed SIGSYS".to_owned(),
        Outcome::MemoryExceeded => "killed for memory".to_owned(),
        Outcome::Exited { code: 0 } => done.stdout.trim().to_owned(),
        other => format!("{other:?} {} {}", done.stdout, done.stderr),
    }
}

/// Sandboxes of every set of left-out layers that was requested, one launcher for each.
struct Arena {
    _alone: MutexGuard<'static, ()>,
    host: Host,
    directory: tempfile::TempDir,
    /// What `Out::View` shows.
    hidden: PathBuf,
    /// Folders of its cgroup root, which contain a group for each sandbox.
    roots: Vec<PathBuf>,
    /// What is mounted on the machine.
    mounts: BTreeSet<String>,
    launchers: BTreeMap<String, Launcher>,
}

/// Whether a group is one of those that the next sandbox gets, with nothing in it.
fn is_empty_place(group: &Path) -> bool {
    let name = group.file_name().unwrap_or_default().to_string_lossy();
    let inside = std::fs::read_to_string(group.join("cgroup.procs"));
    name.starts_with("place-") && inside.is_ok_and(|inside| inside.is_empty())
}

/// Held while processes are started: those of two tests could not be told apart.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arena {
    fn new() -> Self {
        let alone = alone();
        let directory = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let root = is_root().then(|| CgroupRoot::open(&root_name()).expect("root has a cgroup"));
        let roots = root.as_ref().map(CgroupRoot::directories).unwrap_or_default();
        let host = Host::new(launcher_program(), Ids::of_this_process(), root);
        Self {
            _alone: alone,
            host,
            directory,
            hidden: PathBuf::new(),
            roots,
            mounts: mounts(),
            launchers: BTreeMap::new(),
        }
    }

    /// Asserts that nothing of the last sandbox is left; `before` are the processes without it.
    fn assert_that_the_machine_is_clean(&self, what: &str, before: &BTreeSet<u32>) {
        let after = descendants_in_the_end(std::process::id(), before);
        // Of those before, one that was ending may have ended.
        let left: Vec<_> = after.difference(before).collect();
        assert!(left.is_empty(), "processes are left by {what}: {left:?}");
        let left = mounts_in_the_end(&self.mounts);
        assert!(left.is_empty(), "mounts are left by {what}: {left:?}");
        for root in &self.roots {
            let entries =
                std::fs::read_dir(root).expect("the root is there").map(|entry| entry.unwrap().path());
            // The launchers, which continue to run, have a group of their own; a place that is kept is empty.
            let of_sandboxes =
                |path: &PathBuf| path.is_dir() && !path.ends_with("outposts") && !is_empty_place(path);
            let groups: Vec<_> = entries.filter(of_sandboxes).collect();
            assert!(groups.is_empty(), "groups are left by {what}: {groups:?}");
        }
    }

    fn run(&mut self, code: &str, out: &[Out]) -> String {
        let profile = attacked(self.directory.path(), &self.hidden, out);
        let host = &self.host;
        let launcher = self
            .launchers
            .entry(format!("{out:?}"))
            .or_insert_with(|| Launcher::spawn(host, &profile).unwrap_or_else(|error| panic!("{error}")));
        let before = descendants(std::process::id());
        let parked = build(host, launcher);
        assert_ne!(descendants(std::process::id()), before, "a sandbox is processes");
        let said = said(&run_in(parked, &python(code)));
        self.assert_that_the_machine_is_clean(code, &before);
        said
    }
}

fn mounts() -> BTreeSet<String> {
    let listed = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    listed.lines().map(str::to_owned).collect()
}

/// The mounts that are new and stay. Those of tests that run beside this one go soon.
fn mounts_in_the_end(before: &BTreeSet<String>) -> BTreeSet<String> {
    let deadline = Instant::now() + patience(TEST_DEADLINE);
    loop {
        let new: BTreeSet<String> = mounts().difference(before).cloned().collect();
        if new.is_empty() || Instant::now() > deadline {
            return new;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the kernel has what an attack is about; if not, it is not an attack here.
fn is_live(attack: &Attack, bare: &str) -> bool {
    if bare == "succeeded" {
        return true;
    }
    let missing = ["stopped EAFNOSUPPORT", "stopped ENOSYS", "stopped EPROTONOSUPPORT"].contains(&bare);
    // Some need root of the machine; root's run covers them.
    let beyond = !is_root() && ["stopped EPERM", "stopped EACCES"].contains(&bare);
    assert!(missing || beyond, "attack {} ({}) does not succeed bare: {bare}", attack.number, attack.name);
    eprintln!("SKIPPED attack {} ({}): bare it is answered {bare} here", attack.number, attack.name);
    false
}

#[test]
fn each_attack_succeeds_bare_is_stopped_by_its_layer_and_succeeds_without_it() {
    let mut arena = Arena::new();
    let surroundings = surroundings::Surroundings::new(arena.directory.path());
    surroundings.hidden.path().clone_into(&mut arena.hidden);
    let mut proven = BTreeSet::new();
    for attack in payloads::all(&surroundings) {
        let name = format!("attack {} ({})", attack.number, attack.name);
        let [full, alone] = attack.stopped;
        let live = is_live(&attack, &run_bare(&attack.code, attack.bare));
        assert_eq!(arena.run(&attack.code, &[]), full, "{name}");
        if !live {
            continue;
        }
        if let Some(others) = attack.layers.get(1..).filter(|others| !others.is_empty()) {
            assert_eq!(arena.run(&attack.code, others), alone, "{name}, by {:?} alone", attack.layers[0]);
        }
        assert_eq!(
            arena.run(&attack.code, &attack.layers),
            "succeeded",
            "{name}, without {:?}",
            attack.layers
        );
        proven.insert(attack.number);
    }
    // Numbers of the reference's list, each of which may have several rows. Attacks that no removable layer
    // stops are in `always`.
    let least = if is_root() { MOST_AS_ROOT } else { MOST_AS_ANYBODY };
    assert!(proven.len() >= least, "only {} attacks were live: {proven:?}", proven.len());
}
