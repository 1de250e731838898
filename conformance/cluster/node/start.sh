#!/usr/bin/env bash
# Starts a control plane and one real node beside it: containerd, runc, kubelet and kube-proxy in network, mount and process namespaces
# of their own. Needs root. ../start-node.sh calls it; ../README.md tells the rest.
#   start.sh DIR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

# --- the part that runs inside, as process 1 of the node --------------------
if [ "${1:-}" = --inside ]; then
    dir=$2 programs=$6
    umask 022
    mount --make-rshared /
    mount -t tmpfs -o mode=755 run /run
    mount -t tmpfs -o mode=755 log /var/log
    # DIR is closed to others, and pods with users of their own are others.
    mkdir -p /run/cni /run/node
    mount --bind "$dir/node" /run/node
    mount --bind "$dir/node/kubelet" /var/lib/kubelet
    cd /run/node
    export PATH=$programs:/usr/sbin:/usr/bin:/sbin:/bin
    containerd --config containerd.toml >>"$dir/logs/containerd.log" 2>&1 &
    for try in {1..200}; do ctr version >/dev/null 2>&1 && break; sleep 0.05; done
    for image in "$programs"/*.tar $5; do
        ctr --namespace k8s.io images import --local --snapshotter "$3" "$image" >>"$dir/logs/images.log" 2>&1 || echo "cannot import $image" >>"$dir/logs/images.log"
    done
    "$dir/bin/kubelet" --config kubelet.yaml --kubeconfig kubelet.kubeconfig \
        --cert-dir "$dir/pki/generated" --hostname-override node --node-ip "$4" \
        >>"$dir/logs/kubelet.log" 2>&1 &
    # It ends when the node's address is not the one of the last time.
    while true; do
        "$dir/bin/kube-proxy" --config kube-proxy.yaml --hostname-override node
        sleep 0.5
    done >>"$dir/logs/kube-proxy.log" 2>&1 &
    touch started
    while true; do wait -n 2>/dev/null || sleep 1; done # also reaps orphans
fi

[ $# -eq 1 ] || die "usage: start.sh DIR"
[ "$(id -u)" = 0 ] || die "a node needs root"
for program in openssl curl ip nft; do command -v $program >/dev/null || die "a node needs $program; apt-get install openssl curl iproute2 nftables"; done
images=
for image in ${KUBE_NODE_IMAGES:-}; do images+=" $(realpath "$image")"; done
mkdir -p "$1"
dir=$(cd "$1" && pwd)
umask 077
mkdir -p "$dir"/{logs,pids}
(umask 022; mkdir -p "$dir"/node/{kubelet/seccomp,logs,cni} /var/lib/kubelet) # the last to mount over
if alive node; then cat "$dir/env"; exit; fi
if alive kube-apiserver && [ ! -e "$dir/node/netns" ]; then
    die "the cluster in $dir runs on loopback, which a node cannot reach: stop it first, start-node.sh starts it again"
fi

programs=$("$here/build.sh")
touch "$dir/node/own" # stop.sh of the folder above looks for it

# --- a network namespace, with a cable to this one ---------------------------
# Number n has the network 198.18.0.0 + 4n, of four addresses; this end is its first address,
# the node's the second. Making the namespace is what claims the number.
if [ ! -e "$dir/node/netns" ]; then
    for try in {1..50}; do
        n=$((RANDOM % 16384))
        [ $try -gt 1 ] || n=$(cat "$dir/node/last" 2>/dev/null || echo $n)
        if ip netns add "bailiwick-$n" 2>/dev/null; then echo "$n" >"$dir/node/netns"; break; fi
    done
    [ -s "$dir/node/netns" ] || die "cannot make a network namespace"
    base=198.18.$((n / 64)) last=$((n % 64 * 4))
    echo "$base.$((last + 1))" >"$dir/node/host-address"
    echo "$base.$((last + 2))" >"$dir/node/node-address"
    echo "$n" >"$dir/node/last"
    ip link add "bw$n" type veth peer name host netns "bailiwick-$n"
    ip addr add "$base.$((last + 1))/30" dev "bw$n"
    ip link set "bw$n" up
    ip -n "bailiwick-$n" link set lo up
    ip -n "bailiwick-$n" addr add "$base.$((last + 2))/30" dev host
    ip -n "bailiwick-$n" link set host up
    nsenter --net="/run/netns/bailiwick-$n" bash -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    nsenter --net="/run/netns/bailiwick-$n" nft -f - <<'NFT'
table ip pods {
    chain out { type nat hook postrouting priority srcnat; policy accept; ip saddr 10.244.0.0/24 oifname "host" masquerade; }
}
NFT
fi
n=$(cat "$dir/node/netns")
host_address=$(cat "$dir/node/host-address")
node_address=$(cat "$dir/node/node-address")

"$here/control-plane.sh" "$dir" "$programs" "$host_address"
api_url=https://$host_address:$(cat "$dir/port")

kubectl() { "$dir/bin/kubectl" --kubeconfig "$dir/kubeconfig" "$@"; }

# --- settings ----------------------------------------------------------------
cd "$dir/pki"
if [ ! -e kubelet.crt ] || [ "$(cat node-address 2>/dev/null)" != "$node_address" ]; then
    leaf kubelet /O=system:nodes/CN=system:node:node "extendedKeyUsage=clientAuth\n"
    leaf kubelet-server /O=system:nodes/CN=system:node:node "subjectAltName=IP:$node_address,DNS:node\nextendedKeyUsage=serverAuth\n"
    echo "$node_address" >node-address
fi
kubeconfig "$dir/node/kubelet.kubeconfig" "client-certificate: $dir/pki/kubelet.crt, client-key: $dir/pki/kubelet.key"
cd "$dir/node"
umask 022
group=bailiwick-$n
for controller in /sys/fs/cgroup/*/; do # version 1: one tree for each controller
    [ -e "${controller}cgroup.procs" ] || continue
    mkdir -p "$controller$group"
    [ ! -e "${controller}cpuset.cpus" ] || for f in cpuset.cpus cpuset.mems; do cat "$controller$f" >"$controller$group/$f"; done
done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$group"
    sed 's/[a-z][a-z]*/+&/g' /sys/fs/cgroup/cgroup.controllers | tee /sys/fs/cgroup/cgroup.subtree_control >"/sys/fs/cgroup/$group/cgroup.subtree_control" || true
fi
# Lowering a process's oom_score_adj takes CAP_SYS_RESOURCE (bit 24).
read -r _ capabilities < <(grep CapEff /proc/self/status)
restrict=false
(( 0x$capabilities >> 24 & 1 )) || restrict=true
snapshotter=overlayfs
[ "$(stat -f -c %T .)" != overlayfs ] || snapshotter=native
cat >containerd.toml <<TOML
version = 3
root = '/run/node/containerd'
state = '/run/containerd'
[grpc]
  address = '/run/containerd/containerd.sock'
[plugins.'io.containerd.cri.v1.images']
  snapshotter = '$snapshotter'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = 'localhost/pause:test'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = $restrict
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['$programs']
    conf_dir = '/run/node/cni'
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = '$programs/runc'
        SystemdCgroup = false
TOML
cat >cni/pods.conflist <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
: >resolv.conf
cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_address
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $dir/pki/kubelet-server.crt
tlsPrivateKeyFile: $dir/pki/kubelet-server.key
cgroupDriver: cgroupfs
cgroupRoot: /$group
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
podLogsDir: /run/node/logs
volumePluginDir: /run/node/volume-plugins
resolvConf: /run/node/resolv.conf
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 4s
serverTLSBootstrap: false
YAML
cat >kube-proxy.yaml <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $dir/pki/kube-proxy.kubeconfig}
mode: nftables
clusterCIDR: 10.244.0.0/24
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
kubectl create clusterrolebinding kube-proxy \
    --clusterrole=system:node-proxier --user=system:kube-proxy >/dev/null 2>&1 || true

# --- go -----------------------------------------------------------------------
rm -f started
began=$(date -u +%Y-%m-%dT%H:%M:%SZ)
spawn node nsenter --net="/run/netns/$group" unshare --mount --propagation slave --pid --fork --kill-child=KILL --mount-proc \
    "$here/start.sh" --inside "$dir" "$snapshotter" "$node_address" "$images" "$programs"
failed() { "$here/stop.sh" "$dir" >&2 || true; die "$1; the logs are in $dir/logs"; }
await 30 "containerd" node test -e started || failed "containerd did not start"
# enter COMMAND...: runs it inside the node; ctr: the containerd client inside it
cat >"$dir/bin/enter" <<SH
#!/bin/sh
read -r pid _ <'$dir/pids/node' || exit 1
read -r first _ <"/proc/\$pid/task/\$pid/children" # has no newline, so fails
[ -n "\$first" ] || exit 1
exec nsenter --target "\$first" --mount --net --pid -- env PATH='$programs:/usr/sbin:/usr/bin:/sbin:/bin' "\$@"
SH
printf '#!/bin/sh\nexec %q ctr --namespace k8s.io "$@"\n' "$dir/bin/enter" >"$dir/bin/ctr"
chmod 755 "$dir/bin/enter" "$dir/bin/ctr"
node_ready() { # told since we began, not before
    local status time
    read -r status time < <(kubectl get node node \
        -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{"\n"}{end}')
    [ "$status" = True ] && ! [[ $time < $began ]]
}
await 60 "the node" node node_ready || { tail -n 20 "$dir/logs/kubelet.log" >&2; failed "the node did not become ready"; }
cat "$dir/env"
