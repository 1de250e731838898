#!/bin/sh
# Shows what the packs in policy-packs/ newly allow or deny, compared with a commit.
#
#   sh diff.sh COMMIT [options of `bailiwick diff`]
#
# Exits with the highest exit code of the comparisons: 3 with `--fail-on widened` if a pack lets more through. A pack that was added or
# removed is named and not compared: it changes what is enforced only when a binding uses it. Before the first commit, and if the
# commit has no policy-packs, all packs are new.
set -eu
commit=$1
shift
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
if ! git rev-parse --quiet --verify HEAD >"$base/head"; then
    echo "there is no commit yet"
elif ! git rev-parse --quiet --verify "$commit^{commit}" >"$base/head"; then
    echo "there is no commit $commit here" >&2
    exit 1
elif git cat-file -e "$commit:policy-packs" 2>"$base/head"; then
    git archive "$commit" policy-packs >"$base/packs.tar"
    tar -xf "$base/packs.tar" -C "$base"
fi
worst=0
for old in "$base"/policy-packs/*/; do
    pack=policy-packs/$(basename "$old")
    [ -d "$pack" ] || [ ! -d "$old" ] || echo "$pack is gone"
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
