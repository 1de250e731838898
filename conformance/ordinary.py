"""Runs the executor's tests as an ordinary user: as `nobody` if root asks, else as whoever asks.

    cargo test --locked --workspace --no-run --message-format=json | ordinary.py [FILTER]...

It reads from cargo where the test programs lie, and runs them there. `proofs` is left out, for it is the compiler that is tested there."""

import json
import os
import subprocess
import sys

NOBODY = 65534
# Packages by the end of their folder, and which of their test programs; None: all.
TESTED = {
    "executor/sys": None,
    "executor/audit": None,
    "executor": None,
    "conformance": {"executor"},
}
LEFT_OUT = {"proofs"}


def programs(messages):
    """Test programs of the packages above, in cargo's order."""
    for line in messages:
        message = json.loads(line) if line.startswith("{") else {}
        if not message.get("executable") or not message["profile"]["test"]:
            continue
        root = os.path.dirname(os.path.abspath(__file__))
        package = os.path.relpath(os.path.dirname(message["manifest_path"]), os.path.dirname(root))
        name = message["target"]["name"]
        names = TESTED.get(package, set())
        if name not in LEFT_OUT and (names is None or name in names):
            yield package, name, message["executable"]


def main():
    found = sorted(programs(sys.stdin))
    if not found:
        sys.exit("ordinary.py: cargo named no test program of the executor; give it what `cargo test --message-format=json` prints")
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    failed = []
    for package, name, program in found:
        launcher = os.path.join(os.path.dirname(program), "..", "bailiwick-launcher")
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "BAILIWICK_TEST_LAUNCHER": os.path.normpath(launcher)}
        print(f"== {package} {name}", flush=True)
        try:
            done = subprocess.run([program, *sys.argv[1:]], cwd="/", env=environment, stdin=subprocess.DEVNULL, **user)
        except PermissionError:
            sys.exit(f"ordinary.py: an ordinary user cannot reach {program}; put the checkout, or CARGO_TARGET_DIR, where others may go")
        if done.returncode != 0:
            failed.append(f"{package} {name}")
    if failed:
        sys.exit("ordinary.py: failed: " + ", ".join(failed))


main()
