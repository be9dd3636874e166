#!/usr/bin/env python3
"""Measures a cluster on this machine: two executors beside one, one beside the plain shell, and the first row.

    make bench-cluster                         # a quarter of an hour on two cores; writes its part of CLUSTER.md
    make bench-cluster ARGS='--rounds 1'

On a machine of more than two cores, scheduler and client have the others, and one executor is not compared with the
shell, which has but its own. CLUSTER.md has a part for each kind of machine.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import fixtures
import report
from contenders import LITE0
from fixtures import BENCH, BENCHES, RUN, say
from measure import BenchError, ask, measure
from processes import Ends, peak

PHOTOS = 3000
FEW = 20
ROUNDS = 5
START_SECONDS = 60
"""How long a process of the cluster may take to start."""

TITLE = "# Results of `make bench-cluster`\n"

NOTES = """\
Each turn starts a scheduler and executors, and a client whose query they run; the sides take turns, each first in every
{turn} round. Executors are new, so that their part of the job has the loading of the model, as the shell's has. `taskset`
gives each executor its cores; scheduler and client, which have little to do, {others}.

The job: `COPY` of path and label of {photos:,} photos of 500 × 375 to a Parquet file, which has to have each path once.
Time is that of the whole client. Ratios are of seconds, the median of {rounds} round{s}, with the smallest and largest in
parentheses. Idle at the end: the share of the executors' time, start to end of the client, that was after the last work of
each, the median; it includes what the client does after the last task.

First row: from the start of the client to the first line of a query over {few} photos, on two new executors.
"""


class Side(NamedTuple):
    """Where the job runs."""

    title: str
    executors: tuple[str, ...] | None
    """The cores of each, as `taskset` takes them; `None` is the plain shell."""


class Cores(NamedTuple):
    """Who may use which cores, as `taskset` takes them."""

    executors: tuple[str, str]
    others: str | None
    """Those of scheduler and client; `None` if there are no others."""

    def sides(self) -> tuple[Side, ...]:
        """Returns what takes turns."""
        first, second = self.executors
        scaling = (
            Side("one executor of one core", (first,)),
            Side("two executors of one core each", (first, second)),
        )
        if self.others:
            return scaling
        both = Side("one executor of two cores", (f"{first},{second}",))
        return (*scaling, both, Side("the shell without a cluster", None))

    def apart(self) -> list[str]:
        """Returns what a command of scheduler or client begins with."""
        return ["taskset", "-c", self.others] if self.others else []


ONE, TWO, BOTH, SHELL = range(4)
"""The positions of the sides."""


class Running(NamedTuple):
    """A cluster."""

    arguments: list[str]
    """Those of its clients."""
    processes: list[subprocess.Popen[bytes]]
    """The scheduler first."""


Peaks = dict[str, int]
"""The largest resident memory of each kind of process, in bytes."""


class Bar(NamedTuple):
    """What is asked."""

    title: str
    over: int
    under: int
    least: float | None = None
    most: float | None = None


BARS = (
    Bar("two executors ÷ one, speed", ONE, TWO, least=1.85),
    Bar("one executor ÷ the shell, time", BOTH, SHELL, most=1.08),
)
FIRST_ROW = 2.0
"""Seconds that it may take."""


def main() -> int:
    """Measures, and prints and writes a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each side [default: {ROUNDS}]")
    parser.add_argument("--photos", type=int, default=PHOTOS, help=f"[default: {PHOTOS}]")
    parser.add_argument("--binary", default=None, help="of the feature `cluster` [default: a release build]")
    parser.add_argument("--executors", help="two cores, as in 0,1 [default: two that share nothing]")
    parser.add_argument("--others", help="cores of scheduler and client, as in 2-15 [default: all others]")
    options = parser.parse_args()
    cores = cores_of_machine()
    if options.executors and options.others:
        first, second = options.executors.split(",")
        cores = Cores((first, second), options.others)
    load = os.getloadavg()[0]
    try:
        if not (BENCH / "small").exists():
            raise BenchError("no photos yet: run `make bench ARGS=--quick`")
        if cores is None:
            raise BenchError("two cores are needed")
        sides = cores.sides()
        shutil.rmtree(RUN, ignore_errors=True)
        RUN.mkdir(parents=True)
        seequel = Path(options.binary) if options.binary else fixtures.release("cluster")
        ran: list[list[Ran]] = [[] for _ in sides]
        rows: list[float] = []
        peaks: Peaks = {}
        for number in range(options.rounds):
            for index in range(len(sides)):
                side = (number + index) % len(sides)
                ran[side].append(job(seequel, sides[side], cores, options.photos, peaks))
                say(f"{sides[side].title}: {ran[side][-1].seconds:.1f} s")
            rows.append(first_row(seequel, cores))
            say(f"first row: {rows[-1]:.2f} s")
    except BenchError as error:
        print(f"bench-cluster: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(RUN, ignore_errors=True)
    text = render(ran, rows, peaks, cores, options.photos, load)
    print(text)
    write_part(BENCHES / "CLUSTER.md", text)
    return 0


def cores_of_machine() -> Cores | None:
    """Returns who may use which cores; `None` if there is but one.

    Executors have cores that share nothing: of two threads of a core, the other idles.
    """
    free = sorted(os.sched_getaffinity(0))
    threads = {core: siblings(core) for core in free}
    whole = [core for core in free if core == min(threads[core])]
    if len(whole) < 2:
        return Cores((str(free[0]), str(free[1])), None) if len(free) == 2 else None
    others = set(free) - threads[whole[0]] - threads[whole[1]]
    return Cores((str(whole[0]), str(whole[1])), ",".join(map(str, sorted(others))) or None)


def siblings(core: int) -> set[int]:
    """Returns the threads of the core that this one is a thread of, as far as the system tells."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text("utf-8")
    except OSError:
        return {core}
    ranges = [part.split("-") for part in text.strip().split(",")]
    return {number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)}


def write_part(file: Path, text: str) -> None:
    """Replaces the part of a report with this one's heading, or adds it."""
    old = file.read_text("utf-8") if file.exists() else TITLE
    title, *parts = old.split("\n## ")
    kept = {part.splitlines()[0]: part for part in parts}
    part = text.removeprefix("## ")
    kept[part.splitlines()[0]] = part
    file.write_text("\n## ".join([title.rstrip() + "\n", *(part.rstrip() + "\n" for part in kept.values())]), "utf-8")


class Ran(NamedTuple):
    """A job that has ended."""

    seconds: float
    """Of the client's process."""
    idle: float | None
    """The share of the executors' time after the last work of each."""


def job(seequel: Path, side: Side, cores: Cores, photos: int, peaks: Peaks) -> Ran:
    """Runs the job once."""
    folder, target = fixtures.many_photos("small", photos), RUN / "labels.parquet"
    target.unlink(missing_ok=True)
    sql = f"COPY (SELECT path, classify(image, '{LITE0.name}')['label'] AS label FROM read_images('{folder}')) TO '{target}'"
    with cluster(seequel, side.executors, cores, peaks) as running:
        command = [*cores.apart(), str(seequel), "--no-rc", "--quiet", *running.arguments, "--command", sql]
        executors = [process.pid for process in running.processes[1:]]
        with Ends(executors) as ends:
            cost = measure(command, fixtures.environment(), RUN / "job.log", by_itself=False)
    counts = f"SELECT count(*) AS n, count(DISTINCT path) AS paths, count(label) AS labels FROM '{target}'"
    row = ask(seequel, fixtures.environment(), counts)[0]
    if set(row.values()) != {photos}:
        raise BenchError(f"{side.title}: {row} instead of {photos} of each")
    return Ran(cost.seconds, ends.idle() if executors else None)


def first_row(seequel: Path, cores: Cores) -> float:
    """Returns the seconds from the start of a client to its first row."""
    folder = fixtures.many_photos("small", FEW)
    sql = f"SELECT path, classify(image, '{LITE0.name}')['label'] FROM read_images('{folder}')"
    with cluster(seequel, cores.executors, cores) as running:
        command = [*cores.apart(), str(seequel), "--no-rc", "--quiet", "--format", "csv", *running.arguments, "--command", sql]
        start = time.perf_counter()
        client = subprocess.Popen(command, env=fixtures.environment(), stdout=subprocess.PIPE, text=True)
        lines = [client.stdout.readline(), client.stdout.readline()]
        seconds = time.perf_counter() - start
        count = len(lines + client.stdout.readlines())
        if client.wait() != 0 or count != FEW + 1:
            raise BenchError(f"{count} lines, and exit status {client.returncode}")
    return seconds


@contextmanager
def cluster(
    seequel: Path, executors: tuple[str, ...] | None, cores: Cores, peaks: Peaks | None = None
) -> Iterator[Running]:
    """Runs a scheduler and executors on these cores, unless there is to be no cluster; notes their memory in `peaks`."""
    if executors is None:
        yield Running([], [])
        return
    processes: list[subprocess.Popen[bytes]] = []
    try:
        command = [*cores.apart(), str(seequel), "scheduler", "--bind", "127.0.0.1:0"]
        url = start(processes, command, "Scheduling at ", "scheduler")
        for number, own in enumerate(executors):
            tasks = str(len(own.split(",")))
            command = ["taskset", "-c", own, str(seequel), "executor", "--scheduler", url, "--cores", tasks]
            start(processes, command, "Running ", f"executor-{number}")
        # Registered, and idle.
        time.sleep(1)
        yield Running(["--cluster", url], processes)
    finally:
        for process in reversed(processes):
            if peaks is not None:
                size = "two cores" if "," in executors[0] else "one core"
                kind = "scheduler" if process is processes[0] else f"executor of {size}"
                peaks[kind] = max(peaks.get(kind, 0), peak(process.pid))
            process.send_signal(signal.SIGTERM)
            process.wait()


def start(processes: list[subprocess.Popen[bytes]], command: list[str], ready: str, name: str) -> str:
    """Starts a process, waits for a line that begins with `ready`, and returns the word after that."""
    log = RUN / f"{name}.log"
    with log.open("w") as output:
        processes.append(subprocess.Popen(command, env=fixtures.environment(), stdin=subprocess.DEVNULL, stderr=output))
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and processes[-1].poll() is None:
        line = next((line for line in log.read_text("utf-8").splitlines() if line.startswith(ready)), None)
        if line:
            return line.removeprefix(ready).split(";")[0]
        time.sleep(0.02)
    raise BenchError(f"{name} did not start: {log.read_text('utf-8')[:300]}")


def render(
    ran: list[list[Ran]], rows: list[float], peaks: Peaks, cores: Cores, photos: int, load: float
) -> str:
    """Returns this machine's part of the report."""
    times = [[each.seconds for each in own] for own in ran]
    sides = [["", "seconds", "images/s", "idle at the end"]]
    for side, own, jobs in zip(cores.sides(), times, ran, strict=True):
        seconds = median(own)
        idle = [each.idle for each in jobs if each.idle is not None]
        cells = f"{seconds:.1f} ({min(own):.1f} to {max(own):.1f})", report.number(photos / seconds)
        sides.append([side.title, *cells, f"{median(idle):.1%}" if idle else ""])
    bars = [["", "measured", "asked", "met"]]
    for bar in BARS:
        if max(bar.over, bar.under) >= len(times):
            continue
        ratios = sorted(over / under for over, under in zip(times[bar.over], times[bar.under], strict=True))
        middle = median(ratios)
        met = middle >= bar.least if bar.least is not None else middle <= bar.most
        asked = f"≥ {bar.least}" if bar.least is not None else f"≤ {bar.most}"
        bars.append([bar.title, f"{middle:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})", asked, "yes" if met else "**no**"])
    middle = median(rows)
    cell = f"{middle:.2f} s ({min(rows):.2f} to {max(rows):.2f})"
    bars.append(["first row", cell, f"≤ {FIRST_ROW:.0f} s", "yes" if middle <= FIRST_ROW else "**no**"])
    memory = [["peak memory", "MB"], *([kind, report.number(size / 1e6)] for kind, size in sorted(peaks.items()))]
    heading = "cores of their own" if cores.others else "the same two cores as executors"
    notes = NOTES.format(
        photos=photos,
        rounds=len(rows),
        s="s" * (len(rows) > 1),
        few=FEW,
        turn="second" if cores.others else "fourth",
        others="have others" if cores.others else "may use both",
    )
    tables = [report.table(rows) for rows in (bars, sides, memory)]
    parts = [f"## Client and scheduler on {heading}", *tables, notes, report.machine(load, ())]
    return "\n".join(part.rstrip() + "\n" for part in parts)


if __name__ == "__main__":
    sys.exit(main())
