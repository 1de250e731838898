#!/usr/bin/env bash
# Ends exactly the processes that start.sh started for DIR (each checked by its start time). DIR itself is left.
#   stop.sh DIR
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: stop.sh DIR" >&2; exit 1; }
dir=$(cd "$1" && pwd)
if [ -e "$dir/node/own" ]; then exec "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/node/stop.sh" "$dir"; fi
prebuilt=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/../../../shared/cluster
if [ -e "$dir/env" ] && [ -x "$prebuilt/stop.sh" ]; then exec "$prebuilt/stop.sh" "$dir"; fi
for name in kube-controller-manager kube-apiserver etcd; do
    { read -r pid start <"$dir/pids/$name"; } 2>/dev/null || continue
    if [ "$(cut -d' ' -f22 "/proc/$pid/stat" 2>/dev/null)" = "$start" ]; then
        kill -TERM "$pid" 2>/dev/null || true
        for _ in {1..100}; do [ -e "/proc/$pid" ] || break; sleep 0.05; done
        [ ! -e "/proc/$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$dir/pids/$name"
done
