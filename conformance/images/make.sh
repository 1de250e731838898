#!/usr/bin/env bash
# Makes the signed images in this folder with a real cosign, a real transparency log and a real timestamp authority, all on loopback.
#
#   conformance/images/make.sh [FOLDER]      (Go 1.26, Python 3, openssl; some 10 minutes of building the first time)
#
# They are committed because cosign takes minutes to build. Private keys are thrown away. The identity is "keyless-equivalent": our own
# authority issues the certificate that Fulcio would, with the identity and the issuer in the same places; its signature is logged and timestamped, so
# it stays good after the certificate has ended. Without FOLDER it replaces `content/`; `make test-images` makes fresh ones and runs the tests over them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/content}
tools=${BAILIWICK_TOOLS:-$here/../../target/image-tools}
work=$(mktemp -d); pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$tools" "$out"; tools=$(cd "$tools" && pwd); out=$(cd "$out" && pwd)

install() { [ -x "$tools/$1" ] || CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOBIN="$tools" go install "$2"; }
install cosign github.com/sigstore/cosign/v3/cmd/cosign@v3.1.1
install crane github.com/google/go-containerregistry/cmd/crane@v0.20.7
install timestamp-server github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server@v2.1.2
install posix github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.2.2-0.20260601073857-5d098a2b6443
[ -x "$tools/testregistry" ] || (cd "$here/../registry" && CGO_ENABLED=0 go build -buildvcs=false -o "$tools/testregistry" .)

cd "$work"
mkfifo hold; exec 9<>hold
"$tools/testregistry" < hold > registry.addr & pids+=($!)
until [ -s registry.addr ]; do sleep 0.1; done
registry=$(cat registry.addr)

# The log and the clock.
openssl genpkey -algorithm ed25519 -out log.key 2>/dev/null; openssl pkey -in log.key -pubout -out log.pub
mkdir tiles
"$tools/posix" serve --hostname localhost --http-port 3900 --grpc-port 3901 --http-metrics-port 3902 --storage-dir tiles --signer-filepath log.key \
  --checkpoint-interval 1s --log-level error & pids+=($!)
"$tools/timestamp-server" serve --port 3910 --host 127.0.0.1 --timestamp-signer memory --disable-ntp-monitoring >/dev/null 2>&1 & pids+=($!)
until curl -sf http://127.0.0.1:3910/api/v1/timestamp/certchain -o tsa.pem; do sleep 0.2; done
until curl -s http://localhost:3900/ -o /dev/null; do sleep 0.2; done

# The authority, and a certificate for each identity.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 7300 -subj /O=example/CN=authority \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
issuer=https://issuer.example.org
identity() { # name subject
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj / 2>/dev/null
  printf '%s\n' "subjectAltName=critical,URI:$2" keyUsage=critical,digitalSignature extendedKeyUsage=codeSigning \
    "1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:$issuer" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
  COSIGN_PASSWORD='' "$tools/cosign" import-key-pair --key "$1.key" --output-key-prefix "cosign-$1" 2>/dev/null
}
identity release "https://git.example.org/agents/.workflows/release.yml@refs/tags/v1"
identity branch "https://git.example.org/agents/.workflows/release.yml@refs/heads/feature"

start=2026-01-01T00:00:00Z
"$tools/cosign" signing-config create --rekor "url=http://localhost:3900,api-version=2,start-time=$start,operator=t" --rekor-config ANY \
  --tsa "url=http://127.0.0.1:3910/api/v1/timestamp,api-version=1,start-time=$start,operator=t" --tsa-config ANY --out services.json
"$tools/cosign" signing-config create --out none.json
"$tools/cosign" trusted-root create --fulcio "url=https://authority.example.org,certificate-chain=ca.pem" \
  --rekor "url=http://localhost:3900,public-key=log.pub,start-time=$start,origin=localhost" \
  --tsa "url=http://127.0.0.1:3910/api/v1/timestamp,certificate-chain=tsa.pem" --out trust-root.json

export COSIGN_PASSWORD=''
for key in ours theirs; do "$tools/cosign" generate-key-pair --output-key-prefix "$key" 2>/dev/null; done

image() { # tag: an image of its own, by digest
  mkdir -p "layer-$1"; echo "$1" > "layer-$1/name"
  tar --sort=name --mtime=@0 --owner=0 --group=0 -C "layer-$1" -cf "$1.tar" name
  "$tools/crane" append --insecure --oci-empty-base -f "$1.tar" -t "$registry/agents/app:$1" >/dev/null 2>&1
  echo "$registry/agents/app@$("$tools/crane" digest --insecure "$registry/agents/app:$1")"
}
by_key() { "$tools/cosign" sign --key "$1.key" --signing-config none.json --allow-http-registry -y "$2" >/dev/null 2>&1; }
by_identity() {
  "$tools/cosign" sign --key "cosign-$1.key" --certificate "$1.pem" --certificate-chain ca.pem --signing-config services.json \
    --trusted-root trust-root.json --allow-http-registry -y "$2" >/dev/null 2>&1
}
by_key ours "$(image signed)"
by_key theirs "$(image other-key)"
image unsigned >/dev/null
attested=$(image attested); echo '{"tests": "failed"}' > predicate.json
"$tools/cosign" attest --key ours.key --signing-config none.json --predicate predicate.json --type https://example.org/tests/v1 --allow-http-registry -y "$attested" >/dev/null 2>&1
by_identity release "$(image identity)"
by_identity branch "$(image other-identity)"
both=$(image both); by_key ours "$both"; by_identity release "$both"

# cosign must agree, or the fixtures are worth nothing. But for `attested`: cosign 3.1.1 takes any statement by the key for a signature, and we do not.
verify_key() { "$tools/cosign" verify --key "$1.pub" --insecure-ignore-tlog=true --allow-http-registry "$registry/agents/app:$2" >/dev/null 2>&1; }
verify_key ours signed
for tag in other-key unsigned; do if verify_key ours "$tag"; then echo "cosign verifies $tag" >&2; exit 1; fi; done
"$tools/cosign" verify --certificate-identity "https://git.example.org/agents/.workflows/release.yml@refs/tags/v1" --certificate-oidc-issuer "$issuer" \
  --insecure-ignore-sct --trusted-root trust-root.json --allow-http-registry "$registry/agents/app:identity" >/dev/null 2>&1

rm -rf "$out"; mkdir -p "$out"
cp ours.pub theirs.pub trust-root.json "$out/"
python3 "$here/pull.py" "http://$registry" agents/app "$out"
