#!/usr/bin/env bash
# Ends the registry that start.sh started for DIR, told by its start time. DIR itself is left.
#   stop.sh DIR
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: stop.sh DIR" >&2; exit 1; }
read -r pid start <"$1/pid" || exit 0
rm -f "$1/pid"
[ "$(cut -d' ' -f22 "/proc/$pid/stat" 2>/dev/null)" != "$start" ] || kill "$pid"
