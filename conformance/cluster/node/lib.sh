# What control-plane.sh, start.sh and stop.sh have in common; sourced, never run.

# Nothing here is to be asked for through a proxy.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# spawn NAME COMMAND...: starts a server in a session of its own, its output in
# logs/NAME.log, its process id (and start time, against id reuse) in pids/NAME.
spawn() {
    local name=$1; shift
    setsid "$@" </dev/null >>"$dir/logs/$name.log" 2>&1 &
    local pid=$!
    disown "$pid"
    echo "$pid $(starttime "$pid")" >"$dir/pids/$name"
}

# starttime PID: when it was started (field 22 of /proc/PID/stat; the second
# field may hold blanks, so cut at the last ")"), or 0 when it runs no more.
starttime() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || { echo 0; return; }
    set -- ${stat##*) }
    case $1 in Z | X) echo 0 ;; *) echo "${20}" ;; esac
}

alive() { # NAME
    local pid start
    { read -r pid start <"$dir/pids/$1"; } 2>/dev/null || return 1
    [ "$start" != 0 ] && [ "$(starttime "$pid")" = "$start" ]
}

halt() { # NAME [SECONDS]: TERM, then KILL after SECONDS; back when it is gone
    local pid start tries=$(( ${2:-5} * 20 ))
    { read -r pid start <"$dir/pids/$1"; } 2>/dev/null || return 0
    if alive "$1"; then
        [ $tries -eq 0 ] || kill -TERM "$pid" 2>/dev/null || true
        while alive "$1" && [ $((tries--)) -gt 0 ]; do sleep 0.05; done
        if alive "$1"; then kill -KILL "$pid" 2>/dev/null || true; fi
        while alive "$1"; do sleep 0.02; done
    fi
    rm -f "$dir/pids/$1"
}

# await SECONDS WHAT NAME COMMAND...: until COMMAND succeeds, the server NAME
# dies, or SECONDS have passed.
await() {
    local seconds=$1 what=$2 name=$3; shift 3
    local end=$(( SECONDS + seconds ))
    until "$@" >/dev/null 2>&1; do
        alive "$name" || { tail -n 20 "$dir/logs/$name.log" >&2; return 1; }
        [ $SECONDS -lt $end ] || { tail -n 20 "$dir/logs/$name.log" >&2; printf '%s: %s took over %s s\n' "${0##*/}" "$what" "$seconds" >&2; return 1; }
        sleep 0.05
    done
}

# In pki/: key NAME makes a private key, leaf a key and a certificate of our own
# authority, kubeconfig a file for a client of the API server at $api_url.
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
leaf() { # FILE SUBJECT EXTENSIONS
    key "$1"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 8)" \
        -days 3650 -sha256 -extfile <(printf '%b' "$3") -out "$1.crt" 2>/dev/null
    rm "$1.csr"
}
kubeconfig() { # FILE USER-LINES
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
current-context: test-cluster
clusters:
- name: test-cluster
  cluster:
    server: $api_url
    certificate-authority-data: $(base64 -w0 ca.crt)
contexts:
- name: test-cluster
  context: {cluster: test-cluster, user: user}
users:
- name: user
  user: {$2}
YAML
}
