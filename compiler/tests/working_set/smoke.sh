#!/bin/bash
# Uses of a shell and of usual command line programs. Prints `ok`; the first failure ends it.
set -euo pipefail
folder=$(mktemp -d)
cd "$folder"

mkdir -p a/b/c
printf 'three\none\ntwo\none\n' > a/list
sort a/list | uniq -c | sort -rn | head -1 | grep one > /dev/null
cp -a a copy
cp a/list a/b/one
mv a/b/one a/b/two
ln a/list hard
ln -s a/list soft
readlink -f soft > /dev/null
touch -d 2001-01-01 a/list
chmod 600 a/list
stat -c %a a/list | grep -x 600 > /dev/null
ls -laR . > listing
find . -type f -newer a/list -exec wc -c {} + > /dev/null
du -s . > /dev/null
df . > /dev/null
tar czf all.tar.gz a
mkdir out
tar xzf all.tar.gz -C out
diff -r a out/a
sha256sum a/list > sums
sha256sum -c sums > /dev/null
sed -i 's/one/four/' a/list
awk '{n++} END {exit n != 4}' a/list
cut -c1 a/list | tr a-z A-Z | tee upper | paste -s > /dev/null
head -c 65536 /dev/zero | gzip | gunzip | wc -c | grep -x 65536 > /dev/null
dd if=/dev/zero of=zeros bs=4096 count=4 status=none
truncate -s 1M sparse
xargs -n1 echo < a/list > /dev/null
seq 1000 | tail -n 1 | grep -x 1000 > /dev/null
timeout 5 sleep 0.01
sleep 0.01 &
wait $!
(trap 'exit 4' TERM; kill -TERM $BASHPID) || [ $? = 4 ]
read -r first <<< first
[ "$first" = "$(echo first)" ]
date > /dev/null
id > /dev/null
uname -a > /dev/null
env | grep PATH > /dev/null
nproc > /dev/null
nice -n 1 true
split -l 1 a/list part.
install -m 755 a/list installed
rmdir a/b/c
base64 /dev/urandom 2>/dev/null | head -c 100 > /dev/null || true
(tail -f -n 1 --pid=$$ a/list > /dev/null & tail=$!; sleep 0.1; kill $tail)
cd /
rm -rf "$folder"
echo ok
