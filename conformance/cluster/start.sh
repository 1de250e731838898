#!/usr/bin/env bash
# Starts a control plane for tests on loopback, all its state in DIR, and prints `export` lines for KUBECONFIG and PATH.
#   start.sh DIR        stop.sh DIR ends exactly what this started
# The programs come from, in this order: KUBEBUILDER_ASSETS; a prebuilt one in ../shared/cluster beside the checkout; build.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() { echo "start.sh: $*" >&2; exit 1; }
[ $# -eq 1 ] || die "usage: start.sh DIR"
prebuilt=$here/../../../shared/cluster
if [ -z "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$prebuilt/start.sh" ]; then
    KUBE_COMPONENTS=${KUBE_COMPONENTS-kube-controller-manager} exec "$prebuilt/start.sh" "$1"
fi
for program in openssl curl; do command -v $program >/dev/null || die "$program is not there; apt-get install $program"; done

umask 077
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mkdir -p "$dir"/{bin,etcd,logs,pids,pki}
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    for program in etcd kube-apiserver kubectl; do
        [ -x "$KUBEBUILDER_ASSETS/$program" ] || die "KUBEBUILDER_ASSETS has no $program"
        ln -sfn "$KUBEBUILDER_ASSETS/$program" "$dir/bin/$program"
    done
    [ -x "$KUBEBUILDER_ASSETS/kube-controller-manager" ] && ln -sfn "$KUBEBUILDER_ASSETS/kube-controller-manager" "$dir/bin/"
else
    kube=$("$here/build.sh")
    for program in etcd kube-apiserver kube-controller-manager kubectl; do ln -sfn "$kube" "$dir/bin/$program"; done
fi
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY # nothing here is to be asked for through a proxy

# Four ports in a row that nobody listens on; a loser of the race between look and use fails its start and is tried again.
free() { # BASE
    local port
    for port in {0..3}; do
        ! grep -qiE "^ *[0-9]+: [0-9A-F]+$(printf ':%04X ' $(($1 + port)))[0-9A-F:]+ 0A " /proc/net/tcp /proc/net/tcp6 || return 1
    done
}
for _ in {1..200}; do base=$((20000 + RANDOM % 2500 * 4)); free $base && break; done

cd "$dir/pki"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -subj /CN=test-cluster-ca -days 3650 -sha256 -out ca.crt
key apiserver
openssl req -new -key apiserver.key -subj /CN=kube-apiserver -out apiserver.csr
openssl x509 -req -in apiserver.csr -CA ca.crt -CAkey ca.key -set_serial 2 -days 3650 -sha256 -out apiserver.crt 2>/dev/null \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n')
key service-account
openssl ec -in service-account.key -pubout -out service-account.pub 2>/dev/null
token=$(openssl rand -hex 24)
controller=$(openssl rand -hex 24)
printf '%s,admin,admin,system:masters\n%s,system:kube-controller-manager,system:kube-controller-manager\n' "$token" "$controller" >tokens.csv
kubeconfig() { # FILE TOKEN
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
current-context: test-cluster
clusters: [{name: test-cluster, cluster: {server: "https://127.0.0.1:$base", certificate-authority-data: $(base64 -w0 ca.crt)}}]
contexts: [{name: test-cluster, context: {cluster: test-cluster, user: user}}]
users: [{name: user, user: {token: $2}}]
YAML
}
kubeconfig "$dir/kubeconfig" "$token"
kubeconfig controller.kubeconfig "$controller"
cd "$dir"

spawn() { # NAME COMMAND...
    local name=$1
    shift
    setsid "$@" </dev/null >>"logs/$name.log" 2>&1 &
    echo "$! $(cut -d' ' -f22 "/proc/$!/stat")" >"pids/$name" # with the start time, against reuse of the id
    disown
}
failed() { tail -n 20 logs/*.log >&2; "$here/stop.sh" "$dir" >&2 || true; die "$1"; }
await() { # WHAT COMMAND...: 60 s at most
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || failed "$what did not come up in 60 s; the last lines of the logs are above"
        sleep 0.1
    done
}
ask() { curl -fs --max-time 2 --noproxy '*' --cacert pki/ca.crt -H "Authorization: Bearer $token" "https://127.0.0.1:$base$1"; }

spawn etcd bin/etcd --name default --data-dir etcd --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$((base + 1))" --advertise-client-urls "http://127.0.0.1:$((base + 1))" \
    --listen-peer-urls "http://127.0.0.1:$((base + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((base + 2))" \
    --initial-cluster "default=http://127.0.0.1:$((base + 2))"
spawn kube-apiserver bin/kube-apiserver \
    --etcd-servers "http://127.0.0.1:$((base + 1))" --bind-address 127.0.0.1 --secure-port "$base" \
    --advertise-address 127.0.0.1 --endpoint-reconciler-type none --cert-dir pki/generated \
    --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --token-auth-file pki/tokens.csv \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file pki/service-account.pub --service-account-signing-key-file pki/service-account.key \
    --service-cluster-ip-range 10.96.0.0/16 --authorization-mode Node,RBAC --allow-privileged=true \
    --profiling=false --shutdown-delay-duration 0s
await "the API server" ask /readyz
if [ -x bin/kube-controller-manager ]; then
    spawn kube-controller-manager bin/kube-controller-manager --kubeconfig pki/controller.kubeconfig --leader-elect=false \
        --use-service-account-credentials --bind-address 127.0.0.1 --secure-port $((base + 3)) --cert-dir pki/generated \
        --service-account-private-key-file pki/service-account.key --root-ca-file pki/ca.crt --profiling=false
    await "the default service account" ask /api/v1/namespaces/default/serviceaccounts/default
else
    KUBECONFIG=$dir/kubeconfig bin/kubectl create serviceaccount default --namespace default >/dev/null
fi
printf 'export KUBECONFIG=%q\nexport PATH=%q:"$PATH"\n' "$dir/kubeconfig" "$dir/bin"
