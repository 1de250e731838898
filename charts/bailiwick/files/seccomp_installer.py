"""Brings the seccomp profiles of pools onto the node that this runs on.

The operator publishes a pool's profile as a ConfigMap `bailiwick-seccomp-*` with the label `bailiwick.dev/seccomp: pool`; its annotation names the file
below the kubelet's folder. Only namespaces of pools are looked at, those that the variable `BAILIWICK_POOL_NAMESPACES` lists. A kubelet reads such a file when it starts a container, and tries again until it is there. Nobody but the operator may
write such a ConfigMap (the policy `bailiwick-reserved` of the chart).

A file that is there is never changed, since pods rely on it. A profile goes when no ConfigMap names it any more; containers that run keep theirs, which is in
the kernel. A namespace that does not answer, as one that somebody deleted, keeps the profiles that it was last known to name, and no others: `.named` beside
the profiles says which, since a new start knows nothing. One that never answered may name any that are there, and keeps those.
"""

import json
import os
import platform
import re
import ssl
import sys
import time
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
FOLDER = "/seccomp/bailiwick"
# Looked for so often: a pool's first pod waits that long at most beside its own start.
EVERY_S = 3
# Longest wait for one answer, and largest one: a profile has some 10 kB.
ANSWER_S, ANSWER_BYTES = 10, 64 << 20
# Largest profile, and most of them: so many pools have a place on one node.
PROFILE_BYTES, PROFILES = 1 << 20, 1000
# Which namespace names which profile: a line for each. A pod can ask for every file here as its profile, and a runtime takes JSON without actions for none at
# all, so nothing but profiles may be JSON.
NAMED = ".named"
HEADER = "# each namespace, and the profiles that it names\n"
NAME = re.compile(r"bailiwick/([-a-z0-9]{1,180}\.json)")
SELECTOR = "bailiwick.dev%2Fseccomp%3Dpool"


def server():
    """Where the API server is; an address of IPv6 stands in brackets."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def listed(namespace):
    """The ConfigMaps of a namespace that say they hold a profile."""
    with open(f"{ACCOUNT}/token", encoding="ascii") as file:
        token = file.read().strip()
    url = f"{server()}/api/v1/namespaces/{namespace}/configmaps?labelSelector={SELECTOR}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    with urllib.request.urlopen(request, timeout=ANSWER_S, context=context) as answer:
        return json.loads(answer.read(ANSWER_BYTES))["items"]


def published():
    """The profiles for this machine by file name, of each namespace that answers."""
    answers = {}
    for namespace in os.environ["BAILIWICK_POOL_NAMESPACES"].split():
        try:
            answers[namespace] = profiles(listed(namespace))
        except (OSError, ValueError, KeyError) as error:
            # A namespace that somebody deleted keeps no other pool's profile from its nodes.
            print(f"{namespace} does not answer and keeps its profiles; trying again: {error}", file=sys.stderr, flush=True)
    return answers


def profiles(items):
    found = {}
    for item in items[:PROFILES]:
        if not item["metadata"]["name"].startswith("bailiwick-seccomp-"):
            continue
        name = NAME.fullmatch(item["metadata"].get("annotations", {}).get("bailiwick.dev/profile-path", ""))
        profile = item.get("data", {}).get(f"{platform.machine()}.json")
        if name and profile and len(profile) <= PROFILE_BYTES:
            # Two that name one file: the one that sorts first, whatever the order of the list.
            found[name[1]] = min(profile, found.get(name[1], profile))
    return found


def is_profile(text):
    try:
        return bool(json.loads(text)["defaultAction"])
    except (ValueError, KeyError, TypeError):
        return False


def known():
    """The file names that each namespace was last known to name."""
    try:
        with open(f"{FOLDER}/{NAMED}", encoding="utf-8") as file:
            lines = [line.split() for line in file]
    except (OSError, ValueError):
        return {}
    return {words[0]: words[1:] for words in lines if words and words[0] != "#"}


def write(name, text):
    new = f"{FOLDER}/.new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(new, 0o644)
    os.rename(new, f"{FOLDER}/{name}")


def install(answers):
    os.makedirs(FOLDER, mode=0o755, exist_ok=True)
    there = {name for name in os.listdir(FOLDER) if not name.startswith(".")}
    found = {}
    for profiles_there in answers.values():
        for name, profile in profiles_there.items():
            found[name] = min(profile, found.get(name, profile))
    before, namespaces = known(), os.environ["BAILIWICK_POOL_NAMESPACES"].split()
    named = {one: sorted(answers[one]) if one in answers else before.get(one, sorted(there)) for one in namespaces}
    # First, so that no end of this program makes it forget who relies on a file.
    if named != before:
        write(NAMED, HEADER + "".join(" ".join([one, *names]) + "\n" for one, names in sorted(named.items())))
    for name in sorted(set(found) - there)[:max(0, PROFILES - len(there))]:
        if not is_profile(found[name]):
            print(f"{name} is no profile", file=sys.stderr, flush=True)
            continue
        write(name, found[name])
        print(f"installed {name}", flush=True)
    for name in sorted(there - {name for names in named.values() for name in names}):
        os.unlink(f"{FOLDER}/{name}")
        print(f"removed {name}", flush=True)


def main():
    while True:
        try:
            install(published())
        except (OSError, ValueError, KeyError) as error:
            print(f"trying again: {error}", file=sys.stderr, flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
