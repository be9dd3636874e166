# Seequel's recipes. `make demo` and `make test` set up what they need; CI runs `make check test`.

export SEEQUEL_HOME ?= .seequel

CARGO ?= cargo
PYTHON ?= python3
.PHONY: help system setup demo test bench bench-kernels bench-scale check format clippy docs versions

help:  ## Lists the recipes.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

system:
	@sh scripts/system.sh

setup: system  ## Fetches ONNX Runtime, two models and photos into .seequel (SEEQUEL_HOME moves it).
	@$(PYTHON) scripts/setup.py

demo: setup  ## Classifies the photos with the release build, into results.parquet.
	$(CARGO) build --release --locked
	@sed 's|\.seequel/|$(SEEQUEL_HOME)/|' queries/03_classify.sql | $(CARGO) run --quiet --release --locked

test: system  ## Sets up, fetches a detector and an S3 server for the tests too, and runs them all.
	@$(PYTHON) scripts/setup.py --tests
	$(CARGO) test --workspace --locked

bench: setup  ## Measures Seequel beside a bare loop, Daft, Ray Data and a script; ARGS=--quick takes minutes.
	@CARGO='$(CARGO)' $(PYTHON) benches/run.py $(ARGS)

bench-kernels: setup  ## Measures decoding, preprocessing, the exchange and planning by themselves, with Criterion.
	$(CARGO) bench --locked --bench kernels -- $(ARGS)

bench-scale: setup  ## Measures memory, long folders, first answers and the time to stop, each beside its bar.
	@CARGO='$(CARGO)' $(PYTHON) benches/scale.py $(ARGS)

check: format clippy docs versions  ## Format, lints, documentation, one version of each shared crate.

format:
	$(CARGO) fmt --all --check

clippy: system
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs: system
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --document-private-items --locked

versions:
	@sh scripts/versions.sh
