"""Runs the test programs that cargo built: side by side, for most of them wait most of the time, and cargo starts one after the other.

    cargo test --locked --workspace --all-targets --no-run --message-format=json | run_tests.py [FILTER]...
    cargo test --locked --workspace --no-run --message-format=json | run_tests.py --ordinary-user [FILTER]...

A program is started as cargo starts it: in its package's folder. What it prints is shown in one piece when it ends, as cargo shows it. With
`--ordinary-user`, they run one by one, as `nobody` if root asks and else as whoever asks, with nothing of the environment. Left out then is what
runs cargo or git, which root's home or checkout keeps from others, and what starts an API server, which is built into a home. The exit code is 1 if
a program failed, and if cargo named none."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Beside the processors' own number: enough that one works while the others wait, few enough that nothing that is waited for takes much longer.
MORE_THAN_PROCESSORS = 2
# How long each took the last time, in seconds: the longest start first, so that none is left to run alone at the end.
TIMES = os.path.join(REPOSITORY, "target", "test-times.json")
NOBODY = 65534
# Packages by their folder, and which of their test programs an ordinary user can run; None: all.
FOR_ORDINARY_USERS = {
    "executor/sys": None,
    "executor/audit": None,
    "executor": None,
    "compiler/policy": {"bundle_document", "facts_bash", "facts_corpus"},
    "compiler": {"enforcement", "meet_laws", "pack_bad_input", "pack_diagnostics", "syscalls"},
    "crds": None,
    "compiler/lsp": None,
    "webhook": None,
    "webhook/images": None,
    "conformance": {"bailiwick_conformance", "executor", "images", "pod_security", "pod_security_pack"},
}
# It is the compiler that is tested there.
LEFT_OUT = {"proofs"}


class Program:
    """One test program, and how it went."""

    def __init__(self, message):
        self.folder = os.path.dirname(message["manifest_path"])
        self.package = os.path.relpath(self.folder, REPOSITORY)
        self.target = message["target"]["name"]
        self.name = f"{self.package} {self.target} ({message['target']['kind'][0]})"
        self.path = message["executable"]
        self.seconds = self.processor = 0.0
        # Until it has ended well.
        self.failed = True

    def for_ordinary_users(self):
        names = FOR_ORDINARY_USERS.get(self.package, set())
        return self.target not in LEFT_OUT and (names is None or self.target in names)

    def run(self, arguments, **how):
        """Runs it to its end; its output, and in itself how long it took."""
        started = time.monotonic()
        # A file and not a pipe: what a test left running holds a pipe open, and would be waited for.
        with tempfile.TemporaryFile() as output:
            child = subprocess.Popen([self.path, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **how)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            self.seconds = time.monotonic() - started
            self.processor = used.ru_utime + used.ru_stime
            self.failed = child.returncode != 0
            output.seek(0)
            return output.read().decode(errors="replace") + (f"killed by signal {-child.returncode}\n" if child.returncode < 0 else "")


def programs(messages):
    for line in messages:
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable") and message["profile"]["test"]:
            yield Program(message)


def as_cargo_does(program):
    return {"cwd": program.folder, "env": {**os.environ, "CARGO_MANIFEST_DIR": program.folder}}


def as_ordinary_user(program):
    launcher = os.path.normpath(os.path.join(os.path.dirname(program.path), "..", "bailiwick-launcher"))
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "BAILIWICK_TEST_LAUNCHER": launcher}
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    return {"cwd": "/", "env": environment, **user}


def run_all(found, at_once, arguments, how):
    """Runs `at_once` programs side by side, in the order given, each with `how` it says; prints what each comes to as it ends."""
    waiting = list(reversed(found))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not waiting:
                    return
                program = waiting.pop()
            try:
                output = program.run(arguments, **how(program))
            except PermissionError:
                program.failed = True
                output = f"an ordinary user cannot reach {program.path}; put the checkout, or CARGO_TARGET_DIR, where others may go\n"
            except OSError as error:
                program.failed, output = True, f"cannot start {program.path}: {error}\n"
            with lock:
                print(f"{'     FAILED' if program.failed else '    Running'} {program.name}: {program.seconds:.1f} s, {program.processor:.1f} s of processor\n{output}", flush=True)

    workers = [threading.Thread(target=work) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def times():
    try:
        with open(TIMES) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def main():
    arguments = sys.argv[1:]
    ordinary = "--ordinary-user" in arguments
    if ordinary:
        arguments.remove("--ordinary-user")
    found = [program for program in programs(sys.stdin) if not ordinary or program.for_ordinary_users()]
    if not found:
        sys.exit("run_tests.py: cargo named no test program; give it what `cargo test --no-run --message-format=json` prints")
    named = {(package, name) for package, names in FOR_ORDINARY_USERS.items() for name in names or ()}
    missing = named - {(program.package, program.target) for program in found} if ordinary else set()
    if missing:
        sys.exit("run_tests.py: there are no such test programs: " + ", ".join(" ".join(one) for one in sorted(missing)))
    began = time.monotonic()
    if ordinary:
        run_all(found, 1, arguments, as_ordinary_user)
    else:
        last = times()
        found.sort(key=lambda program: -last.get(program.name, float("inf")))
        run_all(found, len(os.sched_getaffinity(0)) + MORE_THAN_PROCESSORS, arguments, as_cargo_does)
        os.makedirs(os.path.dirname(TIMES), exist_ok=True)
        with open(TIMES, "w") as file:
            json.dump({program.name: round(program.seconds, 1) for program in found}, file, indent=1)
    print(f"{len(found)} test programs in {time.monotonic() - began:.0f} s, {sum(program.processor for program in found):.0f} s of processor")
    failed = [program.name for program in found if program.failed]
    if failed:
        sys.exit("failed: " + ", ".join(failed))


main()
