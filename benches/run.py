#!/usr/bin/env python3
"""Compares Seequel, also in lower precision, with a bare loop, Daft, Ray Data and a Python script, all on this machine.

benches/README.md describes what is measured, and the biases. Run it through `make bench`.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import math
import os
import shutil
from functools import partial
from pathlib import Path

import fixtures
import report
from contenders import COLUMNS, LITE2, Contender, Job, Setting, contenders, jobs
from entry import Entry
from fixtures import BENCHES, RUN, say
from measure import BenchError, Measurement, ask, measure

FAMILIES = ("seequel", "writing", "precision", "limit", "daft", "ray", "script")
QUICK_SHARE = 0.125
FINALISTS = 2
LEAST_AGREEMENT = 0.95
FEW_APART = 3
"""Photos that may be in other classes regardless of their number: near ties depend on rounding."""


def main() -> int:
    """Prepares, finds each contender's best setting, measures in rounds, and reports."""
    options = parse_arguments()
    load = os.getloadavg()[0]
    try:
        binaries = fixtures.prepare(with_peers=not {"daft", "ray", "script"}.isdisjoint(options.only), example="limit")
        bench = Bench(binaries, QUICK_SHARE if options.quick else 1, options.only, options.columns)
        entries = bench.entries()
        for entry in entries:
            bench.choose_setting(entry, search=not (options.quick or options.no_search))
        for number in range(options.rounds):
            # Alternate the order, so that a machine that gets slower or faster favours no contender.
            for entry in entries if number % 2 == 0 else reversed(entries):
                bench.run_in_round(entry, number)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = report.render(entries, bench.left_out, options.rounds, load, sys.argv[1:])
    print(text)
    if is_whole(options):
        (BENCHES / "RESULTS.md").write_text(text, "utf-8")
    shutil.rmtree(RUN)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="how often each is measured [default: 3, or 1 if quick]")
    for name, values in (("--only", FAMILIES), ("--columns", COLUMNS)):
        parser.add_argument(name, type=partial(some, values), default=values, help="some of " + ",".join(values))
    parser.add_argument("--no-search", action="store_true", help="the first setting of each grid, no search")
    parser.add_argument("--quick", action="store_true", help="an eighth of the photos, no search for settings")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def some(names: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Reads the value of `--only` or `--columns`: some of these names, in their order."""
    chosen = text.split(",")
    if not set(chosen) <= set(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not some of {','.join(names)}")
    return tuple(name for name in names if name in chosen)


def is_whole(options: argparse.Namespace) -> bool:
    """Whether the run measures everything as RESULTS.md shows it."""
    return (options.only, options.columns) == (FAMILIES, COLUMNS) and not (options.quick or options.no_search)


class Bench:
    """State shared by all runs: the jobs, the contenders, and Seequel's predictions in float32 as references."""

    def __init__(
        self, binaries: dict[str, Path], share: float, families: tuple[str, ...], columns: tuple[str, ...]
    ) -> None:
        self.seequel = binaries["seequel"]
        self.environment = fixtures.environment()
        self.jobs = jobs(share, columns)
        every = contenders(binaries)
        chosen = [contender for contender in every if contender.family in families]
        self.left_out = [f"{contender.name}: {contender.missing}" for contender in chosen if contender.missing]
        names = {contender.name for contender in chosen if not contender.missing}
        self.bases = {contender.compared_with for contender in chosen}
        # What others are compared with is measured beside them.
        self.contenders = [contender for contender in every if contender.name in names | self.bases]
        if "precision" in families:
            fixtures.quantize(self.seequel, {LITE2} | {job.model for job in self.jobs})
        self.references = {}
        for job in self.jobs:
            copy = f"COPY (SELECT path, image FROM '{job.photos}/*.jpg') TO '{job.parquet}'"
            ask(self.seequel, self.environment, copy)
            self.predict_references(job)

    def predict_references(self, job: Job) -> None:
        """Runs a job once, unmeasured, with each contender that others are compared with."""
        for number, contender in enumerate(self.contenders):
            if contender.name in self.bases and job.column in contender.columns:
                say(f"{job.column}: predictions of {contender.name}, for comparison")
                results = RUN / f"reference-{job.column}-{number}{contender.suffix}"
                self.measure(contender, job, {}, results)
                self.references[contender.name, job.column] = results

    def entries(self) -> list[Entry]:
        """Returns an entry for each contender and job."""
        return [
            Entry(contender, job)
            for contender in self.contenders
            for job in self.jobs
            if job.column in contender.columns
        ]

    def choose_setting(self, entry: Entry, *, search: bool) -> None:
        """Chooses the fastest setting of the contender's grid that predicts correctly; without search, the first."""
        grid = entry.contender.grid
        entry.setting = grid[0]
        if not search or len(grid) == 1:
            return
        seconds = [self.try_setting(entry, setting) for setting in grid]
        ranking = sorted(range(len(grid)), key=seconds.__getitem__)
        # A single run may be disturbed: the fastest settings run again, and the better time counts.
        for index in ranking[:FINALISTS]:
            seconds[index] = min(seconds[index], self.try_setting(entry, grid[index]))
        best = min(ranking, key=seconds.__getitem__)
        entry.setting = grid[best]
        if seconds[best] < math.inf:
            entry.error = None

    def try_setting(self, entry: Entry, setting: Setting) -> float:
        """Returns the seconds that a setting takes; infinity if it fails, with the error in the entry."""
        title = f"{entry.job.column}, {entry.contender.name}, {setting}"
        try:
            one = self.measure(entry.contender, entry.job, setting, self.results(entry))
            self.agreement(entry)
        except BenchError as error:
            entry.error = str(error)
            say(f"{title}: {error}")
            return math.inf
        say(f"{title}: {entry.job.count / one.seconds:.1f}/s")
        return one.seconds

    def run_in_round(self, entry: Entry, number: int) -> None:
        """Measures an entry once and, the first time, compares its predictions; an entry with an error is skipped."""
        if entry.error:
            return
        title = f"round {number + 1}: {entry.job.column}, {entry.contender.name}"
        try:
            entry.runs.append(self.measure(entry.contender, entry.job, entry.setting, self.results(entry)))
            say(f"{title}: {entry.job.count / entry.runs[-1].seconds:.1f}/s")
            if entry.agreement is None:
                entry.agreement = self.agreement(entry)
        except BenchError as error:
            entry.error = str(error)
            say(f"{title}: {error}")

    def results(self, entry: Entry) -> Path:
        """Returns the path of an entry's results, after removing old ones."""
        results = RUN / f"results{entry.contender.suffix}"
        if results.is_dir():
            shutil.rmtree(results)
        results.unlink(missing_ok=True)
        return results

    def measure(self, contender: Contender, job: Job, setting: Setting, results: Path) -> Measurement:
        """Runs a contender once."""
        command = contender.command(job, setting, results)
        return measure(command, self.environment, RUN / "log", by_itself=contender.by_itself)

    def agreement(self, entry: Entry) -> float:
        """Returns the share of photos in the same class as in float32; every photo must have a prediction."""
        results = RUN / f"results{entry.contender.suffix}"
        where = f"{results}/" if results.is_dir() else str(results)
        kind = "CSV" if results.suffix == ".csv" else "PARQUET"
        theirs = f"CREATE EXTERNAL TABLE theirs STORED AS {kind} LOCATION '{where}'"
        predictions = (
            f"SELECT count(*) AS predictions, count(DISTINCT theirs.path) AS photos, "
            f"count(*) FILTER (WHERE theirs.class = ours.class) AS alike FROM theirs "
            f"LEFT JOIN '{self.references[entry.contender.compared_with, entry.job.column]}' AS ours "
            f"ON regexp_replace(theirs.path, '.*/', '') = regexp_replace(ours.path, '.*/', '') "
            f"WHERE theirs.class IS NOT NULL"
        )
        (row,) = ask(self.seequel, self.environment, theirs, predictions)
        count = entry.job.count
        if (row["predictions"], row["photos"]) != (count, count):
            raise BenchError(f"{row['predictions']} predictions on {row['photos']} photos, of {count}")
        apart = count - row["alike"]
        if entry.contender.is_exact and apart > max(FEW_APART, (1 - LEAST_AGREEMENT) * count):
            raise BenchError(f"{apart} of {count} photos are in another class than Seequel says")
        return row["alike"] / count


if __name__ == "__main__":
    sys.exit(main())
