#!/usr/bin/env python3
"""Installs what the tests need beside the set-up: an S3 server for them to talk to, into .seequel/test-python."""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse

import fetch
import home
from home import HOME, SetupError

PACKAGES = HOME / "test-python"


def main() -> int:
    """Installs, and turns what can go wrong into a message and an exit status."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        with home.locked() as lock:
            fetch.install(home.SCRIPTS / "requirements-test.txt", PACKAGES, lock)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"setup: {error}. The tests' packages need about 120 MB in {HOME}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
