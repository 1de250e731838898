"""Images as OCI archives (image-spec 1.1), without a container engine: layers from files of this machine, written with the same bytes for the same files."""

import hashlib
import io
import json
import os
import re
import stat
import subprocess
import tarfile


class Refused(Exception):
    """Why an image cannot be made, in a sentence for a person."""


def merged(path):
    """Where a file stands on a machine with a merged /usr, whichever name it was asked for by."""
    return re.sub(r"^/(bin|sbin|lib64|lib)/", r"/usr/\1/", path)


def libraries(programs):
    """For each program the files that the loader would map for it, the loader itself with them; none for a static one."""
    told = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    needs, at = {program: [] for program in programs}, programs[0]
    for line in told.stdout.splitlines():
        if line.endswith(":") and line[:-1] in needs:
            at = line[:-1]  # ldd names the file if there are several
        elif "not found" in line:
            raise Refused(f"a library of `{at}` is not here: {line.strip()}")
        elif match := re.match(r"\t(?:\S+ => )?(/\S+) \(0x", line):
            needs[at].append(match.group(1))
    return needs


def complete(name, layers):
    """Refuses an image with a program or library whose own libraries are not in it."""
    there = set().union(*(layer.entries for layer in layers))
    sources = {source: path for layer in layers for path in sorted(layer.entries) if (source := layer.source(path)) and is_elf(source)}
    for source, needed in libraries(sorted(sources)).items():
        missing = [library for library in needed if merged(library) not in there]
        if missing:
            raise Refused(f"`{sources[source]}` in the image `{name}` needs {', '.join(missing)}: add the Debian package that has them (dpkg -S)")


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


class Layer:
    """A tree of files for one layer, by absolute path."""

    def __init__(self):
        self.entries = {}

    def add(self, path, source):
        """What is at `source` on this machine: a file, a link or a directory, with its execute bit and no other privilege."""
        found = os.lstat(source)
        if stat.S_ISLNK(found.st_mode):
            self.link(path, os.readlink(source))
        elif stat.S_ISDIR(found.st_mode):
            self.directory(path)
        elif stat.S_ISREG(found.st_mode):
            self.file(path, source, 0o755 if found.st_mode & 0o100 else 0o644)
        else:
            raise Refused(f"`{source}` is neither file, link nor directory")

    def directory(self, path):
        if path not in ("/bin", "/lib", "/lib64", "/sbin"):  # links into /usr
            self.entries.setdefault(path, ("directory",))

    def link(self, path, target):
        self.entries[path] = ("link", target)

    def file(self, path, source, mode):
        if not os.path.isfile(source):
            raise Refused(f"`{source}` is not there")
        self.entries[path] = ("file", os.path.realpath(source), mode)

    def text(self, path, text):
        self.entries[path] = ("text", text.encode())

    def source(self, path):
        entry = self.entries[path]
        return entry[1] if entry[0] == "file" else None

    def tar(self):
        """The bytes of the layer: sorted, with every directory before what is in it."""
        for path in list(self.entries):
            while (path := os.path.dirname(path)) != "/":
                self.directory(path)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(self.entries):
                write(tar, path, self.entries[path])
        return out.getvalue()


def write(tar, path, entry):
    info = tarfile.TarInfo(path.lstrip("/"))
    kind, content = entry[0], b""
    if kind == "directory":
        info.type, info.mode = tarfile.DIRTYPE, 0o1777 if path == "/tmp" else 0o755
    elif kind == "link":
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry[1], 0o777
    elif kind == "text":
        content, info.mode = entry[1], 0o644
    else:
        with open(entry[1], "rb") as file:
            content = file.read()
        info.mode = entry[2]
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def archive(path, reference, tag, layers, entrypoint, user):
    """Writes an OCI image layout (image-spec 1.1) as one archive and gives the digest of the image's manifest."""
    blobs = {}

    def blob(media_type, content):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    described = [blob("application/vnd.oci.image.layer.v1.tar", layer.tar()) for layer in layers]
    config = blob("application/vnd.oci.image.config.v1+json", encode({
        "architecture": architecture(),
        "os": "linux",
        "config": {"User": f"{user}:{user}", "Entrypoint": entrypoint, "Env": ["PATH=/usr/bin:/bin:/bailiwick"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in described]},
    }))
    manifest = blob("application/vnd.oci.image.manifest.v1+json", encode({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": described,
    }))
    digest = manifest["digest"]
    # Twice: containerd finds an image only by the names that it was given, and pods name these images by digest.
    names = [f"{reference}:{tag}", f"{reference}@{digest}"]
    index = encode({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest | {"annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}} for name in names],
    })
    files = {"oci-layout": encode({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    files |= {"blobs/sha256/" + name.removeprefix("sha256:"): content for name, content in blobs.items()}
    new = path + ".new"
    with tarfile.open(new, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(files[name]), 0o644
            tar.addfile(info, io.BytesIO(files[name]))
    os.replace(new, path)  # whole or not at all
    return digest


def architecture():
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def encode(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
