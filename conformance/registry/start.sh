#!/usr/bin/env bash
# Starts a registry with signed and unsigned images (conformance/images) where pods of the test cluster of KUBECONFIG reach it, and returns when it answers.
#   start.sh DIR        stop.sh DIR ends it
# Writes DIR/host (as it stands in references), DIR/registries.json and DIR/ca.pem (what the webhook needs to read it).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 1 ] || { echo "usage: start.sh DIR" >&2; exit 1; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
# The machine's end of the cable to the node, where the API server listens too.
server=$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
address=${server#https://}
(cd "$here" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off go build -mod=readonly -buildvcs=false -o "$dir/registry" .)
rm -f "$dir/host"
setsid "$dir/registry" -referrers -content "$here/../images/content" -folder "$dir" -listen "${address%:*}:0" >"$dir/log" 2>&1 </dev/null &
pid=$!
while [ ! -s "$dir/host" ]; do
    kill -0 "$pid" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.05
done
echo "$pid $(cut -d' ' -f22 "/proc/$pid/stat")" >"$dir/pid"
