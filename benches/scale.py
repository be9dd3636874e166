#!/usr/bin/env python3
"""Measures Seequel at scale: memory, large folders, first predictions, the time to stop; each with a required value.

What is measured is in benches/README.md. Run it through `make bench-scale`.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import os
import shutil

import fixtures
import report
from figures import FAMILIES, Figure, Scale
from fixtures import BENCHES, RUN
from measure import BenchError

QUICK_SHARE = 0.05

NOTES = """\
Times are the median of {rounds} rounds (fastest to slowest), of the whole process unless stated otherwise; the
ratios to `find` and to datafusion-cli are those of medians, in rounds that alternate between both. Memory is the peak
of resident memory, of one run.
"""


def main() -> int:
    """Prepares, measures family by family, and reports; 1 if something could not be measured."""
    options = parse_arguments()
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    try:
        binaries = fixtures.prepare(with_peers=False, example="dropped")
        scale = Scale(binaries, QUICK_SHARE if options.quick else 1, options.rounds)
        for name in options.only:
            figures += FAMILIES[name](scale)
    except BenchError as error:
        print(f"bench-scale: {error}", file=sys.stderr)
        return 1
    text = render(figures, options.rounds, load)
    print(text)
    if options.only == tuple(FAMILIES) and not options.quick:
        (BENCHES / "SCALE.md").write_text(text, "utf-8")
    shutil.rmtree(RUN)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each time is measured [default: 7]")
    parser.add_argument("--only", type=families, default=tuple(FAMILIES), help="some of " + ",".join(FAMILIES))
    parser.add_argument("--quick", action="store_true", help="a twentieth of the photos, files and rows")
    return parser.parse_args()


def families(text: str) -> tuple[str, ...]:
    """Reads the value of `--only`."""
    names = text.split(",")
    if not set(names) <= set(FAMILIES):
        raise argparse.ArgumentTypeError(f"{text!r} is not some of {','.join(FAMILIES)}")
    return tuple(family for family in FAMILIES if family in names)


def render(figures: list[Figure], rounds: int, load: float) -> str:
    """Returns the report."""
    rows = [["", "asked", "measured", "met"]]
    rows += [[figure.what, figure.asked, figure.measured, "yes" if figure.is_met else "**no**"] for figure in figures]
    table = report.table([[cell.replace("|", "\\|") for cell in row] for row in rows])
    parts = ["# Results of `make bench-scale`", table, NOTES.format(rounds=rounds), report.machine(load, ())]
    return "\n".join(part.rstrip() + "\n" for part in parts)


if __name__ == "__main__":
    sys.exit(main())
