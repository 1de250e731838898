#!/usr/bin/env bash
# Builds the control plane of main.go from the Go modules that go.mod pins, once for each version, into the user's cache.
# Prints the path of the binary. Needs Go as new as go.mod says; no C compiler. About 6 minutes on two cores with cold caches.
#   build.sh
set -euo pipefail
cd "$(dirname "$0")"
version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
sum=$(cat main.go go.mod go.sum | sha256sum | cut -c1-16)
target=${XDG_CACHE_HOME:-$HOME/.cache}/bailiwick/control-plane/$version-$sum/kube
if [ ! -x "$target" ]; then
    command -v go >/dev/null || { echo "build.sh: go is not there; install Go (go.mod says how new), or set KUBECONFIG or KUBEBUILDER_ASSETS" >&2; exit 1; }
    echo "building the Kubernetes $version control plane (once, some minutes)" >&2
    mkdir -p "$(dirname "$target")"
    IFS=. read -r major minor _ <<<"${version#v}"
    flags="-s -w"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
    done
    new=$(mktemp "$target.XXXXXX")
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$new" .
    chmod 755 "$new"
    mv -f "$new" "$target" # in one step: of two builds at once, either result is whole
fi
echo "$target"
