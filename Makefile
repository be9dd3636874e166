# Seequel's recipes. `make demo` and `make test` set up what they need; CI runs `make check test`.

export SEEQUEL_HOME ?= .seequel

CARGO ?= cargo
PYTHON ?= python3
.PHONY: help system setup demo test bench check format clippy docs versions

help:  ## Lists the recipes.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

system:
	@sh scripts/system.sh

setup: system  ## Fetches ONNX Runtime, two models and photos into .seequel (SEEQUEL_HOME moves it).
	@$(PYTHON) scripts/setup.py

demo: setup  ## Classifies the photos with the release build, into results.parquet.
	$(CARGO) build --release --locked
	@sed 's|\.seequel/|$(SEEQUEL_HOME)/|' queries/01_classify.sql | $(CARGO) run --quiet --release --locked

test: setup  ## Runs every test; fetches the S3 server that some of them start.
	@$(PYTHON) scripts/setup_tests.py
	$(CARGO) test --workspace --locked

bench: setup  ## Measures Seequel beside a bare loop, Daft, Ray Data and a script; ARGS=--quick takes minutes.
	@CARGO='$(CARGO)' $(PYTHON) benches/run.py $(ARGS)

check: format clippy docs versions  ## Format, lints, documentation, one version of each shared crate.

format:
	$(CARGO) fmt --all --check

clippy: system
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs: system
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --document-private-items --locked

versions:
	@sh scripts/versions.sh
