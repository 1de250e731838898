#!/usr/bin/env bash
# Starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler for a cluster with a node, all their state in DIR. start.sh calls it.
#   control-plane.sh DIR PROGRAMS ADDRESS
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

[ $# -eq 3 ] || die "usage: control-plane.sh DIR PROGRAMS ADDRESS"
programs=$2 address=$3
mkdir -p "$1"
dir=$(cd "$1" && pwd)
umask 077
mkdir -p "$dir"/{bin,etcd,logs,pids,pki}

# --- the programs ---------------------------------------------------------
for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -sfn "$programs/kube" "$dir/bin/$name"
done

# --- the ports: BASE (the API server) to BASE+7 ---------------------------
# A reservation is a link named for the port and pointing at our directory: made
# in one step, so of two starts at once only one gets it. stop.sh removes it.
reservations=${TMPDIR:-/tmp}/bailiwick-cluster-ports-$(id -u)
mkdir -p "$reservations"
listening() { # 0 when some port of BASE..BASE+7 is in use
    local p
    for p in {0..7}; do
        p=$(printf ':%04X ' $(($1 + p)))
        if grep -qiE "^ *[0-9]+: [0-9A-F]+$p[0-9A-F:]+ 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null; then return 0; fi
    done
    return 1
}
if ! base=$(cat "$dir/port" 2>/dev/null); then
    for try in {1..200}; do
        base=$((20000 + (RANDOM % 1500) * 8))
        [ $try -gt 1 ] || base=$(cat "$dir/port.last" 2>/dev/null || echo $base)
        claim=$reservations/$base
        if ! ln -s "$dir" "$claim" 2>/dev/null; then
            owner=$(readlink "$claim" || true)
            [ -n "$owner" ] && [ ! -e "$owner/port" ] && find "$claim" -maxdepth 0 -mmin +5 -exec rm -f {} + 2>/dev/null
            continue
        fi
        if listening "$base"; then rm -f "$claim"; continue; fi
        echo "$base" | tee "$dir/port.last" >"$dir/port"
        break
    done
    [ -s "$dir/port" ] || die "found no free ports"
fi
api_url=https://$address:$base
etcd_url=http://127.0.0.1:$((base + 1))
peer_url=http://127.0.0.1:$((base + 2))

# --- keys, certificates and kubeconfigs -----------------------------------
cd "$dir/pki"
if [ ! -e done ]; then
    key ca
    openssl req -x509 -new -key ca.key -subj /CN=test-cluster-ca -days 3650 -sha256 -out ca.crt
    leaf admin /O=system:masters/CN=admin "extendedKeyUsage=clientAuth\n"
    leaf front-proxy /CN=front-proxy-client "extendedKeyUsage=clientAuth\n"
    key service-account
    openssl ec -in service-account.key -pubout -out service-account.pub 2>/dev/null
    for user in admin system:kube-controller-manager system:kube-scheduler system:kube-proxy; do
        token=$(openssl rand -hex 24)
        group=; [ $user = admin ] && group=,system:masters
        echo "$token,$user,$user$group"
        echo "$token" >"${user#system:}.token"
    done >tokens.csv
    touch done
fi
if [ "$(cat address 2>/dev/null)" != "$address" ]; then
    leaf apiserver /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,IP:$address,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local\nextendedKeyUsage=serverAuth\n"
    echo "$address" >address
fi
kubeconfig "$dir/kubeconfig" "client-certificate-data: $(base64 -w0 admin.crt), client-key-data: $(base64 -w0 admin.key)"
for user in kube-controller-manager kube-scheduler kube-proxy; do
    kubeconfig "$user.kubeconfig" "token: $(cat $user.token)"
done
cd "$dir"

# --- the servers ----------------------------------------------------------
failed() { "$here/stop.sh" "$dir" >&2 || true; die "$1; the logs are in $dir/logs"; }

if ! alive etcd; then
    spawn etcd bin/etcd --name default --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "$etcd_url" --advertise-client-urls "$etcd_url" \
        --listen-peer-urls "$peer_url" --initial-advertise-peer-urls "$peer_url" \
        --initial-cluster "default=$peer_url"
fi

if ! alive kube-apiserver; then
    spawn kube-apiserver bin/kube-apiserver \
        --etcd-servers "$etcd_url" --bind-address "$address" --secure-port "$base" --advertise-address "$address" \
        --cert-dir "$dir/pki/generated" --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key \
        --client-ca-file pki/ca.crt --token-auth-file pki/tokens.csv \
        --requestheader-client-ca-file pki/ca.crt --requestheader-allowed-names front-proxy-client \
        --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
        --requestheader-extra-headers-prefix X-Remote-Extra- \
        --proxy-client-cert-file pki/front-proxy.crt --proxy-client-key-file pki/front-proxy.key \
        --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key \
        --kubelet-certificate-authority pki/ca.crt --kubelet-preferred-address-types InternalIP \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --service-account-key-file pki/service-account.pub --service-account-signing-key-file pki/service-account.key \
        --service-cluster-ip-range 10.96.0.0/16 --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction \
        --allow-privileged=true --profiling=false --shutdown-delay-duration 0s
fi
ready() { curl -fs --max-time 2 --noproxy '*' --cacert pki/ca.crt -H "Authorization: Bearer $(cat pki/admin.token)" "$api_url$1"; }
await 60 "the API server" kube-apiserver ready /readyz || failed "the API server did not become ready"

alive kube-controller-manager || spawn kube-controller-manager bin/kube-controller-manager \
    --kubeconfig pki/kube-controller-manager.kubeconfig --leader-elect=false --use-service-account-credentials \
    --kube-api-qps=1000 --kube-api-burst=2000 --bind-address 127.0.0.1 --secure-port $((base + 3)) --cert-dir "$dir/pki/generated" \
    --service-account-private-key-file pki/service-account.key --root-ca-file pki/ca.crt --profiling=false
alive kube-scheduler || spawn kube-scheduler bin/kube-scheduler --kubeconfig pki/kube-scheduler.kubeconfig --leader-elect=false \
    --kube-api-qps=1000 --kube-api-burst=2000 --bind-address 127.0.0.1 --secure-port $((base + 4)) --cert-dir "$dir/pki/generated" --profiling=false
await 60 "the default service account" kube-controller-manager ready /api/v1/namespaces/default/serviceaccounts/default ||
    failed "the controller manager did not make the default service account"

printf 'export %s=%q\n' KUBECONFIG "$dir/kubeconfig" >"$dir/env"
for name in no_proxy NO_PROXY; do printf 'export %s=198.18.0.0/16${%s:+,$%s}\n' $name $name $name >>"$dir/env"; done
printf 'export PATH=%q:"$PATH"\n' "$dir/bin" >>"$dir/env"
