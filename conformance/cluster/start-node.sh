#!/usr/bin/env bash
# Starts a control plane and one real node named `node`, all their state in DIR, and prints `export` lines for KUBECONFIG and PATH. Needs root.
#   start-node.sh DIR        stop.sh DIR ends exactly what this started
# The programs are the prebuilt ones in ../shared/cluster beside the checkout, if they lie there, else those that node/build.sh builds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 1 ] || { echo "usage: start-node.sh DIR" >&2; exit 1; }
start=$here/../../../shared/cluster/start-node.sh
[ -x "$start" ] || start=$here/node/start.sh
exports=$("$start" "$1")
# The API server is outside of the node and calls webhooks by the addresses of their Services, which are the node's business. The way goes with
# the cable to the node. Of two clusters at once the newer one has it.
ip route replace 10.96.0.0/16 via "$(cat "$1/node/node-address")"
echo "$exports"
