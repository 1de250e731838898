"""Brings the seccomp profiles of pools onto the node that this runs on.

The operator publishes a pool's profile as a ConfigMap `bailiwick-seccomp-*` with the label `bailiwick.dev/seccomp: pool`; its annotation names the file
below the kubelet's folder. Only namespaces of pools are looked at, those that the variable `BAILIWICK_POOL_NAMESPACES` lists. A kubelet reads such a file when it starts a container, and tries again until it is there. Nobody but the operator may
write such a ConfigMap (the policy `bailiwick-reserved` of the chart).

A file that is there is never changed, since pods rely on it. A profile goes when no ConfigMap names it any more; containers that run keep theirs, which is in
the kernel.
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
    """The profiles for this machine, by file name, and whether those are all."""
    items, whole = [], True
    for namespace in os.environ["BAILIWICK_POOL_NAMESPACES"].split():
        try:
            items += listed(namespace)
        except (OSError, ValueError, KeyError) as error:
            # A namespace that somebody deleted keeps no other pool's profile from its nodes.
            print(f"trying {namespace} again: {error}", file=sys.stderr, flush=True)
            whole = False
    found = {}
    for item in items[:PROFILES]:
        if not item["metadata"]["name"].startswith("bailiwick-seccomp-"):
            continue
        name = NAME.fullmatch(item["metadata"].get("annotations", {}).get("bailiwick.dev/profile-path", ""))
        profile = item.get("data", {}).get(f"{platform.machine()}.json")
        if name and profile and len(profile) <= PROFILE_BYTES:
            # Two that name one file: the one that sorts first, whatever the order of the list.
            found[name[1]] = min(profile, found.get(name[1], profile))
    return found, whole


def install(found, whole):
    os.makedirs(FOLDER, mode=0o755, exist_ok=True)
    there = set(os.listdir(FOLDER))
    for name in sorted(set(found) - there):
        json.loads(found[name])  # what is not JSON is no profile
        new = f"{FOLDER}/.new"
        with open(new, "w", encoding="utf-8") as file:
            file.write(found[name])
        os.chmod(new, 0o644)
        os.rename(new, f"{FOLDER}/{name}")
        print(f"installed {name}", flush=True)
    # Without every answer it is not known what nobody names any more.
    for name in sorted(there - set(found) - {".new"}) if whole else []:
        os.unlink(f"{FOLDER}/{name}")
        print(f"removed {name}", flush=True)


def main():
    while True:
        try:
            install(*published())
        except (OSError, ValueError, KeyError) as error:
            print(f"trying again: {error}", file=sys.stderr, flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
