"""The figures of `make bench-scale`: the required value, the measured value, and whether it is met."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import fixtures
from fixtures import HOME, RUN, say
from measure import BenchError, Measurement, last_line, measure
from watch import after_drop, after_interrupt, first_line

MEGA = 1e6
LABEL = "classify(image, 'efficientnet_lite0')['label'] AS label"
MOST_BYTES = 400 * MEGA
ROWS_BEFORE_THE_END = 100
"""Rows read from a query before it is stopped."""
ROWS_OF_A_PART = 100_000
"""Finished rows of which one entry of a log tells."""
GROUP_ROUNDS = 15
"""At least: a ratio with a tolerance of 3 % takes more rounds than the others."""
GROUPINGS = {
    "7,000 groups of two keys": "value % 7 AS a, value % 1000 AS b",
    "1,000,000 groups": "value % 1000000 AS a, 0 AS b",
    "10,000 groups by text": "concat('key ', value % 10000) AS a, 0 AS b",
}


class Figure(NamedTuple):
    """A row of the report."""

    what: str
    asked: str
    measured: str
    is_met: bool


class Scale:
    """State shared by all figures: the binaries, the share of photos, the rounds and the log."""

    def __init__(self, binaries: dict[str, Path], share: float, rounds: int) -> None:
        self.seequel = str(binaries["seequel"])
        self.dropped = str(binaries["dropped"])
        self.share = share
        self.rounds = rounds
        self.environment = fixtures.environment()
        self.log = RUN / "log"

    def query(self, sql: str, *options: str) -> list[str]:
        """Returns the command line of a query."""
        return [self.seequel, "--quiet", "--format", "nd-json", *options, "--command", sql]

    def run(self, command: list[str]) -> Measurement:
        """Runs a process to its end; its output is in the log."""
        return measure(command, self.environment, self.log, by_itself=False)

    def seconds(self, command: list[str]) -> float:
        """Returns how long a process takes from start to exit."""
        return self.run(command).seconds

    def in_turn(self, *sides: Callable[[], float], rounds: int | None = None) -> list[list[float]]:
        """Measures each side once a round, every other round in reverse order; returns the values of each."""
        values: list[list[float]] = [[] for _ in sides]
        for number in range(rounds or self.rounds):
            order = range(len(sides))
            for side in order if number % 2 == 0 else reversed(order):
                values[side].append(sides[side]())
        return values

    def photos(self, name: str, most: int) -> tuple[str, int]:
        """Returns a folder of `most` photos times the share, and their number."""
        count = round(most * self.share)
        return f"{fixtures.many_photos(name, count)}/", count


def memory(scale: Scale) -> list[Figure]:
    """Classifies folders of two lengths, of large photos, and with a memory limit."""
    figures, peaks = [], []
    for name, most in (("small", 5_000), ("small", 50_000), ("large", 5_000)):
        folder, count = scale.photos(name, most)
        peak, predictions, text = classify(scale, folder, count)
        peaks.append(peak)
        is_met = peak <= MOST_BYTES and predictions == count
        what = f"peak memory, Lite0, {count:,} {name} photos"
        figures.append(Figure(what, f"at most {MOST_BYTES / MEGA:.0f} MB", text, is_met))
    growth = peaks[1] / peaks[0] - 1
    what = "growth of that from the short folder of small photos to the long one"
    figures.append(Figure(what, "at most 10 %", f"{growth:.1%}", growth <= 0.1))
    folder, count = scale.photos("small", 5_000)
    _, predictions, text = classify(scale, folder, count, "--memory-limit", "256MB")
    what = f"{count:,} small photos with `--memory-limit 256MB`"
    figures.append(Figure(what, "each is predicted", text, predictions == count))
    return figures


def classify(scale: Scale, folder: str, count: int, *options: str) -> tuple[int, int, str]:
    """Classifies a folder into Parquet; returns peak memory in bytes, photos predicted, and a description of both."""
    say(f"classifying {count} photos {' '.join(options)}")
    results = RUN / "results.parquet"
    results.unlink(missing_ok=True)
    cost = scale.run(scale.query(f"COPY (SELECT path, {LABEL} FROM read_images('{folder}')) TO '{results}'", *options))
    scale.run(scale.query(f"SELECT count(DISTINCT path) AS predictions FROM '{results}' WHERE label IS NOT NULL"))
    predictions = json.loads(last_line(scale.log))["predictions"]
    speed = count / cost.seconds
    return cost.peak_bytes, predictions, f"{cost.peak_bytes / MEGA:.0f} MB, {predictions:,} predictions, {speed:.0f} images/s"


def listing(scale: Scale) -> list[Figure]:
    """Lists a folder of many files, compared with `find`, and classifies the first ten."""
    folder, count = scale.photos("small", 200_000)
    find = ["sh", "-c", f"find '{folder}' -type f | wc -l"]
    counting = scale.query(f"SELECT count(*) AS n FROM read_images('{folder}')")
    found, counted = scale.in_turn(lambda: scale.seconds(find), lambda: scale.seconds(counting))
    most = 2 * median(found) + 0.1
    asked = f"at most 2 × `find | wc -l` + 0.1 s: {milliseconds(most)}"
    measured = f"{range_of(counted)}; find {range_of(found)}"
    path = scale.query(f"SELECT path FROM read_images('{folder}') LIMIT 10")
    label = scale.query(f"SELECT {LABEL} FROM read_images('{folder}') LIMIT 10")
    return [
        Figure(f"SELECT count(*) of {count:,} files", asked, measured, median(counted) <= most),
        timed(scale, "SELECT path of these, LIMIT 10", 0.3, lambda: scale.seconds(path)),
        timed(scale, "SELECT classify(image) of these, LIMIT 10", 1.5, lambda: scale.seconds(label)),
    ]


def start(scale: Scale) -> list[Figure]:
    """Starts the process, and waits for its first prediction."""
    lion = scale.query(f"SELECT {LABEL} FROM '{HOME}/photos/lion.jpg'")
    folder, count = scale.photos("small", 5_000)
    stream = scale.query(f"SELECT path, {LABEL} FROM read_images('{folder}')")
    one = scale.query("SELECT 1")

    def first(command: list[str]) -> float:
        return first_line(command, scale.environment, scale.log)

    return [
        timed(scale, "`seequel -c 'SELECT 1'`, to its exit", 0.08, lambda: scale.seconds(one)),
        timed(scale, "first prediction, of one photo", 0.6, lambda: first(lion)),
        timed(scale, f"first prediction, of {count:,} photos", 0.6, lambda: first(stream)),
    ]


def grouping(scale: Scale) -> list[Figure]:
    """Groups generated rows in DataFusion's own shell and in Seequel, alternately."""
    theirs = [str(fixtures.datafusion_cli()), "--quiet", "--format", "nd-json", "--command"]
    rows = round(10_000_000 * scale.share)
    figures = []
    for groups, keys in GROUPINGS.items():
        say(f"grouping: {groups}")
        source = f"SELECT {keys}, value AS v FROM generate_series(1, {rows})"
        grouped = f"SELECT a, b, count(*) AS c, sum(v) AS s, avg(v) AS m FROM ({source}) GROUP BY a, b"
        sql = f"SELECT count(*) AS n, sum(c) AS c, sum(s) AS s, max(m) AS m FROM ({grouped})"
        sides = [*theirs, sql], scale.query(sql)
        their_seconds, our_seconds = same_result(scale, *sides)
        ratio = median(our_seconds) / median(their_seconds)
        measured = f"{ratio:.3f}: {range_of(our_seconds)} ÷ {range_of(their_seconds)}"
        what = f"GROUP BY of {rows:,} rows, {groups}, ÷ datafusion-cli"
        figures.append(Figure(what, "at most 1.03", measured, ratio <= 1.03))
    return figures


def same_result(scale: Scale, theirs: list[str], ours: list[str]) -> list[list[float]]:
    """Measures two ways to the same result; returns the seconds of each round."""
    results = []

    def seconds(command: list[str]) -> float:
        cost = scale.run(command)
        results.append(last_line(scale.log))
        return cost.seconds

    rounds = max(scale.rounds, GROUP_ROUNDS)
    values = scale.in_turn(lambda: seconds(theirs), lambda: seconds(ours), rounds=rounds)
    if len(set(results)) > 1:
        raise BenchError(f"different results of one query: {' and '.join(sorted(set(results)))}")
    return values


def stopping(scale: Scale) -> list[Figure]:
    """Stops a query in the middle, by Ctrl-C and by dropping its stream, and measures the time to the end."""
    folder, _ = scale.photos("small", 50_000)
    stream = scale.query(f"SELECT path, {LABEL} FROM read_images('{folder}')")

    def interrupt() -> float:
        return after_interrupt(stream, scale.environment, scale.log, ROWS_BEFORE_THE_END)

    figures = [timed(scale, "Ctrl-C in the middle of a query, to the exit", 0.3, interrupt)]
    example = [scale.dropped, str(HOME), folder, str(ROWS_BEFORE_THE_END)]
    drops = [after_drop(example, scale.environment, scale.log) for _ in range(scale.rounds)]
    seconds, images = [drop.seconds for drop in drops], max(drop.images for drop in drops)
    what = "a stream dropped in the middle, to the last CPU time"
    measured = f"{range_of(seconds)}; {images} images at most"
    figures.append(Figure(what, "at most 300 ms", measured, median(seconds) <= 0.3))
    return figures


def resume(scale: Scale) -> list[Figure]:
    """Continues a COPY of which ten million rows are finished; the files of all but a few are gone."""
    folder, count = scale.photos("small", 200_000)
    out, finished = RUN / "resumed", round(10_000_000 * scale.share)
    query = f"COPY (SELECT path, size FROM read_images('{folder}')) TO '{out}/' STORED AS PARQUET OPTIONS (resume 'path')"
    copy = scale.query(query)
    scale.run(copy)
    add_finished(out / "_seequel", finished - count)
    say(f"continuing after {finished} rows")
    peak = scale.run(copy).peak_bytes
    added = json.loads(last_line(scale.log))["count"]
    what = f"peak memory of a COPY that continues after {finished:,} rows, over {count:,} files"
    is_met = peak <= MOST_BYTES and added == 0
    measured = f"{peak / MEGA:.0f} MB, {added} rows added"
    return [Figure(what, f"at most {MOST_BYTES / MEGA:.0f} MB", measured, is_met)]


def add_finished(log: Path, rows: int) -> None:
    """Adds parts without files to a log, of rows with random keys."""
    number = max(int(entry.stem) for entry in log.glob("*.json"))
    for first in range(0, rows, ROWS_OF_A_PART):
        number += 1
        part = min(ROWS_OF_A_PART, rows - first)
        keys = f"{number:08}-bench.keys"
        (log / keys).write_bytes(os.urandom(16 * part))
        entry = {"entry": "commit", "run": "bench", "rows": part, "bytes": 0, "files": [], "keys": keys, "time": 0}
        (log / f"{number:08}.json").write_text(json.dumps(entry))


FAMILIES: dict[str, Callable[[Scale], list[Figure]]] = {
    "start": start,
    "listing": listing,
    "grouping": grouping,
    "stopping": stopping,
    "resume": resume,
    "memory": memory,
}


def timed(scale: Scale, what: str, most: float, run: Callable[[], float]) -> Figure:
    """Calls `run` once a round and takes the median."""
    say(what)
    (seconds,) = scale.in_turn(run)
    return Figure(what, f"at most {milliseconds(most)}", range_of(seconds), median(seconds) <= most)


def range_of(seconds: list[float]) -> str:
    """Writes the median, and the fastest and slowest."""
    return f"{milliseconds(median(seconds))} ({min(seconds) * 1e3:.0f}–{max(seconds) * 1e3:.0f})"


def milliseconds(seconds: float) -> str:
    """Writes a time."""
    return f"{seconds * 1e3:.0f} ms"
