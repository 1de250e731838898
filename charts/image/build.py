#!/usr/bin/env python3
"""Makes the images of the chart from built programs and this machine's Debian files, without a container engine.

    build.py --binaries target/release --out DIR [NAME...]

NAME is one of webhook, operator, executor; without one all three. Writes DIR/NAME.tar, an OCI image layout that `ctr images import`, skopeo
and crane read, and prints one line for each: NAME and the image by digest, as the chart's values take it.

What is inside: the programs; the libraries that they are linked to; for the executor also what sandboxes see of a machine (shell, Python), the
Debian packages of executor.packages. An image in which a program would miss a library is refused. Nothing is taken from a network.
The same files give the same bytes: no times, owners or orders of this machine, and no compression.
"""

import argparse
import fnmatch
import os
import subprocess
import sys

from oci import Layer, Refused, archive, complete, libraries, merged

HERE = os.path.dirname(os.path.abspath(__file__))

# Who the programs are inside: nobody whom a distribution gives to anything.
USER = 65532

# What an image's program is, and where it stands. The executor's is outside of what sandboxes see (/usr, /bin, /lib).
IMAGES = {
    "webhook": ["/bailiwick/bailiwick-webhook"],
    "operator": ["/bailiwick/bailiwick-operator"],
    "executor": ["/bailiwick/bailiwick-executor", "/bailiwick/bailiwick-launcher"],
}

# Of Debian's packages only what runs: no documentation, no translations, no settings of this machine.
LEFT_OUT = ("/etc/", "/usr/share/bash-completion/", "/usr/share/bug/", "/usr/share/doc/", "/usr/share/doc-base/", "/usr/share/info/",
            "/usr/share/lintian/", "/usr/share/locale/", "/usr/share/man/", "/usr/share/menu/", "/usr/share/applications/", "/usr/share/pixmaps/")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, metavar="DIR", help="where the built programs are")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the archives go; made if it is not there")
    parser.add_argument("--repository", default="localhost/bailiwick-", metavar="PREFIX", help="what stands before NAME in the image's name")
    parser.add_argument("--tag", default="latest", help="the images' tag, beside their digest")
    parser.add_argument("names", nargs="*", metavar="NAME", help="webhook, operator, executor")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in IMAGES]
    if unknown:
        parser.error(f"no image is called `{unknown[0]}`; there are {', '.join(IMAGES)}")
    os.makedirs(options.out, exist_ok=True)
    for name in options.names or IMAGES:
        digest = build(name, options)
        print(f"{name} {options.repository}{name}@{digest}", flush=True)


def build(name, options):
    programs = Layer()
    for path in IMAGES[name]:
        programs.file(path, os.path.join(options.binaries, os.path.basename(path)), 0o755)
    programs.text("/etc/passwd", f"root:x:0:0:root:/:/bin/false\nbailiwick:x:{USER}:{USER}:bailiwick:/:/bin/false\n")
    programs.text("/etc/group", f"root:x:0:\nbailiwick:x:{USER}:\n")
    system = Layer()
    for link in ("bin", "lib", "lib64", "sbin"):
        system.link("/" + link, "usr/" + link)
        system.directory("/usr/" + link)
    for folder in ("/tmp", "/proc", "/sys", "/dev", "/etc", "/bailiwick"):
        system.directory(folder)
    if name == "executor":
        packages(system, os.path.join(HERE, "executor.packages"))
    else:
        # Anchors of the web's certificate authorities, for registries; the API server's own comes with the service account.
        system.file("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt", 0o644)
        for needed in libraries([programs.source(path) for path in IMAGES[name]]).values():
            for library in needed:
                system.file(merged(library), library, 0o755)
    complete(name, [system, programs])
    reference = options.repository + name
    return archive(os.path.join(options.out, name + ".tar"), reference, options.tag, [system, programs], [IMAGES[name][0]], USER)


def packages(layer, listing):
    """Adds the files of the Debian packages that a list names, one a line. `/path` is a single file of this machine, `-/path` one to leave out."""
    with open(listing, encoding="utf-8") as lines:
        wanted = [line for line in (line.split("#")[0].strip() for line in lines) if line]
    left_out = [line.removeprefix("-") for line in wanted if line.startswith("-")]
    for entry in wanted:
        if entry.startswith("/"):
            layer.file(entry, entry, 0o644)
        elif not entry.startswith("-"):
            for path in package_files(entry):
                if not any(fnmatch.fnmatch(path, pattern) for pattern in left_out):
                    layer.add(merged(path), path)


def package_files(package):
    try:
        listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Refused("the executor's image is made of Debian packages, and this machine has no dpkg") from None
    if listed.returncode != 0:
        raise Refused(f"the package `{package}` is not on this machine: apt-get install {package}")
    paths = [path for path in listed.stdout.splitlines() if path.startswith("/") and path != "/."]
    kept = [path for path in paths if not path.startswith(LEFT_OUT) and path not in ("/etc", "/usr/share/doc", "/usr/share/man")]
    for path in kept:
        # Not lists of files that another package put away (diversions), which dpkg prints as sentences.
        if not os.path.lexists(path):
            raise Refused(f"`{path}` of the package `{package}` is not on this machine: apt-get install --reinstall {package}")
    return kept


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"build.py: {refused}")
