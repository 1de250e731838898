#!/usr/bin/env bash
# Ends exactly the processes that start.sh started for DIR, the node first and with all its pods, as by a power cut. DIR itself is left.
#   stop.sh DIR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

[ $# -eq 1 ] || die "usage: stop.sh DIR"
dir=$(cd "$1" && pwd)
halt node 0
n=$(cat "$dir/node/netns" 2>/dev/null || true)
for group in /sys/fs/cgroup/*/"bailiwick-$n" "/sys/fs/cgroup/bailiwick-$n"; do
    [ -n "$n" ] && [ -d "$group" ] || continue
    for _ in {1..40}; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
        sleep 0.05
    done
done
# Only the API server is asked to end; the others hold nothing that a kill could lose.
halt kube-scheduler 0
halt kube-controller-manager 0
halt kube-apiserver 5
halt etcd 0
if [ -n "$n" ]; then
    ip netns del "bailiwick-$n" 2>/dev/null || true # takes the cable with it
    rm -f "$dir/node/netns"
fi
if base=$(cat "$dir/port" 2>/dev/null); then
    claim=${TMPDIR:-/tmp}/bailiwick-cluster-ports-$(id -u)/$base
    [ "$(readlink "$claim" 2>/dev/null)" = "$dir" ] && rm -f "$claim"
    rm -f "$dir/port" "$dir/address"
fi
