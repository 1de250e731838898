"""Copies a repository of a registry into a folder: `blobs/<hex>` and `repository.json`, which lists manifests by digest and tags.

    pull.py http://127.0.0.1:5000 agents/app FOLDER
"""

import hashlib
import json
import pathlib
import sys
import urllib.request

registry, repository, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
blobs = folder / "blobs"
blobs.mkdir(parents=True, exist_ok=True)
accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " \
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"


def get(path):
    request = urllib.request.Request(f"{registry}/v2/{repository}/{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        return answer.read(), answer.headers.get("Content-Type")


def keep(data):
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return f"sha256:{digest}"


manifests, layers, tags = {}, set(), {}


def manifest(reference):
    data, kind = get(f"manifests/{reference}")
    digest = keep(data)
    if digest in manifests:
        return digest
    content = json.loads(data)
    manifests[digest] = kind
    for child in content.get("manifests", []):
        manifest(child["digest"])
    for blob in [content.get("config"), *content.get("layers", [])]:
        if blob and blob["digest"] not in layers:
            layers.add(keep(get(f"blobs/{blob['digest']}")[0]))
    return digest


for tag in json.loads(get("tags/list")[0])["tags"]:
    tags[tag] = manifest(tag)
listing = {"blobs": sorted(layers), "manifests": dict(sorted(manifests.items())), "tags": dict(sorted(tags.items()))}
(folder / "repository.json").write_text(json.dumps(listing, indent=1) + "\n")
