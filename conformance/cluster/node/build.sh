#!/usr/bin/env bash
# Builds what a node is made of, once for each version, into the user's cache, and prints the directory: kube (main.go: control plane, kubelet,
# kube-proxy, kubectl), containerd with its shim for runc and ctr, runc, four network plugins, and the image of a pod's first container.
# All from Go modules at exact versions. Needs Go as new as go.mod says, gcc, a static libseccomp (Debian: libseccomp-dev). Some ten minutes on two
# otherwise idle cores with cold caches, most of it for kube; each step says on standard error that it begins and how long it took. A build that was
# ended goes on from Go's own cache.
#   build.sh
set -euo pipefail
cd "$(dirname "$0")"
containerd=v2.4.2 runc=v1.5.2 cni=v1.9.1
kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
sum=$(cat build.sh main.go go.mod go.sum pause.c image.py ../../../charts/image/oci.py | sha256sum | cut -c1-16)
target=${XDG_CACHE_HOME:-$HOME/.cache}/bailiwick/node/$kubernetes-$sum
[ ! -d "$target" ] || { echo "$target"; exit; }
for program in go gcc python3; do command -v $program >/dev/null || { echo "build.sh: $program is not there; install it (go.mod says how new Go must be)" >&2; exit 1; }; done
[ -e /usr/include/seccomp.h ] || { echo "build.sh: libseccomp is not there; apt-get install libseccomp-dev" >&2; exit 1; }
echo "building a Kubernetes $kubernetes node (once, some minutes)" >&2
mkdir -p "$(dirname "$target")"
new=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$new"' EXIT
export GOBIN=$new GOFLAGS="-trimpath -buildvcs=false" CGO_ENABLED=0

# Between two lines of this pass seconds, on a busy machine minutes: who waits sees that it goes on.
counted() {
    local line got=0 made=0
    while IFS= read -r line; do
        case $line in
        "go: downloading "*) [ $((got += 1)) -eq $((got / 50 * 50)) ] && echo "build.sh: $1: $got modules downloaded" ;;
        *[!A-Za-z0-9._/-]*) echo "$line" ;;
        *) [ $((made += 1)) -eq $((made / 250 * 250)) ] && echo "build.sh: $1: $made packages compiled" ;;
        esac
    done
    return 0
}
# step NAME COMMAND...: runs it; what it says goes to standard error.
step() {
    local name=$1 begun=$SECONDS
    shift
    echo "build.sh: $name" >&2
    "$@" 2>&1 | counted "$name" >&2
    echo "build.sh: $name: done in $((SECONDS - begun)) s" >&2
}

IFS=. read -r major minor _ <<<"${kubernetes#v}"
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
done
step "kube (1 of 5)" go build -v -ldflags "$flags" -o "$new/kube" .

# Outside of any module from here on, whose go.mod would have a say.
here=$PWD
cd "$new"
path=github.com/containerd/containerd/v2
flags="-s -w -X $path/version.Version=$containerd -X $path/version.Package=$path"
tags="urfave_cli_no_docs osusergo netgo static_build"
step "the shim (2 of 5)" go install -v -tags "$tags no_grpc" -ldflags "$flags" "$path/cmd/containerd-shim-runc-v2@$containerd"
step "containerd and ctr (3 of 5)" go install -v -tags "$tags no_btrfs no_zfs no_devmapper" -ldflags "$flags" "$path/cmd/containerd@$containerd" "$path/cmd/ctr@$containerd"
plugins=github.com/containernetworking/plugins
step "network plugins (4 of 5)" go install -v -ldflags "-s -w -X $plugins/pkg/utils/buildversion.BuildVersion=$cni" \
    "$plugins"/plugins/{main/ptp,main/loopback,ipam/host-local,meta/portmap}"@$cni"
CGO_ENABLED=1 step "runc (5 of 5)" go install -v -buildmode=pie -tags "seccomp urfave_cli_no_docs netgo osusergo" \
    -ldflags "-s -w -linkmode external -extldflags -static-pie" "github.com/opencontainers/runc@$runc"
gcc -Os -static -nostdlib -ffreestanding -fno-asynchronous-unwind-tables -s -Wl,--build-id=none -o pause "$here/pause.c"
python3 "$here/image.py" pause pause.tar >/dev/null
chmod 755 "$new"
mv -T "$new" "$target" 2>/dev/null || [ -d "$target" ] # of two builds at once, either result is whole
echo "$target"
