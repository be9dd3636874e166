#!/usr/bin/env python3
"""Compares Seequel with a loop without an engine, Daft, Ray Data and a Python script, all on this machine.

benches/README.md describes what is measured, and the biases. Run it through `make bench`.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import fixtures
import report
from contenders import Contender, Job, Setting, contenders, jobs
from entry import Entry
from fixtures import BENCHES, RUN, say
from measure import BenchError, Measurement, measure

FAMILIES = ("seequel", "limit", "daft", "ray", "script")
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
        bench = Bench(binaries, QUICK_SHARE if options.quick else 1)
        entries = bench.entries(options.only)
        for entry in entries:
            bench.choose_setting(entry, quick=options.quick)
        for number in range(options.rounds):
            # Alternate the order, so that a machine that gets slower or faster favours no contender.
            for entry in entries if number % 2 == 0 else reversed(entries):
                bench.run_in_round(entry, number)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = report.render(entries, options.rounds, load)
    print(text)
    if options.only == FAMILIES and not options.quick:
        (BENCHES / "RESULTS.md").write_text(text, "utf-8")
    shutil.rmtree(RUN)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="how often each is measured [default: 3, or 1 if quick]")
    parser.add_argument("--only", type=families, default=FAMILIES, help="some of " + ",".join(FAMILIES))
    parser.add_argument("--quick", action="store_true", help="an eighth of the photos, no search for settings")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def families(text: str) -> tuple[str, ...]:
    """Reads the value of `--only`."""
    names = text.split(",")
    if not set(names) <= set(FAMILIES):
        raise argparse.ArgumentTypeError(f"{text!r} is not some of {','.join(FAMILIES)}")
    return tuple(family for family in FAMILIES if family in names)


class Bench:
    """State shared by all runs: the jobs, the contenders, and Seequel's predictions as the reference."""

    def __init__(self, binaries: dict[str, Path], share: float) -> None:
        self.seequel = str(binaries["seequel"])
        self.environment = fixtures.environment()
        self.contenders = contenders(binaries)
        self.jobs = jobs(share)
        self.references = {job.column: self.reference(job) for job in self.jobs}

    def reference(self, job: Job) -> Path:
        """Runs a job once with Seequel, unmeasured, and writes its photos to a Parquet file."""
        say(f"{job.column}: Seequel's predictions, for comparison")
        results = RUN / f"reference-{job.column}.parquet"
        self.measure(self.contenders[0], job, {}, results)
        self.ask(f"COPY (SELECT path, image FROM '{job.photos}/*.jpg') TO '{job.parquet}'")
        return results

    def entries(self, families: tuple[str, ...]) -> list[Entry]:
        """Returns an entry for each contender and job."""
        return [
            Entry(contender, job)
            for contender in self.contenders
            if contender.family in families
            for job in self.jobs
            if job.column in contender.columns
        ]

    def choose_setting(self, entry: Entry, *, quick: bool) -> None:
        """Chooses the fastest setting of the contender's grid that predicts correctly; if `quick`, the first."""
        grid = entry.contender.grid
        entry.setting = grid[0]
        if quick or len(grid) == 1:
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
        """Returns the share of photos in the same class as Seequel's; every photo must have a prediction."""
        results = RUN / f"results{entry.contender.suffix}"
        where = f"{results}/" if results.is_dir() else str(results)
        kind = "CSV" if results.suffix == ".csv" else "PARQUET"
        theirs = f"CREATE EXTERNAL TABLE theirs STORED AS {kind} LOCATION '{where}'"
        predictions = (
            f"SELECT count(*) AS predictions, count(DISTINCT theirs.path) AS photos, "
            f"count(*) FILTER (WHERE theirs.class = ours.class) AS alike FROM theirs "
            f"LEFT JOIN '{self.references[entry.job.column]}' AS ours "
            f"ON regexp_replace(theirs.path, '.*/', '') = regexp_replace(ours.path, '.*/', '') "
            f"WHERE theirs.class IS NOT NULL"
        )
        (row,) = json.loads(self.ask(theirs, predictions))
        count = entry.job.count
        if (row["predictions"], row["photos"]) != (count, count):
            raise BenchError(f"{row['predictions']} predictions on {row['photos']} photos, of {count}")
        apart = count - row["alike"]
        if entry.contender.is_comparable and apart > max(FEW_APART, (1 - LEAST_AGREEMENT) * count):
            raise BenchError(f"{apart} of {count} photos are in another class than Seequel says")
        return row["alike"] / count

    def ask(self, *statements: str) -> str:
        """Returns Seequel's result of the last statement, as JSON."""
        command = [self.seequel, "--quiet", "--format", "json", "--command", *statements]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"Seequel can't compare: {done.stderr.strip()}")
        return done.stdout


if __name__ == "__main__":
    sys.exit(main())
