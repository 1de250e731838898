//! The attacks whose layer can be left out.

use bailiwick_sys::profile::Layer::{
    Capabilities, Descriptors, Filter, IpcNamespace, NamespaceLimits, NetworkNamespace, NetworkOwner,
    NoNewPrivileges, ReadOnly, Rlimits,
};

use crate::ground::is_root;
use crate::surroundings::{Surroundings, key, setting};
use crate::{Attack, Bare, Out, payload};

const BY_FILTER: Out = Out::Layer(Filter);

fn attack(number: u8, name: &'static str, body: &str, stopped: [&'static str; 2], layers: &[Out]) -> Attack {
    Attack { number, name, code: payload(body), stopped, layers: layers.to_vec(), bare: Bare::Apart }
}

/// An attack that the filter alone stops.
fn filtered(number: u8, name: &'static str, body: &str) -> Attack {
    attack(number, name, body, ["stopped EPERM"; 2], &[BY_FILTER])
}

/// An attack that needs capabilities and that the filter stops before they are checked.
fn privileged(number: u8, name: &'static str, body: &str) -> Attack {
    attack(number, name, body, ["stopped EPERM"; 2], &[BY_FILTER, Out::Layer(Capabilities)])
}

pub(crate) fn all(surroundings: &Surroundings) -> Vec<Attack> {
    let mut attacks = namespaces();
    attacks.extend(mounts());
    attacks.extend(kernel_surface());
    attacks.extend(other_processes());
    attacks.extend(sockets(surroundings));
    attacks.extend(forms());
    attacks.extend(terminals(surroundings));
    attacks.extend(out_of_sight(surroundings));
    attacks.extend(leaked());
    attacks.extend(running_programs(surroundings));
    attacks.extend(gains(surroundings));
    attacks.extend(limits());
    attacks.extend(bombs());
    attacks
}

/// An attack that changes nothing on the machine, and so may run on it.
fn on_host(attack: Attack) -> Attack {
    Attack { bare: Bare::Host, ..attack }
}

fn namespaces() -> Vec<Attack> {
    let both = [BY_FILTER, Out::Layer(NamespaceLimits)];
    let clone3 = "a = (ctypes.c_uint64 * 11)()\na[0], a[4] = 0x10000000, 17\n\
                  if call(SYS_clone3, ctypes.byref(a), 88) == 0: os._exit(0)";
    vec![
        attack(1, "unshare a user namespace", "call(SYS_unshare, 0x10000000)", ["stopped EPERM"; 2], &both),
        attack(
            1,
            "clone a user namespace",
            "if call(SYS_clone, 0x10000000 | 17, 0, 0, 0, 0) == 0: os._exit(0)",
            ["stopped EPERM"; 2],
            &both,
        ),
        attack(1, "clone3 a user namespace", clone3, ["stopped ENOSYS"; 2], &both),
        attack(
            1,
            "a user namespace past the filter",
            "call(SYS_unshare, 0x10000000)",
            ["stopped EPERM", "stopped ENOSPC"],
            &[Out::Layer(NamespaceLimits), BY_FILTER],
        ),
        privileged(2, "setns", "call(SYS_setns, os.open('/proc/self/ns/uts', 0), 0)"),
    ]
}

fn mounts() -> Vec<Attack> {
    vec![
        attack(
            3,
            "mount",
            "call(SYS_mount, b'x', b'/tmp', b'tmpfs', 0, 0)",
            ["stopped EPERM"; 2],
            &[BY_FILTER, Out::Layer(Capabilities), Out::Landlock],
        ),
        attack(
            3,
            "mount past the filter and with capabilities",
            "call(SYS_mount, b'x', b'/tmp', b'tmpfs', 0, 0)",
            ["stopped EPERM"; 2],
            &[Out::Landlock, BY_FILTER, Out::Layer(Capabilities)],
        ),
        privileged(3, "chroot", "call(SYS_chroot, b'/tmp')"),
        // A copy of a mount tree lives in a mount namespace of its own.
        attack(
            4,
            "open_tree",
            "call(SYS_open_tree, -100, b'/tmp', 1)",
            ["stopped EPERM"; 2],
            &[BY_FILTER, Out::Layer(Capabilities), Out::Layer(NamespaceLimits)],
        ),
        privileged(4, "fsopen", "call(SYS_fsopen, b'tmpfs', 0)"),
    ]
}

/// In a bare run `/data` is made first: there is no launcher that would have bound it.
fn write_into_a_read_only_path(number: u8, name: &'static str, file: &str) -> Attack {
    let body = format!(
        "if not os.path.isdir('/data'): os.chdir('/tmp')\nelse: os.chdir('/data')\nopen('{file}', 'w').close()\nos.unlink('{file}')"
    );
    attack(number, name, &body, ["stopped EROFS"; 2], &[Out::Layer(ReadOnly), Out::Landlock])
}

fn kernel_surface() -> Vec<Attack> {
    let perf = "import struct\na = bytearray(112)\nstruct.pack_into('IIQ', a, 0, 1, 112, 0)\nstruct.pack_into('Q', a, 40, 0x61)\n\
                call(SYS_perf_event_open, (ctypes.c_char * 112).from_buffer(a), 0, -1, -1, 0)";
    vec![
        write_into_a_read_only_path(5, "write to a path that is bound read-only", "attack"),
        write_into_a_read_only_path(66, "write what the agent runs later", ".envrc"),
        attack(
            72,
            "capabilities to report",
            "if int(open('/proc/self/status').read().split('CapEff:')[1].split()[0], 16) == 0: raise OSError(1, 'none')",
            ["stopped EPERM"; 2],
            &[Out::Layer(Capabilities)],
        ),
        // Only a process that cannot gain privileges may have a filter or Landlock without being privileged.
        attack(
            15,
            "privileges to be gained from a program",
            "if libc.prctl(39, 0, 0, 0, 0) != 0: raise OSError(1, 'no_new_privs')",
            ["stopped EPERM"; 2],
            &[Out::Layer(NoNewPrivileges), BY_FILTER, Out::Landlock],
        ),
        filtered(6, "io_uring_setup", "call(SYS_io_uring_setup, 4, (ctypes.c_uint32 * 30)())"),
        filtered(7, "userfaultfd", "call(SYS_userfaultfd, 1)"),
        filtered(7, "perf_event_open", perf),
        filtered(8, "add_key", "call(SYS_add_key, b'user', b'x', b'y', 1, -2)"),
        filtered(8, "keyctl", "call(SYS_keyctl, 0, -2, 1)"),
        filtered(14, "personality", "call(SYS_personality, 0x0040000)"),
    ]
}

fn other_processes() -> Vec<Attack> {
    let with_sibling = |act: &str| {
        format!(
            "import signal, time\nchild = os.fork()\nif child == 0:\n    while True: signal.pause()\n\
             try:\n    {act}\nfinally:\n    os.kill(child, 9)"
        )
    };
    let read = "b = ctypes.create_string_buffer(8)\n    v = (ctypes.c_uint64 * 2)(ctypes.addressof(b), 8)\n    \
                call(SYS_process_vm_readv, child, v, 1, v, 1, 0)";
    vec![
        filtered(9, "ptrace a sibling", &with_sibling("call(SYS_ptrace, 16, child, 0, 0)")),
        filtered(9, "read a sibling's memory", &with_sibling(read)),
        filtered(
            9,
            "take a sibling's descriptor",
            &with_sibling("call(SYS_pidfd_getfd, os.pidfd_open(child), 0, 0)"),
        ),
    ]
}

fn sockets(surroundings: &Surroundings) -> Vec<Attack> {
    let port = surroundings.tcp.local_addr().unwrap().port();
    let tcp = format!("import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)");
    let local = format!("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0{}')", surroundings.name);
    let network = [Out::Layer(NetworkNamespace), Out::Landlock];
    let owned = [BY_FILTER, Out::Layer(Capabilities), Out::Layer(NetworkOwner)];
    let by_owner = [Out::Layer(NetworkOwner), BY_FILTER, Out::Layer(Capabilities)];
    vec![
        filtered(12, "socket of netlink", "call(SYS_socket, 16, 2, 0)"),
        filtered(12, "socket of the kernel's ciphers", "call(SYS_socket, 38, 5, 0)"),
        filtered(12, "socket of virtual machines", "call(SYS_socket, 40, 1, 0)"),
        attack(12, "packet socket", "call(SYS_socket, 17, 2, 0)", ["stopped EPERM"; 2], &owned),
        attack(12, "raw socket", "call(SYS_socket, 2, 3, 1)", ["stopped EPERM"; 2], &owned),
        attack(
            12,
            "raw socket with capabilities",
            "call(SYS_socket, 2, 3, 1)",
            ["stopped EPERM"; 2],
            &by_owner,
        ),
        // A 64-bit comparison would see another family; the kernel sees netlink.
        filtered(13, "socket of netlink with high bits", "call(SYS_socket, 16 | 1 << 32, 2, 0)"),
        on_host(attack(55, "abstract socket of the host", &local, ["stopped ECONNREFUSED"; 2], &network)),
        on_host(attack(60, "the host's loopback", &tcp, ["stopped EACCES", "stopped ENETUNREACH"], &network)),
    ]
}

/// A name in the arena's folder, which is `/data` inside.
fn in_the_open(surroundings: &Surroundings, name: &str) -> String {
    format!("next(d for d in ('/data', '{}') if os.path.exists(d)) + '/{name}'", surroundings.open.display())
}

/// Typing into a terminal for the next reader there. The sandbox has none, so one is handed to it.
fn terminals(surroundings: &Surroundings) -> Vec<Attack> {
    if setting("/proc/sys/dev/tty/legacy_tiocsti").is_some_and(|setting| setting != "1") {
        eprintln!("SKIPPED attack 18: `legacy_tiocsti` is off, so that nobody can type into a terminal here");
        return Vec::new();
    }
    let typing = |request: &str| {
        let body = format!(
            "import fcntl, socket, struct, termios\nlink = socket.socket(socket.AF_UNIX)\nlink.connect({})\n\
             _, [terminal], _, _ = socket.recv_fds(link, 1, 1)\nos.dup2(terminal, 0)\n\
             if os.getsid(0) != os.getpid(): os.setsid()\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n\
             call(SYS_ioctl, 0, {request}, b'\\n')\n\
             if struct.unpack('i', fcntl.ioctl(0, termios.FIONREAD, bytes(4))) != (1,): raise OSError(5, 'not typed')",
            in_the_open(surroundings, "terminals")
        );
        body
    };
    vec![
        on_host(filtered(18, "typing into a terminal", &typing("0x5412"))),
        on_host(filtered(18, "typing with high bits", &typing("0x5412 | 1 << 32"))),
    ]
}

/// What every user of the host can reach by its path.
fn out_of_sight(surroundings: &Surroundings) -> Vec<Attack> {
    let hidden = surroundings.hidden.path().display();
    let connect = format!("import socket\nsocket.socket(socket.AF_UNIX).connect('{hidden}/socket')");
    let read = format!("open('{hidden}/token').read()");
    vec![
        on_host(attack(
            56,
            "a service of the host by its socket",
            &connect,
            ["stopped ENOENT"; 2],
            &[Out::View],
        )),
        on_host(attack(59, "a token that lies on the host", &read, ["stopped ENOENT"; 2], &[Out::View])),
    ]
}

/// The executor, and so every program that it starts, has a directory open (CVE-2024-21626).
fn leaked() -> Vec<Attack> {
    let by = |act: &str| {
        format!(
            "for fd in range(3, 250):\n    try:\n        if 'token' not in os.listdir(fd): continue\n    except OSError: continue\n    \
             {act}\n    return\nraise OSError(errno.EBADF, 'nothing')"
        )
    };
    let out = by("os.close(os.open('..', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd))");
    let closed = Out::Layer(Descriptors);
    vec![
        on_host(attack(20, "a leaked descriptor", &by("pass"), ["stopped EBADF"; 2], &[closed])),
        on_host(attack(
            21,
            "up from a leaked directory",
            &out,
            ["stopped EBADF"; 2],
            &[closed, Out::Landlock],
        )),
        on_host(attack(
            21,
            "up from a directory that was not closed",
            &out,
            ["stopped EBADF", "stopped EACCES"],
            &[Out::Landlock, closed],
        )),
    ]
}

/// A running program cannot be written, but what it holds open of itself can be when it has ended
/// (CVE-2019-5736). Here it is a shell that everybody may write: it opens itself, and becomes the program that
/// overwrites it, and puts back what was there.
fn running_programs(surroundings: &Surroundings) -> Vec<Attack> {
    let overwrite = payload(
        "held = os.pread(3, 4, 0)\nif held != b'\\x7fELF': raise OSError(8, 'no program')\n\
         f = os.open('/proc/self/fd/3', os.O_WRONLY)\nos.pwrite(f, b'evil', 0)\nwritten = os.pread(3, 4, 0)\n\
         os.pwrite(f, held, 0)\nif written != b'evil': raise OSError(5, 'not written')",
    );
    let overwriter = "exec 3</proc/self/exe; exec /usr/bin/python3 -I -S -c \"$1\"";
    let code = format!(
        "import os\nshell = {}\nos.execv(shell, [shell, '-c', {overwriter:?}, shell, {overwrite:?}])",
        in_the_open(surroundings, "shell")
    );
    let by_mount = [Out::Layer(ReadOnly), Out::Landlock];
    let by_landlock = [Out::Landlock, Out::Layer(ReadOnly)];
    let attack = |name, stopped, layers: &[Out]| {
        on_host(Attack { code: code.clone(), ..attack(22, name, "", stopped, layers) })
    };
    vec![
        attack("overwrite the running program", ["stopped EROFS"; 2], &by_mount),
        attack(
            "overwrite it where its mount can be written",
            ["stopped EROFS", "stopped EACCES"],
            &by_landlock,
        ),
    ]
}

/// Gaining privileges.
fn gains(surroundings: &Surroundings) -> Vec<Attack> {
    let node = "os.mknod('/tmp/node', 0o020600, os.makedev(0, 0))";
    let mut gains = vec![
        // The one device node that needs no privilege over the machine: overlay file systems read it as a
        // deletion.
        attack(35, "a device node", node, ["stopped EPERM"; 2], &[BY_FILTER, Out::Landlock]),
        attack(
            35,
            "a device node past the filter",
            node,
            ["stopped EPERM", "stopped EACCES"],
            &[Out::Landlock, BY_FILTER],
        ),
    ];
    if setting("/proc/sys/kernel/dmesg_restrict").is_some_and(|setting| setting == "0") {
        gains.push(on_host(filtered(10, "the kernel's log", "call(SYS_syslog, 10, 0, 0)")));
    } else {
        eprintln!("SKIPPED attack 10: `dmesg_restrict` is on, so that root alone reads the kernel's log");
    }
    if is_root() {
        let run = format!(
            "said = os.popen({} + ' -u').read().strip()\nif said == str(os.getuid()): raise OSError(1, said)",
            in_the_open(surroundings, "id")
        );
        let no_suid = [Out::Layer(NoNewPrivileges), Out::Layer(ReadOnly), BY_FILTER, Out::Landlock];
        let by_mount = [Out::Layer(ReadOnly), Out::Layer(NoNewPrivileges), BY_FILTER, Out::Landlock];
        let as_nobody = |attack: Attack| Attack { bare: Bare::Nobody, ..attack };
        let program = "a set-user-id program";
        gains.extend([
            as_nobody(attack(16, program, &run, ["stopped EPERM"; 2], &no_suid)),
            as_nobody(attack(
                16,
                "a set-user-id program by its mount",
                &run,
                ["stopped EPERM"; 2],
                &by_mount,
            )),
            attack(
                69,
                "other groups",
                "os.setgroups([0])",
                ["stopped EPERM"; 2],
                &[Out::Layer(Capabilities)],
            ),
        ]);
    }
    gains
}

/// Other forms of the same calls. Machine code is x86-64 only.
fn forms() -> Vec<Attack> {
    if !cfg!(target_arch = "x86_64") {
        return Vec::new();
    }
    let int80 = "import mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n\
                 if ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))() <= 0: raise OSError(38, 'call')";
    vec![
        attack(13, "int 0x80", int80, ["killed SIGSYS"; 2], &[BY_FILTER]),
        attack(13, "x32", "call(0x40000000 | SYS_getpid)", ["killed SIGSYS"; 2], &[BY_FILTER]),
    ]
}

fn limits() -> Vec<Attack> {
    let by_rlimits = [Out::Layer(Rlimits)];
    let shm = format!("if libc.shmget({}, 0, 0) < 0: raise OSError(ctypes.get_errno(), 'shmget')", key());
    let raise = "import resource\ntry: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))\nexcept ValueError: raise OSError(1, 'raise')";
    vec![
        attack(44, "raise a limit", raise, ["stopped EPERM"; 2], &by_rlimits),
        attack(
            53,
            "open without end",
            "held = [os.open('/dev/null', 0) for _ in range(400)]",
            ["stopped EMFILE"; 2],
            &by_rlimits,
        ),
        attack(
            47,
            "a file of a terabyte",
            "f = open('/tmp/big', 'wb')\nf.truncate(1 << 40)\nf.close()\nos.unlink('/tmp/big')",
            ["stopped EFBIG"; 2],
            &by_rlimits,
        ),
        attack(
            67,
            "timers without end",
            "for _ in range(400):\n    if libc.timerfd_create(1, 0) < 0: raise OSError(ctypes.get_errno(), 'timer')",
            ["stopped EMFILE"; 2],
            &by_rlimits,
        ),
        on_host(attack(
            54,
            "shared memory of the host",
            &shm,
            ["stopped ENOENT"; 2],
            &[Out::Layer(IpcNamespace)],
        )),
    ]
}

/// Attacks that exhaust a machine. The limits of a sandbox as a whole need a cgroup, which an ordinary user
/// lacks.
fn bombs() -> Vec<Attack> {
    let forks = "import signal\nchildren = []\ntry:\n    for _ in range(100):\n        child = os.fork()\n        if child == 0: signal.pause()\n        \
                 children.append(child)\nfinally:\n    for child in children: os.kill(child, 9)";
    let threads = "import threading\nstop = threading.Event()\ntry:\n    for _ in range(100): threading.Thread(target=stop.wait).start()\n\
                   except RuntimeError: raise OSError(11, 'thread')\nfinally:\n    stop.set()";
    let memory = "held = bytearray(320 << 20)\nfor at in range(0, len(held), 4096): held[at] = 1";
    let inodes = "for number in range(4000): open(f'/tmp/{number}', 'w').close()";
    let disk = "with open('/tmp/fill', 'wb') as f:\n    for _ in range(40): f.write(bytes(1 << 20))";
    let zombies = "for _ in range(100):\n    if os.fork() == 0: os._exit(0)";
    let unlinked =
        "f = open('/tmp/gone', 'wb', 0)\nos.unlink('/tmp/gone')\nfor _ in range(40): f.write(bytes(1 << 20))";
    let mut bombs = vec![
        attack(49, "a file that has no name any more", unlinked, ["stopped ENOSPC"; 2], &[Out::Tmpfs]),
        attack(48, "files without end", inodes, ["stopped ENOSPC"; 2], &[Out::Tmpfs]),
        attack(47, "a full disk", disk, ["stopped ENOSPC"; 2], &[Out::Tmpfs]),
    ];
    if is_root() {
        bombs.extend([
            attack(38, "forks without end", forks, ["stopped EAGAIN"; 2], &[Out::Cgroup]),
            attack(40, "zombies without end", zombies, ["stopped EAGAIN"; 2], &[Out::Cgroup]),
            attack(39, "threads without end", threads, ["stopped EAGAIN"; 2], &[Out::Cgroup]),
            attack(43, "memory without end", memory, ["killed for memory"; 2], &[Out::Cgroup]),
        ]);
    }
    bombs
}
