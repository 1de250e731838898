#!/bin/sh
# What the packs in policy-packs/ let through more or less than they did at a commit.
#
#   sh diff.sh COMMIT [options of `bailiwick diff`]
#
# Ends with the highest code of the comparisons: 3 with `--fail-on widened` where a pack lets more through. A pack that is new or gone is
# named and not compared: it changes what is enforced only when something binds it.
set -eu
commit=$1
shift
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
git archive "$commit" policy-packs >"$base/packs.tar"
tar -xf "$base/packs.tar" -C "$base"
worst=0
for old in "$base"/policy-packs/*/; do
    pack=policy-packs/$(basename "$old")
    [ -d "$pack" ] || echo "$pack is gone"
done
for pack in policy-packs/*/; do
    pack=${pack%/}
    if [ ! -d "$base/$pack" ]; then
        echo "$pack is new"
        continue
    fi
    code=0
    bailiwick diff "$base/$pack" "$pack" "$@" || code=$?
    [ "$code" -le "$worst" ] || worst=$code
done
exit "$worst"
