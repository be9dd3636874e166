#!/usr/bin/env python3
"""Measures what the accounts of a query cost: the same queries by builds with them and without.

    make bench-accounting                            # a quarter of an hour on two cores, builds aside; writes ACCOUNTING.md
    make bench-accounting ARGS='--only flowers --pairs 5'

The build without, which the environment variable SEEQUEL_UNACCOUNTED makes, never reads the clock for accounts.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from statistics import median
from typing import NamedTuple

import fixtures
import report
from contenders import LITE0
from fixtures import BENCH, BENCHES, ROOT, say
from measure import BenchError, last_line, measure

FOLDER = BENCH / "accounting"
RESULTS = FOLDER / "results.json"
SMALL_IMAGES = FOLDER / "small.parquet"
MODELS = ROOT / "tests" / "data" / "models"
MOST_COST = 0.01
PAIRS = 24

NOTES = """\
Whole processes by turns, each side first in every other pair. Each creates the model, runs the query once on some rows,
which loads the sessions, and is timed on the next; processor time is that of the whole process. Ratios are of the
build with accounts and the one without: the median of the pairs, and in parentheses their quartiles. A cost of
throughput below {most:.0%} is met; "within" says so of processor time, which other work of the machine disturbs less.

The photos are those of `make bench`. The small images are of 64 × 64 pixels, in a Parquet file; the model for them looks
at none of their pixels, and a flower is four numbers for a logistic regression: there accounting costs most, since nearly
nothing else is done.
"""


class Case(NamedTuple):
    """A query, and how many rows it has."""

    title: str
    model: Path
    call: str
    source: str
    rows: int
    warming: int

    def query(self, rows: int) -> str:
        """Returns the query on some rows."""
        return f"SELECT count({self.call}) FROM (SELECT * FROM {self.source} LIMIT {rows})"


FLOWERS = "(SELECT 5.0 AS a, 3.5 AS b, 1.4 AS c, value * 0.001 AS d FROM generate_series(1, 1500000))"
SMALL = "({})".format(" UNION ALL ".join(3 * [f"SELECT image FROM '{SMALL_IMAGES}'"]))
CASES = {
    "lite0": Case("Lite0, photos", LITE0, "classify(image, 'm')['label']", f"read_images('{BENCH / 'small'}')", 1200, 16),
    "small": Case(
        "three nodes, small images", MODELS / "shares.onnx", "classify(image, 'm')", SMALL, 180_000, 1000
    ),
    "flowers": Case(
        "logistic regression, flowers", MODELS / "iris.onnx", "predict('m', a, b, c, d)", FLOWERS, 1_500_000, 10_000
    ),
}


class Turn(NamedTuple):
    """What a process took."""

    rate: float
    """Rows a second."""
    cpu: float
    """Seconds of processors."""


def main() -> int:
    """Measures the cases, and prints and writes a table of all that were ever measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES), help="some of " + ",".join(CASES))
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"turns of each build [default: {PAIRS}]")
    parser.add_argument("--binaries", type=Path, nargs=2, metavar=("WITH", "WITHOUT"), help="[default: release builds]")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        binaries = options.binaries or build()
        if not SMALL_IMAGES.exists():
            make_small_images(binaries[0])
        for name in options.only.split(","):
            if name not in CASES:
                raise BenchError(f"{name!r} is none of {','.join(CASES)}")
            keep(name, pairs(CASES[name], binaries, options.pairs))
    except BenchError as error:
        print(f"bench-accounting: {error}", file=sys.stderr)
        return 1
    text = render(load, is_given=options.binaries is not None)
    print(text)
    (BENCHES / "ACCOUNTING.md").write_text(text, "utf-8")
    return 0


def build() -> list[Path]:
    """Returns release builds with accounts and without."""
    binaries = []
    for name, variables in (("without", {"SEEQUEL_UNACCOUNTED": "1"}), ("with", {})):
        os.environ |= variables
        binaries.insert(0, FOLDER / f"seequel-{name}")
        shutil.copy2(fixtures.release(), binaries[0])
        os.environ.pop("SEEQUEL_UNACCOUNTED", None)
    return binaries


def make_small_images(seequel: Path) -> None:
    """Makes a Parquet file of small images, each many times."""
    if not (BENCH / "small").exists():
        raise BenchError("no photos yet: run `make bench ARGS=--quick`")
    say("making small images")
    images = f"SELECT resize(image, 64, 64) AS image FROM read_images('{BENCH / 'small'}')"
    part = SMALL_IMAGES.with_suffix(".part.parquet")
    sql = f"COPY (SELECT image FROM ({images}), generate_series(1, 40)) TO '{part}'"
    if subprocess.run([str(seequel), "--no-rc", "-q", "-c", sql], env=fixtures.environment()).returncode != 0:
        raise BenchError("the small images could not be made")
    part.rename(SMALL_IMAGES)


def pairs(case: Case, binaries: list[Path], count: int) -> list[list[Turn]]:
    """Measures both builds by turns; returns those of each pair, the build with accounts first."""
    measured = []
    for number in range(count):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        turns = {side: turn(case, binaries[side]) for side in order}
        measured.append([turns[0], turns[1]])
        say(f"{case.title}: {turns[0].rate:.0f}/s with, {turns[1].rate:.0f}/s without")
    return measured


def turn(case: Case, seequel: Path) -> Turn:
    """Runs a process to its end."""
    model = case.model if case.model.suffix == ".onnx" else case.model / "model.onnx"
    labels = case.model / "labels.txt"
    options = f" OPTIONS (labels '{labels}')" if labels.exists() else ""
    statements = [f"CREATE MODEL m FROM '{model}'{options}", case.query(case.warming), case.query(case.rows)]
    command = [str(seequel), "--no-rc", "--format", "csv", "--progress", "never", "--command", *statements]
    log = FOLDER / "log"
    before = os.times()
    measure(command, fixtures.environment(), log, by_itself=False)
    after = os.times()
    seconds = re.findall(r"row\(s\) in set, ([\d.]+) seconds", log.read_text("utf-8"))
    if not seconds:
        raise BenchError(f"no time in {last_line(log)}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Turn(case.rows / float(seconds[-1]), cpu)


def known() -> dict[str, list[list[list[float]]]]:
    """Returns what was ever measured, by case."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}


def keep(name: str, measured: list[list[Turn]]) -> None:
    """Adds what was measured to the file of all."""
    RESULTS.write_text(json.dumps(known() | {name: measured}), "utf-8")


def render(load: float, *, is_given: bool) -> str:
    """Returns the report; `is_given` says that the binaries are others than the release builds."""
    head = ["", "pairs", "rows a second with", "without", f"with ÷ without, at least {1 - MOST_COST:.2f}"]
    rows = [[*head, f"processor time, at most {1 + MOST_COST:.2f}"]]
    measured = known()
    for name, case in CASES.items():
        if name not in measured:
            continue
        both = [[Turn(*one) for one in pair] for pair in measured[name]]
        rates = [report.number(median(pair[side].rate for pair in both)) for side in (0, 1)]
        throughput = [one.rate / other.rate for one, other in both]
        cpu = [one.cpu / other.cpu for one, other in both]
        cells = [case.title, str(len(both)), *rates]
        cells.append(ratio(throughput) + (", met" if median(throughput) >= 1 - MOST_COST else ", **not met**"))
        cells.append(ratio(cpu) + (", within" if median(cpu) <= 1 + MOST_COST else ", **above**"))
        rows.append(cells)
    parts = ["# Results of `make bench-accounting`", report.table(rows), NOTES.format(most=MOST_COST)]
    parts.append("Measured with binaries given by `--binaries`, such as development builds." * is_given)
    parts.append(report.machine(load, ()))
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def ratio(ratios: list[float]) -> str:
    """Writes the median and the quartiles."""
    ordered = sorted(ratios)
    quarter = len(ordered) // 4
    return f"{median(ratios):.3f} ({ordered[quarter]:.3f} to {ordered[-1 - quarter]:.3f})"


if __name__ == "__main__":
    sys.exit(main())
