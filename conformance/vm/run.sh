#!/usr/bin/env bash
# Runs a program in a small emulated machine that has what this one may lack: Debian's kernel and cgroup v2 with its controllers.
#   run.sh [--with FILE|FOLDER]... PROGRAM [ARGUMENT]...
# The machine has busybox, PROGRAM and the FILEs at their own paths with the libraries they need, nothing else, and no network. Its exit
# code is PROGRAM's. Needs qemu-system-x86, cpio, busybox-static and Debian's kernel package, which it fetches by name; about 10 s to boot.
set -euo pipefail
die() { echo "run.sh: $*" >&2; exit 1; }
with=()
while [ "${1:-}" = --with ]; do with+=("$2"); shift 2; done
[ $# -ge 1 ] || die "usage: run.sh [--with FILE]... PROGRAM [ARGUMENT]..."
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for program in qemu-system-x86_64 cpio busybox; do
    command -v $program >/dev/null || die "$program is not there; apt-get install qemu-system-x86 cpio busybox-static"
done
limit=${VM_SECONDS:-900} # emulated processors are some thirty times slower
export BAILIWICK_TEST_SLOWNESS=${BAILIWICK_TEST_SLOWNESS:-30} # and tests wait that much longer

# The kernel, unpacked once for each version; it is not installed.
cache=$here/../../target/vm
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
[ -n "$package" ] || die "no kernel package is known; apt-get update"
kernel=$cache/$package/boot/vmlinuz-${package#linux-image-}
if [ ! -e "$kernel" ]; then
    (cd "$cache" && apt-get download -qq "$package" 2>/dev/null) || die "cannot fetch $package"
    dpkg-deb -x "$cache"/"$package"_*.deb "$cache/$package"
    rm -f "$cache"/"$package"_*.deb
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,etc,usr/bin,new}
cp "$(command -v busybox)" "$root/bin/busybox"
place() { # FILE: the file, or what is in the folder, and the libraries that they name, at the same paths
    local file library
    mkdir -p "$root$(dirname "$1")"
    if [ -d "$1" ]; then cp -a "$1" "$root$1"; else cp -L "$1" "$root$1"; fi
    # Extensions of an interpreter name libraries that it does not: ctypes needs libffi.
    find -L "$1" -type f \( -perm -100 -o -name '*.so*' \) | while read -r file; do
        ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' || true # of a program without libraries `ldd` says so by its code
    done | sort -u | while read -r library; do
        [ -e "$root$library" ] || { mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"; }
    done
}
program=$(readlink -f "$1")
shift
place "$program"
for file in "${with[@]}"; do place "$(realpath -s "$file")"; done
printf '%s\0' "$program" "$@" >"$root/etc/command"
printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
env | grep -E '^(BAILIWICK|RUST)_' | sed 's/^/export /; s/=\(.*\)/="\1"/' >"$root/etc/environment" || true

# A root that can be pivoted: the first one of a machine cannot.
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t tmpfs -o mode=755 none /new
for part in bin etc usr lib lib64 root home opt tmp work build mnt srv var target; do [ -e /$part ] && cp -a /$part /new/; done
mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run
cp /second /new/second
exec switch_root /new /second
INIT
cat >"$root/second" <<'SECOND'
#!/bin/busybox sh
export PATH=/usr/bin:/bin HOME=/tmp
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
chmod 1777 /tmp # on the root, which is in memory: a program may lie below it
mount -t tmpfs none /run
mount -t cgroup2 none /sys/fs/cgroup
mkdir /sys/fs/cgroup/init
echo $$ >/sys/fs/cgroup/init/cgroup.procs
echo "+memory +pids +cpu" >/sys/fs/cgroup/cgroup.subtree_control
ip link set lo up
for program in /bin/*; do [ -e /usr/bin/${program##*/} ] || ln -s $program /usr/bin/${program##*/}; done
. /etc/environment
xargs -0 sh -c '"$0" "$@"; echo "exit code $?"' </etc/command
poweroff -f
SECOND
chmod 755 "$root/init" "$root/second"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

timeout "$limit" qemu-system-x86_64 -nodefaults -no-user-config -display none -serial stdio -monitor none -no-reboot -cpu max -smp 2 -m 2048 \
    -kernel "$kernel" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all oops=panic" </dev/null |
    tee "$work/console" || die "the machine did not end within $limit s"
code=$(tr -d '\r' <"$work/console" | sed -n 's/^exit code \([0-9]*\)$/\1/p' | tail -n 1)
[ -n "$code" ] || die "the machine ended without running the program"
exit "$code"
