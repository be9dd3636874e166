# Seequel's recipes. `make demo` and `make test` set up what they need; CI runs `make check test`.

export SEEQUEL_HOME ?= .seequel

CARGO ?= cargo
PYTHON ?= python3
.PHONY: help system setup demo cluster-demo test fuzz fuzz-sql stress chaos install bench bench-accounting bench-advise bench-build bench-cluster bench-dashboard bench-kernels bench-quantize bench-scale bench-simulation bench-tuning check format clippy docs versions imports deny

help:  ## Lists the recipes.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

system:  ## Checks for the tools that a build needs, and installs them where it may.
	@sh scripts/system.sh

setup: system  ## Fetches ONNX Runtime, two models and photos into .seequel (SEEQUEL_HOME); RUNTIME=openvino|webgpu|cuda.
	@$(PYTHON) scripts/setup.py $(addprefix --runtime=,$(RUNTIME))

demo: setup  ## Classifies the photos into results.parquet, with the development build that the tests share.
	$(CARGO) build --locked
	@sed 's|\.seequel/|$(SEEQUEL_HOME)/|' queries/03_classify.sql | $(CARGO) run --quiet --locked

cluster-demo: setup  ## Classifies the photos into cluster.parquet on a cluster of this machine: a scheduler, two executors.
	$(CARGO) build --locked --features cluster
	@CARGO='$(CARGO)' sh scripts/cluster_demo.sh

test:  ## Sets up, fetches what only the tests need too, and runs them all.
	@sh scripts/system.sh --tests
	@$(PYTHON) scripts/setup.py --tests
	$(CARGO) test --locked --features seequel/cluster --package seequel --package seequel-cluster --package seequel-pixels --package seequel-rounding --package seequel-udfs
	$(CARGO) test --locked --features seequel/cluster --package seequel-upstream

fuzz: setup  ## Fuzzes what reads untrusted bytes, each target for a minute; SECONDS=600 ARGS="jpeg png".
	@CARGO='$(CARGO)' $(PYTHON) scripts/fuzz.py $(addprefix --seconds=,$(SECONDS)) $(ARGS)

stress:  ## Ends random queries over broken files in random ways, and checks the accounts; ARGS="--seeds 200 --seed 7".
	@$(PYTHON) scripts/setup.py --tests
	ARGS='$(ARGS)' $(CARGO) test --locked --package seequel --test seequel -- --ignored --nocapture stress::

chaos:  ## Kills, stops, stalls and robs executors while they run a COPY; ARGS="--seeds 50 --seed 7".
	@$(PYTHON) scripts/setup.py --tests
	ARGS='$(ARGS)' $(CARGO) test --locked --package seequel --features cluster --test seequel -- --ignored --nocapture cluster::chaos::

fuzz-sql:  ## Compares random queries with calls and over their answers; ARGS="--queries 2000 --seed 7".
	@$(PYTHON) scripts/setup.py --tests
	ARGS='$(ARGS)' $(CARGO) test --locked --package seequel --test seequel -- --ignored --nocapture random_sql::

install: system  ## Installs the fully optimised binary, `seequel`, among cargo's own.
	$(CARGO) install --locked --path .

bench: setup  ## Measures Seequel beside a bare loop, Daft, Ray Data and a script; ARGS=--quick takes minutes.
	@CARGO='$(CARGO)' $(PYTHON) benches/run.py $(ARGS)

bench-accounting: setup  ## Measures what the accounts of a query cost: builds with and without them, by turns.
	@CARGO='$(CARGO)' $(PYTHON) benches/accounting.py $(ARGS)

bench-advise: setup  ## Follows the advice of ADVISE where queries are slow on purpose, and compares what it gains.
	@CARGO='$(CARGO)' $(PYTHON) benches/advise.py $(ARGS)

bench-kernels: setup  ## Measures decoding, preprocessing, the exchange and planning by themselves, with Criterion.
	$(CARGO) bench --locked --bench kernels -- $(ARGS)

bench-quantize: setup  ## Compares AS QUANTIZED with onnxruntime's quantize_static: classes, embeddings and speed.
	@CARGO='$(CARGO)' $(PYTHON) benches/quantize.py $(ARGS)

bench-build: setup  ## Measures builds from clean clones; ARGS="--before REV" compares, and takes over an hour.
	@CARGO='$(CARGO)' $(PYTHON) benches/build.py $(ARGS)

bench-cluster: setup  ## Measures a cluster on this machine: two executors beside one, one beside the plain shell.
	@CARGO='$(CARGO)' $(PYTHON) benches/cluster.py $(ARGS)

bench-dashboard: setup  ## Measures what an open dashboard costs: none, one page, fifty clients, by turns.
	@CARGO='$(CARGO)' $(PYTHON) benches/dashboard.py $(ARGS)

bench-scale: setup  ## Measures memory, long folders, first predictions and the time to stop, each beside its bar.
	@CARGO='$(CARGO)' $(PYTHON) benches/scale.py $(ARGS)

bench-simulation: setup  ## Computes clusters of up to 1,000 executors from what the real scheduler costs here.
	@CARGO='$(CARGO)' $(PYTHON) benches/simulation.py $(ARGS)

bench-tuning: setup  ## Compares what TUNE chooses, and untuned auto, with the best of an exhaustive grid.
	@CARGO='$(CARGO)' $(PYTHON) benches/tuning.py $(ARGS)

check: format clippy docs versions imports deny  ## Format, lints, documentation, crate versions and licences, import cycles.

format:  ## Checks the format; `cargo fmt --all` mends it.
	$(CARGO) fmt --all --check
	$(CARGO) fmt --all --check --manifest-path fuzz/Cargo.toml

clippy: system  ## Lints, as errors.
	$(CARGO) clippy --workspace --all-targets --features seequel/cluster --locked -- -D warnings
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --package seequel --lib --no-default-features --locked -- -D warnings

docs: system  ## Builds the documentation, warnings as errors.
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --features seequel/cluster --no-deps --document-private-items --locked

versions:  ## Fails if a crate whose types cross crate boundaries is there twice.
	@sh scripts/versions.sh

imports:  ## Fails if imports make a cycle between folders, or of three files within one.
	@$(PYTHON) scripts/imports.py

deny:  ## Checks licences, sources and advisories of all crates, where cargo-deny is installed.
	@CARGO='$(CARGO)' sh scripts/deny.sh
