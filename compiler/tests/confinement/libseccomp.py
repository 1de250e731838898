"""Loads an OCI seccomp profile into this process through libseccomp, as runtimes do, and tries calls whose answers are known. Prints `ok`.

A name that this libseccomp does not know is newer than it; runc leaves such rules out, and so does this.
"""

import ctypes
import errno
import json
import os
import signal
import sys

import seccomp

with open(sys.argv[1]) as file:
    profile = json.load(file)

filter = seccomp.SyscallFilter(seccomp.ERRNO(profile["defaultErrnoRet"]))
assert profile["architectures"] == ["SCMP_ARCH_X86_64"]
for rule in profile["syscalls"]:
    action = seccomp.ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else seccomp.ERRNO(rule["errnoRet"])
    tests = [seccomp.Arg(test["index"], seccomp.MASKED_EQ, test["value"], test["valueTwo"]) for test in rule.get("args", [])]
    for name in rule["names"]:
        if seccomp.resolve_syscall(seccomp.Arch.X86_64, name) < 0:
            continue
        filter.add_rule(action, name, *tests)

libc = ctypes.CDLL(None, use_errno=True)


def attempt(number, *arguments):
    """errno of the call in a child under the filter; 0 for success; -1 if it was killed."""
    child = os.fork()
    if child == 0:
        filter.load()
        result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments))
        os._exit(ctypes.get_errno() if result < 0 else 0)
    status = os.waitpid(child, 0)[1]
    return -1 if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS else os.waitstatus_to_exitcode(status)


HIGH = 1 << 32
pool = any("mount" in rule["names"] for rule in profile["syscalls"])
# ptrace(PTRACE_TRACEME), getpid, x32 getpid, io_uring_setup
assert attempt(101, 0) == errno.EPERM
assert attempt(39) == 0
assert attempt(0x40000000 | 39) == -1
assert attempt(425, 1, 0) == errno.ENOSYS
if not pool:
    # clone3, unshare, TIOCSTI with high bits, AF_VSOCK with high bits, AF_UNIX, AF_INET raw, personality
    assert attempt(435, 0, 0) == errno.ENOSYS
    assert attempt(272, 0) == errno.EPERM
    assert attempt(16, 0, 0x5412 | HIGH, 0) == errno.EPERM
    assert attempt(41, 40 | HIGH, 1, 0) == errno.EPERM
    assert attempt(41, 1, 1, 0) == 0
    assert attempt(41, 2, 3, 0) == errno.EPERM
    assert attempt(135, 0x0040000) == errno.EPERM
    assert attempt(135, 0xFFFFFFFF) == 0
else:
    assert attempt(435, 0, 0) == errno.EINVAL
    assert attempt(272, 0) == 0
print("ok")
