"""Runs inside a sandbox and prints, as one JSON object, what it finds there: identity, privileges, mounts, limits, environment, descriptors,
network, processes, and the answers to calls that a sandbox must not have. Needs Python, /proc and x86_64."""

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
HIGH = 1 << 32
BUFFER = ctypes.addressof(ctypes.create_string_buffer(4096))
TEXT = ctypes.addressof(ctypes.create_string_buffer(b"tmpfs\0"))


def in_child(action):
    """`ok`, the name of an errno, or the name of the signal that ended it."""
    child = os.fork()
    if child == 0:
        os._exit(action())
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    code = os.WEXITSTATUS(status)
    return errno.errorcode[code] if code else "ok"


def call(number, *arguments):
    def action():
        result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments))
        return ctypes.get_errno() if result < 0 else 0

    return in_child(action)


def int_0x80():
    """getpid by the 32-bit interface: mov eax, 20; int 0x80; ret."""

    def action():
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        return 0

    return in_child(action)


def calls():
    return {
        "unshare user": call(272, 0x10000000),
        "setns": call(308, 0, 0),
        "clone new user": call(56, 0x10000000 | 17, 0),
        "clone new user, high bits": call(56, HIGH | 0x10000000 | 17, 0),
        "clone3": call(435, BUFFER, 88),
        "mount": call(165, TEXT, TEXT, TEXT, 0, 0),
        "umount2": call(166, TEXT, 0),
        "pivot_root": call(155, TEXT, TEXT),
        "chroot": call(161, TEXT),
        "fsopen": call(430, TEXT, 0),
        "open_tree": call(428, 0, TEXT, 0),
        "move_mount": call(429, 0, TEXT, 0, TEXT, 0),
        "mount_setattr": call(442, 0, TEXT, 0, BUFFER, 32),
        "io_uring_setup": call(425, 1, BUFFER),
        "bpf": call(321, 0, BUFFER, 120),
        "perf_event_open": call(298, BUFFER, 0, -1 & 0xFFFFFFFF, -1 & 0xFFFFFFFF, 0),
        "userfaultfd": call(323, 0),
        "add_key": call(248, TEXT, TEXT, TEXT, 1, 0xFFFFFFFD),
        "keyctl": call(250, 0, 0xFFFFFFFD, 0),
        "request_key": call(249, TEXT, TEXT, 0, 0),
        "ptrace": call(101, 0, 0, 0, 0),
        "process_vm_readv": call(310, 1, BUFFER, 0, BUFFER, 0, 0),
        "pidfd_getfd": call(438, 0, 0, 0),
        "kexec_load": call(246, 0, 0, 0, 0),
        "init_module": call(175, BUFFER, 0, TEXT),
        "swapon": call(167, TEXT, 0),
        "reboot": call(169, 0, 0, 0, 0),
        "syslog": call(103, 2, BUFFER, 1),
        "open_by_handle_at": call(304, 0, BUFFER, 0),
        "personality": call(135, 0x0400000),
        "mknod fifo": call(259, -100 & 0xFFFFFFFF, TEXT, 0o010600, 0),
        "settimeofday": call(164, BUFFER, 0),
        "netlink": call(41, 16, 3, 0),
        "packet": call(41, 17, 3, 0),
        "alg": call(41, 38, 5, 0),
        "vsock": call(41, 40, 1, 0),
        "vsock, high bits": call(41, HIGH | 40, 1, 0),
        "raw": call(41, 2, 3, 1),
        "sctp": call(41, 2, 1, 132),
        "unix": call(41, 1, 1, 0),
        "tcp": call(41, 2, 1, 0),
        "TIOCSTI": call(16, 0, 0x5412, TEXT),
        "TIOCSTI, high bits": call(16, 0, HIGH | 0x5412, TEXT),
        "TIOCLINUX": call(16, 0, 0x541C, TEXT),
        "F_SETOWN": call(72, 0, 8, 1),
        "TCP_ULP": call(54, 0, 6, 31, TEXT, 3),
        "x32 getpid": call(0x40000000 | 39),
        "int 0x80 getpid": int_0x80(),
    }


def status(*names):
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {name: lines[name].strip() for name in names}


def mounts():
    found = {}
    for line in open("/proc/self/mountinfo"):
        before, after = line.split(" - ")
        fields = before.split()
        flags = [flag for flag in fields[5].split(",") if flag in ("ro", "rw", "nosuid", "nodev", "noexec")]
        found[fields[4]] = [after.split()[0], *sorted(flags)]
    return found


def devices():
    found = {}
    for name in sorted(os.listdir("/dev")) if os.path.isdir("/dev") else []:
        try:
            with open("/dev/" + name, "r+b", buffering=0) as file:
                found[name] = "ok" if name in ("null", "full") or len(file.read(4)) == 4 else "empty"
        except OSError as error:
            found[name] = errno.errorcode[error.errno]
    return found


def writes():
    """Where a file can be made."""
    found = {}
    for folder in ("/", "/usr", "/tmp", "/work", "/proc/self", "/dev", "/etc"):
        path = os.path.join(folder, "bailiwick-probe")
        try:
            with open(path, "w") as file:
                file.write("x")
            os.unlink(path)
            found[folder] = "ok"
        except OSError as error:
            found[folder] = errno.errorcode[error.errno]
    return found


def descriptors():
    folder = os.open("/proc/self/fd", os.O_RDONLY)
    found = sorted(int(name) for name in os.listdir(folder) if int(name) != folder)
    os.close(folder)
    return found


def open_descriptors():
    # The listing itself has one, which is closed again by now.
    return [fd for fd in descriptors() if os.path.exists(f"/proc/self/fd/{fd}") or fd < 3]


NAMES = ["AS", "CORE", "CPU", "FSIZE", "MEMLOCK", "MSGQUEUE", "NOFILE", "NPROC", "RTPRIO", "STACK"]

json.dump(
    {
        "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
        "status": status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"),
        "mounts": mounts(),
        "limits": {name: list(resource.getrlimit(getattr(resource, "RLIMIT_" + name))) for name in NAMES},
        "environment": sorted(open("/proc/self/environ").read().rstrip("\0").split("\0")),
        "descriptors": open_descriptors(),
        "directory": os.getcwd(),
        "host": socket.gethostname(),
        "devices": devices(),
        "writes": writes(),
        "interfaces": sorted(line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line),
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
        "niceness": os.nice(0),
        "calls": calls(),
    },
    sys.stdout,
    indent=1,
)
