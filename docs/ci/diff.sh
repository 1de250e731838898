#!/bin/sh
# Shows what the packs in policy-packs/ newly allow or deny, compared with a commit.
#
#   sh diff.sh COMMIT [options of `bailiwick diff`]
#
# Exits with the highest exit code of the comparisons: 3 with `--fail-on widened` if a pack lets more through. A pack whose folder was renamed
# is compared with the removed folder that held the same `spec.pack`. Any other pack that was added or removed is named and not compared: it
# changes what is enforced only when a binding uses it. If one was removed and another one added, nobody can tell whether one replaces the
# other, so `--fail-on` exits with 3. Before the first commit, and if the commit has no policy-packs, all packs are new.
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

# The name of the pack in a folder.
name() {
    sed -n "s/^[[:space:]]*pack:[[:space:]]*[\"']\{0,1\}\([A-Za-z0-9-]*\).*/\1/p" "$1/pack.yaml" | head -n 1
}

# The folder of the commit that a folder takes the place of: the same one, or one that is gone and held the same pack.
before() {
    if [ -d "$base/$1" ]; then
        echo "$base/$1"
        return
    fi
    for old in "$base"/policy-packs/*/; do
        old=${old%/}
        if [ -d "$old" ] && [ ! -d "policy-packs/$(basename "$old")" ] && [ "$(name "$old")" = "$(name "$1")" ]; then
            echo "$old"
            return
        fi
    done
}

worst=0
new=
taken=" "
for pack in policy-packs/*/; do
    pack=${pack%/}
    old=$(before "$pack")
    if [ -z "$old" ]; then
        echo "$pack is new"
        new=$pack
        continue
    fi
    taken="$taken$(basename "$old") "
    code=0
    bailiwick diff "$old" "$pack" "$@" || code=$?
    [ "$code" -le "$worst" ] || worst=$code
done
gone=
for old in "$base"/policy-packs/*/; do
    old=$(basename "$old")
    case $taken in
    *" $old "*) continue ;;
    esac
    if [ -d "$base/policy-packs/$old" ]; then
        echo "policy-packs/$old is gone"
        gone=$old
    fi
done
if [ -n "$gone" ] && [ -n "$new" ]; then
    echo "one pack is gone and another one new: compare them with \`bailiwick diff\` if the one takes the other's place"
    case " $* " in
    *" --fail-on"*) [ "$worst" -ge 3 ] || worst=3 ;;
    esac
fi
exit "$worst"
