//! What attacks reach for on the host: listeners, shared memory, files that no profile shows, a descriptor
//! that was left open by mistake, terminals.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ground::{copy_program, is_root};

/// The id outside of a holder's root: see `bailiwick_sys::DEFAULT_ID_BASE` and the launcher's `HOLDER_ID`.
const HOLDER_OUTSIDE: u32 = bailiwick_sys::DEFAULT_ID_BASE + 1;

/// Gives each client that connects a terminal of its own, and keeps the other side of all of them.
const TERMINALS: &str = r"
import os, pty, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen()
print('ready', flush=True)
masters = []
while True:
    connection, _ = listener.accept()
    master, slave = pty.openpty()
    masters.append(master)
    socket.send_fds(connection, [b't'], [slave])
    os.close(slave)
    connection.close()
";

pub(crate) struct Surroundings {
    pub(crate) tcp: TcpListener,
    /// Name of an abstract socket that is listened on.
    pub(crate) name: String,
    /// A world-readable folder, with `token` and a listening `socket`.
    pub(crate) hidden: TempDir,
    /// The folder of the arena, which is `/data` in sandboxes.
    pub(crate) open: PathBuf,
    shared_memory: i32,
    terminals: Child,
    _listeners: [UnixListener; 2],
    /// `hidden`, open without close-on-exec: every program that is started here inherits it.
    _leaked: File,
}

/// Key of the segment, unlike any that a program would choose, and unique to this process: an ordinary user's
/// run proceeds in parallel with root's.
pub(crate) fn key() -> i32 {
    0x6200_0000 | i32::try_from(std::process::id() & 0xff_ffff).unwrap()
}

impl Surroundings {
    pub(crate) fn new(open: &Path) -> Self {
        let name = format!("bailiwick-attack-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        // SAFETY: makes a segment; nothing is attached.
        let shared_memory = unsafe { libc::shmget(key(), 64, libc::IPC_CREAT | 0o666) };
        assert!(shared_memory >= 0, "{}", std::io::Error::last_os_error());
        // Not in `/tmp`: a sandbox, and a program that runs in separate namespaces, has its own.
        let hidden = tempfile::tempdir_in("/var/tmp").unwrap();
        let anybody = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        anybody(hidden.path(), 0o755);
        let (token, socket) = (hidden.path().join("token"), hidden.path().join("socket"));
        fs::write(&token, "secret").unwrap();
        anybody(&token, 0o644);
        let listener = UnixListener::bind(&socket).unwrap();
        anybody(&socket, 0o777);
        let leaked = File::open(hidden.path()).unwrap();
        // SAFETY: sets a flag of a descriptor that is open; no memory is touched.
        assert_eq!(unsafe { libc::fcntl(leaked.as_raw_fd(), libc::F_SETFD, 0) }, 0);
        let shell = open.join("shell");
        copy_program(Path::new("/bin/sh"), &shell, "777");
        if is_root() {
            set_user_id_program(open);
        }
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            name,
            hidden,
            open: open.to_owned(),
            shared_memory,
            terminals: terminals(open),
            _listeners: [UnixListener::bind_addr(&address).unwrap(), listener],
            _leaked: leaked,
        }
    }
}

/// `id` as a set-user-id program of the user that is root inside.
fn set_user_id_program(open: &Path) {
    let program = open.join("id");
    copy_program(Path::new("/usr/bin/id"), &program, "755");
    std::os::unix::fs::chown(&program, Some(HOLDER_OUTSIDE), Some(HOLDER_OUTSIDE)).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
}

/// Starts the program that gives terminals, and waits until it listens.
fn terminals(open: &Path) -> Child {
    let mut terminals = Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", TERMINALS])
        .arg(open.join("terminals"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(terminals.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "ready\n");
    terminals
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        // SAFETY: removes the segment that `new` has made; IPC_RMID reads no third argument.
        unsafe { libc::shmctl(self.shared_memory, libc::IPC_RMID, std::ptr::null_mut()) };
        let _ = self.terminals.kill();
        let _ = self.terminals.wait();
    }
}

/// The value of a kernel setting; `None`: this kernel has no such setting.
pub(crate) fn setting(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
