#!/usr/bin/env python3
"""Compares what `TUNE MODEL` chooses, and what `auto` is without it, with the best of an exhaustive grid.

    make bench-tuning                          # all models, half an hour on two cores; writes TUNING.md
    make bench-tuning ARGS=--quick             # some minutes, to check that everything works; the figures are rough
    make bench-tuning ARGS='--only vit --parts auto'

Times are those of queries as users write them; benches/README.md says how they are compared.
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
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import fixtures
import report
from contenders import CORES, LITE0, LITE2, RESNET50
from fixtures import BENCH, BENCHES, HOME, RUN, say
from measure import TIMEOUT_SECONDS, BenchError

FOLDER = BENCH / "tuning"
RESULTS = FOLDER / "results.json"
VIT = BENCH / "vit_s16"
MODELS = {"lite0": ("Lite0", LITE0), "lite2": ("Lite2", LITE2), "resnet50": ("ResNet-50¹", RESNET50)}
MODELS |= {"vit": ("ViT-S/16¹", VIT)}
PARTS = ("search", "auto")

QUERY = "SELECT count(classify(image, 'm')['label']) FROM read_images('{}')"
BATCHES = (1, 2, 4, 8, 16, 32)
"""As TUNE tries them: src/tune/grid.rs."""
WARMING = 16
"""Photos, at least, of the query that loads a model's sessions."""
BUDGET = 30
"""Seconds that TUNE takes unless it is given others."""
TUNE_PHOTOS = 200
LEAST_CHOICE, MOST_TIME, LEAST_AUTO = 0.97, 1 / 3, 0.94
"""What is required: TUNE's choice ÷ the best, TUNE's time ÷ the grid's, untuned auto ÷ the best."""

NOTES = """\
Grid: every configuration that TUNE may try, about {turn} s at a time, {rounds} × in alternating order, each time in a process
that creates the model with `OPTIONS (batch_size …, concurrency …, num_cpus …)`, loads its sessions with a query of a few
photos, and is timed on the next: `{query}`.
Best: that of the least median time. "4, 2 × 1" is a batch size, sessions, and threads of each. TUNE: a process with a home
of its own and a budget of {budget} s at most. Its choice and the best then run {pairs} × by turns; untuned `auto`, whose
sessions aren't loaded yet, and the best {auto_pairs} × in queries of {auto} s. Ratios are of images a second: the median of
the pairs, and their range, which for six pairs holds the true ratio in 97 of 100 cases; 1.000 without a range is the same
configuration. A median within the required value is met. With `--only` or `--parts`, other figures are those of earlier
runs, maybe of another build; the load is that before the last run.

¹ Random weights: the time is real, the labels mean nothing.
"""


class Plan(NamedTuple):
    """How long is measured."""

    turn: float
    """Seconds of a turn."""
    rounds: int
    """Turns of each configuration of the grid."""
    pairs: int
    """Turns of TUNE's choice beside the best."""
    auto: float
    """Seconds of a query with untuned `auto`."""
    auto_pairs: int


WHOLE = Plan(turn=3, rounds=3, pairs=6, auto=60, auto_pairs=1)
QUICK = Plan(turn=1, rounds=1, pairs=2, auto=8, auto_pairs=1)


class Choice(NamedTuple):
    """A configuration."""

    batch_size: int
    concurrency: int
    num_cpus: int

    def __str__(self) -> str:
        return f"{self.batch_size}, {self.concurrency} × {self.num_cpus}"

    @property
    def options(self) -> str:
        """The clause of CREATE MODEL."""
        return f"OPTIONS ({', '.join(f'{key} {value}' for key, value in self._asdict().items())})"


class Bench(NamedTuple):
    """What all measurements share."""

    seequel: Path
    model: Path
    plan: Plan

    def create(self, choice: Choice | None) -> str:
        """Returns the statement that creates the model, with a configuration or at its defaults."""
        return f"CREATE MODEL m FROM '{self.model / 'model.onnx'}' {choice.options if choice else ''}"

    def turn(self, choice: Choice | None, photos: int) -> float:
        """Returns the images a second of a configuration whose sessions are loaded."""
        warming = max(WARMING, choice.batch_size * choice.concurrency if choice else 0)
        statements = [self.create(choice), query(warming), query(photos)]
        shown = self.run(["--format", "csv", "--progress", "never", "--command", *statements])
        return photos / seconds(shown)

    def analyzed(self, choice: Choice | None, photos: int) -> tuple[float, str]:
        """Returns the images a second of a whole query, and the batch size, sessions and threads of its plan."""
        statements = [self.create(choice), f"EXPLAIN ANALYZE {query(photos)}"]
        shown = self.run(["--progress", "never", "--command", *statements])
        found = re.search(r"batch_size=(\S+(?: \(measured\))?), concurrency=(\d+)", shown)
        if not found:
            raise BenchError(f"no batch_size in {shown}")
        return photos / seconds(shown), f"{found[1]}, {found[2]} sessions"

    def run(self, arguments: list[str], home: Path = FOLDER / "home") -> str:
        """Runs Seequel to its end in a home without tunings and returns what it prints."""
        environment = fixtures.environment() | {"SEEQUEL_HOME": str(home)}
        command = [str(self.seequel), "--no-rc", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        if done.returncode != 0:
            raise BenchError(done.stderr.strip().splitlines()[0])
        return done.stdout


def query(photos: int) -> str:
    """Returns the query on a number of photos."""
    return QUERY.format(fixtures.many_photos("small", photos))


def seconds(shown: str) -> float:
    """Returns the time of the last statement."""
    return float(re.findall(r"row\(s\) in set, ([\d.]+) seconds", shown)[-1])


def main() -> int:
    """Measures the models, and prints and writes a table of all that were ever measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, values in (("--only", tuple(MODELS)), ("--parts", PARTS)):
        parser.add_argument(name, type=partial(some, values), default=values, help="some of " + ",".join(values))
    parser.add_argument("--quick", action="store_true", help="short turns, few of them")
    parser.add_argument("--binary", type=Path, help="a binary of Seequel [default: build one for release]")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    plan = QUICK if options.quick else WHOLE
    results = FOLDER / "quick.json" if options.quick else RESULTS
    try:
        seequel = options.binary or fixtures.release()
        prepare()
        for name in options.only:
            bench = Bench(seequel, MODELS[name][1], plan)
            if "search" in options.parts:
                keep(results, name, search(bench))
            if "auto" in options.parts:
                keep(results, name, auto(bench, known(results).get(name, {})))
    except BenchError as error:
        print(f"bench-tuning: {error}", file=sys.stderr)
        return 1
    text = render(known(results), plan, load, is_given=options.binary is not None)
    print(text)
    if not options.quick:
        (BENCHES / "TUNING.md").write_text(text, "utf-8")
    return 0


def some(names: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Reads the value of `--only` or `--parts`: some of these names, in their order."""
    chosen = text.split(",")
    if not set(chosen) <= set(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not some of {','.join(names)}")
    return tuple(name for name in names if name in chosen)


def prepare() -> None:
    """Makes the models and the home without tunings, unless they are there."""
    if not (BENCH / "small").exists():
        raise BenchError("no photos yet: run `make bench ARGS=--quick`")
    labels = LITE0 / "labels.txt"
    for script, folder in (("resnet50.py", RESNET50), ("vit.py", VIT)):
        fixtures.make(script, [HOME / "python"], [labels, folder], folder)
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    empty_home(FOLDER / "home")


def empty_home(home: Path) -> None:
    """Makes a home that has nothing but the runtime."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "lib").symlink_to(HOME / "lib")


def search(bench: Bench) -> dict[str, object]:
    """Measures the grid, then TUNE, then TUNE's choice beside the best of the grid."""
    plan, model = bench.plan, bench.model.name
    rate = bench.turn(None, 4 * WARMING)
    # Whole batches for all sessions, so that none has less to do than the others.
    round_of_largest = BATCHES[-1] * CORES
    photos = max(1, round(plan.turn * rate / round_of_largest)) * round_of_largest
    choices, rates = grid(), {}
    for choice in choices:
        query(max(WARMING, choice.batch_size * choice.concurrency))
    query(photos)
    started = time.perf_counter()
    for number in range(plan.rounds):
        for choice in choices if number % 2 == 0 else reversed(choices):
            rates.setdefault(choice, []).append(bench.turn(choice, photos))
            say(f"{model}: {choice}: {rates[choice][-1]:.1f}/s")
    grid_seconds = time.perf_counter() - started
    best = max(choices, key=lambda choice: median(rates[choice]))
    budget = min(BUDGET, max(1, int(grid_seconds * MOST_TIME) - 2))
    chosen, trials, tune_seconds = tune(bench, budget)
    say(f"{model}: best {best}; TUNE took {tune_seconds:.1f} s of {grid_seconds:.1f} s and chose {chosen}")
    ratios = [1.0]
    if chosen != best:
        turns = (partial(bench.turn, choice, photos) for choice in (chosen, best))
        ratios = list(paired(plan.pairs, *turns))
    return {
        "best": best,
        "chosen": chosen,
        "ratios": ratios,
        "seconds": (tune_seconds, grid_seconds),
        "rates": [(choice, rates[choice]) for choice in choices],
        "trials": trials,
    }


def grid() -> list[Choice]:
    """Returns every configuration, the threads of all sessions together as many as the cores."""
    threads = [1 << power for power in range(CORES.bit_length()) if 1 << power <= CORES]
    return [Choice(batch, CORES // each, each) for each in threads for batch in BATCHES]


def tune(bench: Bench, budget: int) -> tuple[Choice, list[dict[str, object]], float]:
    """Returns what TUNE chose, its trials, and the seconds of its process."""
    home = FOLDER / "tuned"
    empty_home(home)
    using = f"SELECT image FROM read_images('{fixtures.many_photos('small', TUNE_PHOTOS)}')"
    statements = [bench.create(None), f"TUNE MODEL m USING ({using}) OPTIONS (budget '{budget}s')"]
    started = time.perf_counter()
    shown = bench.run(["--quiet", "--format", "json", "--command", *statements], home)
    took = time.perf_counter() - started
    trials = json.loads(shown.splitlines()[-1])
    chosen = next(trial for trial in trials if trial["outcome"] == "chosen")
    return Choice(*(chosen[field] for field in Choice._fields)), trials, took


def auto(bench: Bench, searched: dict[str, object]) -> dict[str, object]:
    """Measures long queries with untuned `auto` beside the best of the grid."""
    if "best" not in searched:
        raise BenchError(f"{bench.model.name}: `--parts search` comes before `--parts auto`")
    best, rates = Choice(*searched["best"]), dict((tuple(choice), rates) for choice, rates in searched["rates"])
    photos = round(bench.plan.auto * median(rates[best]))
    query(photos)
    found = set()

    def untuned() -> float:
        rate, configuration = bench.analyzed(None, photos)
        say(f"{bench.model.name}: auto, {configuration}: {rate:.1f}/s")
        found.add(configuration)
        return rate

    def tuned() -> float:
        rate, configuration = bench.analyzed(best, photos)
        say(f"{bench.model.name}: best, {configuration}: {rate:.1f}/s")
        return rate

    ratios = list(paired(bench.plan.auto_pairs, untuned, tuned))
    return {"auto": sorted(found), "auto_ratios": ratios}


def paired(pairs: int, one: Callable[[], float], other: Callable[[], float]) -> Iterator[float]:
    """Measures two by turns, each first in every other pair, and yields the ratio of each pair."""
    for number in range(pairs):
        if number % 2 == 0:
            first = one()
            yield first / other()
        else:
            second = other()
            yield one() / second


def known(results: Path) -> dict[str, dict[str, object]]:
    """Returns what was ever measured, by model."""
    return json.loads(results.read_text("utf-8")) if results.exists() else {}


def keep(results: Path, name: str, measured: dict[str, object]) -> None:
    """Adds what was measured to the file of all."""
    every = known(results)
    results.write_text(json.dumps(every | {name: every.get(name, {}) | measured}), "utf-8")


def render(measured: dict[str, dict[str, object]], plan: Plan, load: float, *, is_given: bool) -> str:
    """Returns the report; `is_given` says that the binary is another than the release build."""
    head = ["", "grid's best", "TUNE's choice", f"choice ÷ best, at least {LEAST_CHOICE:.2f}"]
    head += [f"TUNE's time ÷ the grid's, at most {MOST_TIME:.2f}", "untuned `auto`"]
    rows = [[*head, f"`auto` ÷ best over {plan.auto:.0f} s, at least {LEAST_AUTO:.2f}"]]
    shown = {name: title for name, (title, _) in MODELS.items() if name in measured}
    for name, title in shown.items():
        one = measured[name]
        tune_seconds, grid_seconds = one["seconds"]
        share = tune_seconds / grid_seconds
        cells = [title, str(Choice(*one["best"])), str(Choice(*one["chosen"])), ratio(one["ratios"], LEAST_CHOICE)]
        cells.append(f"{share:.2f} ({tune_seconds:.0f} s, {grid_seconds:.0f} s){verdict(share <= MOST_TIME)}")
        cells.append("; ".join(one.get("auto", [])))
        cells.append(ratio(one["auto_ratios"], LEAST_AUTO) if "auto_ratios" in one else "")
        rows.append(cells)
    rates = [["images a second", *shown.values()]]
    for choice in grid():
        cells = [dict((Choice(*key), rates) for key, rates in measured[name]["rates"]).get(choice) for name in shown]
        rates.append([str(choice), *(spread(rates) if rates else "" for rates in cells)])
    notes = NOTES.format(
        query=QUERY.format("…"), budget=BUDGET, rounds=plan.rounds, turn=plan.turn, pairs=plan.pairs, auto=plan.auto,
        auto_pairs=plan.auto_pairs,
    )  # fmt: skip
    parts = ["# Results of `make bench-tuning`", report.table(rows), notes, report.table(rates)]
    parts.append("Measured with a binary given by `--binary`, such as the development build." * is_given)
    parts.append(report.machine(load, ()))
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def ratio(ratios: list[float], least: float) -> str:
    """Writes the median, the range, and whether it is met."""
    text = f"{median(ratios):.3f}"
    if len(ratios) > 1:
        text += f" ({min(ratios):.3f} to {max(ratios):.3f})"
    return text + verdict(median(ratios) >= least)


def verdict(is_met: bool) -> str:
    """Writes whether a value is as required."""
    return ", met" if is_met else ", **not met**"


def spread(rates: list[float]) -> str:
    """Writes the median of rates, the slowest and the fastest."""
    numbers = [report.number(rate) for rate in (median(rates), min(rates), max(rates))]
    return f"{numbers[0]} ({numbers[1]}–{numbers[2]})"


if __name__ == "__main__":
    sys.exit(main())
