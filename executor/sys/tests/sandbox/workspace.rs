//! Workspaces of sessions: shared by the session's sandboxes and by no others, bounded, and gone with their
//! keeper; and the clerk among hostile files.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use bailiwick_sys::clerk::{self, ClerkError, Entry, Kind, Task};
use bailiwick_sys::drain::complete;
use bailiwick_sys::keeper::{Keeper, Workspace, WorkspaceError};
use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::profile::Profile;
use bailiwick_sys::{Build, Errno, Host, Identity, Launcher, Request, SandboxError};

use crate::ground::{Done, ample, finished, host, profile, run_in, shell};

/// A session: its identity, its workspace, and a launcher for its sandboxes.
struct Session {
    launcher: Arc<Launcher>,
    identity: Arc<Identity>,
    workspace: Workspace,
}

fn with_workspace() -> Profile {
    Profile { workspace: Some("/work".into()), working_directory: "/work".into(), ..profile() }
}

impl Session {
    fn new(host: &Host, keeper: &Arc<Keeper>, launcher: &Arc<Launcher>) -> Self {
        let identity = host.identity().unwrap();
        let workspace = keeper.create(&identity, 4 << 20, 64).unwrap();
        Self { launcher: Arc::clone(launcher), identity, workspace }
    }

    fn parked(&self) -> Result<bailiwick_sys::Parked, SandboxError> {
        self.launcher.build(&Build { identity: Arc::clone(&self.identity), workspace: Some(&self.workspace) })
    }

    fn run(&self, request: &Request) -> Done {
        run_in(self.parked().unwrap(), request)
    }

    /// The clerk's answer as bytes.
    fn clerk(&self, task: &Task, input: &[u8]) -> Vec<u8> {
        let running = self.parked().unwrap().run_clerk(task).unwrap();
        let completed = complete(running, input, &ample());
        assert_eq!(completed.exit.outcome, Outcome::Exited { code: 0 });
        let answer = completed.stdout.bytes.clone();
        finished(completed);
        answer
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ClerkError> {
        let answer = self.clerk(&Task::Read { path: path.into(), max_bytes: 1 << 16 }, b"");
        clerk::parse_read(&answer).map(|(_, bytes)| bytes.to_vec())
    }

    fn write(&self, path: &str, content: &[u8], max_bytes: u64) -> Result<u64, ClerkError> {
        clerk::parse_write(&self.clerk(&Task::Write { path: path.into(), max_bytes }, content))
    }

    fn list(&self, path: &str, depth: u8, max_entries: u32) -> (Vec<Entry>, bool) {
        let task = Task::List { path: path.into(), depth, max_entries };
        clerk::parse_list(&self.clerk(&task, b"")).unwrap()
    }
}

fn ground() -> (Host, Arc<Keeper>, Arc<Launcher>) {
    let host = host();
    let keeper = Keeper::spawn(&host).unwrap();
    let launcher = Arc::new(Launcher::spawn(&host, &with_workspace()).unwrap());
    (host, keeper, launcher)
}

#[test]
fn calls_of_a_session_share_its_workspace_and_nobody_else_does() {
    let (host, keeper, launcher) = ground();
    let one = Session::new(&host, &keeper, &launcher);
    let other = Session::new(&host, &keeper, &launcher);
    one.run(&shell("echo mine > canary; mkdir d; chmod 700 d; echo > /tmp/gone")).ok();
    assert_eq!(one.run(&shell("cat canary; ls -A d; ls -A /tmp; echo more >> canary")).ok(), "mine\n");
    assert_eq!(one.run(&shell("cat canary; stat -c %u:%g canary")).ok(), "mine\nmore\n1000:1000\n");
    assert_eq!(other.run(&shell("ls -A /work")).ok(), "");
}

#[test]
fn a_workspace_is_bounded_in_bytes_and_files() {
    let (host, keeper, launcher) = ground();
    let session = Session::new(&host, &keeper, &launcher);
    let full = session.run(&shell("head -c 10000000 /dev/zero > big; stat -c %s big; rm big"));
    assert_eq!(full.ok(), format!("{}\n", 4 << 20));
    assert!(full.stderr.contains("No space left"), "{}", full.stderr);
    let many = session.run(&shell("for i in $(seq 1000); do touch f$i || break; done; ls | wc -l; rm f*"));
    assert!(many.ok().trim().parse::<u32>().unwrap() < 64, "{}", many.stdout);
    session.run(&shell("head -c 1000000 /dev/zero > fits")).ok();
    // Zero would be no bound at all.
    for (size_bytes, inodes) in [(0, 64), (4 << 20, 0)] {
        let made = keeper.create(&session.identity, size_bytes, inodes);
        assert!(matches!(made, Err(WorkspaceError::Unbounded)), "{size_bytes} {inodes}");
    }
}

#[test]
fn what_is_lent_has_the_flags_of_a_workspace() {
    let (host, keeper, launcher) = ground();
    let session = Session::new(&host, &keeper, &launcher);
    let done = session.run(&shell("grep ' /work ' /proc/self/mountinfo"));
    let line = done.ok();
    assert!(line.contains("nosuid,nodev") && !line.contains("shared:"), "{line}");
    let lent_nothing = launcher.build(&Build { identity: host.identity().unwrap(), workspace: None });
    assert!(matches!(lent_nothing, Err(SandboxError::WorkspacePlace)));
}

#[test]
fn with_its_keeper_a_workspace_is_lost() {
    let (host, keeper, launcher) = ground();
    let session = Session::new(&host, &keeper, &launcher);
    session.run(&shell("echo x > file")).ok();
    // The keeper is our child; only its pidfd is available.
    let killed = unsafe {
        // SAFETY: without a siginfo nothing is read from memory.
        libc::syscall(libc::SYS_pidfd_send_signal, keeper.process().as_raw_fd(), libc::SIGKILL, 0, 0)
    };
    assert_eq!(killed, 0);
    assert!(matches!(session.parked(), Err(SandboxError::Workspace(WorkspaceError::Lost))));
    assert!(matches!(keeper.create(&session.identity, 1 << 20, 8), Err(WorkspaceError::Lost)));
}

#[test]
fn the_clerk_reads_writes_and_lists() {
    let (host, keeper, launcher) = ground();
    let session = Session::new(&host, &keeper, &launcher);
    assert_eq!(session.write("new", b"content", 100), Ok(7));
    assert_eq!(session.read("new").unwrap(), b"content");
    assert_eq!(session.write("new", b"", 100), Ok(0));
    assert_eq!(session.write("new", b"twelve bytes", 11), Err(ClerkError::Refused(Errno::EFBIG)));
    assert_eq!(session.read("new").unwrap(), b"", "the old content stands");
    assert_eq!(session.read("none"), Err(ClerkError::Refused(Errno::ENOENT)));
    assert_eq!(session.write("no/dir", b"x", 9), Err(ClerkError::Refused(Errno::ENOENT)));
    session.run(&shell("mkdir -p d/e; echo x > d/e/f; echo y > d/g; chmod 600 d/g")).ok();
    assert_eq!(session.write("d/e/f", b"zz", 9), Ok(2));
    let (mut entries, complete) = session.list("", 8, 100);
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let seen: Vec<_> = entries.iter().map(|e| (e.path.to_str().unwrap(), e.kind, e.size_bytes)).collect();
    let expected = [
        ("d", Kind::Directory),
        ("d/e", Kind::Directory),
        ("d/e/f", Kind::File),
        ("d/g", Kind::File),
        ("new", Kind::File),
    ];
    assert_eq!(seen.iter().map(|(p, k, _)| (*p, *k)).collect::<Vec<_>>(), expected);
    assert_eq!((seen[2].2, entries[3].mode, complete), (2, 0o600, true));
    assert_eq!(session.list("d", 1, 100).0.len(), 2);
    let (few, complete) = session.list("", 8, 3);
    assert_eq!((few.len(), complete), (3, false));
}

#[test]
fn the_clerk_is_not_led_out_and_does_not_hang() {
    let (host, keeper, launcher) = ground();
    let session = Session::new(&host, &keeper, &launcher);
    session
        .run(&shell(
            "ln -s /etc/passwd link; ln -s /etc dir; ln -s . self; mkfifo pipe; mkdir real; echo in > real/passwd; \
             python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'",
        ))
        .ok();
    for path in ["link", "dir/passwd", "self/real/passwd", "pipe", "sock", "real"] {
        let refused = session.read(path);
        assert!(matches!(refused, Err(ClerkError::Refused(_))), "{path}: {refused:?}");
    }
    // Writing replaces a link; it does not follow it.
    assert_eq!(session.write("link", b"own", 9), Ok(3));
    assert_eq!(session.run(&shell("cat link; head -c 4 /etc/passwd")).ok(), "ownroot");
    assert!(session.write("dir/passwd", b"x", 9).is_err());
    let (entries, _) = session.list("", 8, 100);
    let kind = |name: &str| entries.iter().find(|e| e.path.to_str() == Some(name)).map(|e| e.kind);
    assert_eq!(
        (kind("dir"), kind("pipe"), kind("sock")),
        (Some(Kind::Link), Some(Kind::Other), Some(Kind::Other))
    );
    assert_eq!(entries.iter().filter(|e| e.path.starts_with("dir")).count(), 1, "links are not entered");
}

#[test]
fn a_race_of_links_leads_the_clerk_nowhere() {
    let (host, keeper, launcher) = ground();
    let session = Session::new(&host, &keeper, &launcher);
    session.run(&shell("mkdir a; echo inside > a/passwd; ln -s /etc b")).ok();
    let swap = "import os\nwhile True:\n  os.rename('a','t'); os.rename('b','a'); os.rename('a','b'); os.rename('t','a')";
    let swapping = session.parked().unwrap().run(&crate::ground::python(swap)).unwrap();
    // A reader that follows names as they are is led out of the workspace; the clerk, in the same race, never
    // is.
    let naive = "import time\nend = time.time() + 20\nled = False\nwhile not led and time.time() < end:\n  try: led = open('a/passwd').readline() != 'inside\\n'\n  except OSError: pass\nprint(led)";
    assert_eq!(session.run(&crate::ground::python(naive)).ok(), "True\n", "the race is live");
    for _ in 0..60 {
        match session.read("a/passwd") {
            Ok(bytes) => assert_eq!(bytes, b"inside\n"),
            Err(error) => assert!(matches!(error, ClerkError::Refused(_)), "{error:?}"),
        }
    }
    swapping.kill(bailiwick_sys::outcome::Cause::Cancelled);
    drop(swapping);
}

#[test]
fn deep_trees_and_odd_names_are_listed_within_limits() {
    let (host, keeper, launcher) = ground();
    let session = Session::new(&host, &keeper, &launcher);
    let make = "import os\nfor i in range(40): os.mkdir('d'); os.chdir('d')\nos.chdir('/work')\nfor n in (b'new\\nline', b'\\xff\\xfe', b'x'*255, b' ', b'-rf'): open(n,'w')";
    session.run(&crate::ground::python(make)).ok();
    let (entries, complete) = session.list("", 255, 1000);
    assert_eq!(entries.iter().filter(|e| e.kind == Kind::Directory).count(), usize::from(clerk::MAX_DEPTH));
    assert_eq!(entries.iter().filter(|e| e.kind == Kind::File).count(), 5);
    assert!(complete, "what lies below the depth that was asked for is not missing");
    assert!(entries.iter().any(|e| e.path.as_os_str().len() == 255));
}
