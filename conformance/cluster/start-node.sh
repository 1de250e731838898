#!/usr/bin/env bash
# Starts a control plane and one real node named `node`, all their state in DIR, and prints `export` lines for KUBECONFIG and PATH. Needs root.
#   start-node.sh DIR        stop.sh DIR ends exactly what this started
# The programs are the prebuilt ones in ../shared/cluster beside the checkout, if they lie there, else those that node/build.sh builds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prebuilt=$here/../../../shared/cluster/start-node.sh
if [ -x "$prebuilt" ]; then exec "$prebuilt" "$@"; fi
exec "$here/node/start.sh" "$@"
