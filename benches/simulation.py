#!/usr/bin/env python3
"""Computes how clusters that nobody has here would run a job, from what the real scheduler costs on this machine.

    make bench-simulation                      # some minutes; writes SIMULATION.md

```text
 scheduler and two executors ─► CPU of an idle request ─┐
 jobs of 50 to 1,000 tasks   ─► CPU and bytes a task    ├─► requests and tasks of 1 to 1,000 executors, event by event
 a folder of 400,000 files   ─► files listed a second  ─┘
```
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import heapq
import os
import random
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import cluster
import fixtures
import report
from fixtures import BENCH, BENCHES, RUN, say
from measure import BenchError, ask
from processes import cpu_seconds

FILES = (20_000, 100_000, 200_000, 400_000)
IDLE_SECONDS = 20.0

# Constants of Ballista (`NOTIFIED_IDLE_POLL_INTERVAL`, `HEARTBEAT_POLL_INTERVAL` in its execution_loop.rs) and of Seequel
# (`ASKED_EVERY`, `IDLE_AFTER` in cluster/src/executor/worker.rs; `TASK_COST`, `FILE_COST`, `MOST_TASKS` in
# src/images/scan/dealing.rs).
OFTEN_POLL = 0.05
OFTEN_SECONDS = 60.0
IDLE_POLL = 1.0
BUSY_POLL = 5.0
TASK_COST = 64 << 20
FILE_COST = 100_000
MOST_TASKS = 8192

# Assumptions.
CORES = 8
IMAGE_BYTES = 110_000
IMAGES_A_SECOND = 125.0
"""Of a core: Lite0 on small photos, half of what two cores do in RESULTS.md."""
NOISE = 0.1
"""Standard deviation of the logarithm of a task's time."""
ROW_BYTES = 120
"""Of a result: path and label."""
NETWORK = 1.25e9
"""Bytes a second of one machine: 10 Gbit/s."""
KEYS_A_SECOND = 10_000.0
"""Of a bucket's listing: a page of 1,000 keys in a tenth of a second, one page after the other."""
GETS_A_PREFIX = 5_500
"""Requests a second that S3 promises for each prefix."""
SETTINGS = ((1, 1_000_000), (10, 10_000_000), (100, 10_000_000), (1000, 10_000_000), (1000, 100_000_000))
"""Executors and images."""


class Costs(NamedTuple):
    """What the scheduler costs, in seconds of CPU and in bytes on the wire."""

    idle_share: float
    """Of a core, without executors."""
    poll_seconds: float
    poll_bytes: float
    task_seconds: float
    task_bytes: float
    listed: float
    """Files listed a second, on a local disk."""


class Run(NamedTuple):
    """A job of many tasks, simulated."""

    seconds: float
    idle: float
    """Share of the cores' time from the first task to the last in which they had none."""
    scheduler: float
    """Share of a core that the scheduler used."""


NOTES = """\
Computed, not run. Executors have {cores} cores, each of which reads and classifies {speed:.0f} images of {bytes:,} bytes a
second (Lite0; a model that takes ten times as long has a tenth of the requests, and ten times the hours). A task's time
varies by {noise:.0%}. One core of the scheduler answers all requests, one after the other, at the costs below; an executor
with a free core asks every {often:.0f} ms until it has had no task for {idle:.0f} seconds, then every second. Tasks: at most
{most:,}, as `MOST_TASKS` says, and as many as 64 MiB each make, where that is more. "Then": the tasks begin when the listing has
ended. "Idle": the share of the cores' time that they had no task.

Listing: {listed:,.0f} files a second of a disk, as measured; {keys:,.0f} a second of a bucket is an assumption. One task lists.
Requests to the store: a bucket gives {gets:,} a second for each prefix. Results: {row} bytes a row, path and label, which the
last task gathers and the client fetches.
"""

MEASURED = """\
A scheduler and two executors of one core each, on the loopback interface. Jobs: `sum(octet_length(name))` over hard links, so
that tasks read nothing; the cost of a task is the difference between the smallest and the largest job, by their tasks.
Messages are all bytes on that interface, less those of requests without a task. Idle, a scheduler takes time for a clock of
Ballista's that wakes up every millisecond.
"""


def main() -> int:
    """Measures, simulates, and prints and writes a report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=None, help="of the feature `cluster` [default: a release build]")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        if not (BENCH / "small").exists():
            raise BenchError("no photos yet: run `make bench ARGS=--quick`")
        shutil.rmtree(RUN, ignore_errors=True)
        RUN.mkdir(parents=True)
        cores = cluster.cores_of_machine()
        if cores is None:
            raise BenchError("two cores are needed")
        seequel = Path(options.binary) if options.binary else fixtures.release("cluster")
        costs, jobs = measured(seequel, cores)
    except BenchError as error:
        print(f"bench-simulation: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(RUN, ignore_errors=True)
    text = render(costs, jobs, load)
    print(text)
    (BENCHES / "SIMULATION.md").write_text(text, "utf-8")
    return 0


def measured(seequel: Path, cores: cluster.Cores) -> tuple[Costs, list[list[str]]]:
    """Returns the costs, and a row of the report for each job."""
    executors = cores.executors
    points, rows = [], []
    base = idle_share(seequel, cores)
    with cluster.cluster(seequel, executors, cores) as running:
        scheduler = running.processes[0].pid
        cpu, wire = cpu_seconds(scheduler), loopback_bytes()
        time.sleep(IDLE_SECONDS)
        polls = len(executors) * IDLE_SECONDS / OFTEN_POLL
        used = cpu_seconds(scheduler) - cpu - base * IDLE_SECONDS
        poll = used / polls, (loopback_bytes() - wire) / polls
        for count in FILES:
            folder = fixtures.many_photos("small", count)
            began, cpu, wire = time.perf_counter(), cpu_seconds(scheduler), loopback_bytes()
            tasks = run(seequel, running.arguments, f"SELECT sum(octet_length(name)) FROM read_images('{folder}')")
            seconds = time.perf_counter() - began
            own_polls = len(executors) * seconds / OFTEN_POLL
            used = cpu_seconds(scheduler) - cpu - base * seconds - own_polls * poll[0]
            sent = loopback_bytes() - wire - own_polls * poll[1]
            points.append((tasks, used, sent))
            rows.append([f"{count:,}", f"{tasks:,}", f"{seconds:.1f} s", f"{used:.2f} s", f"{sent / 1e6:.1f} MB"])
            say(f"{count:,} files: {tasks} tasks, {used:.2f} s of the scheduler, {seconds:.1f} s")
    began = time.perf_counter()
    folder = fixtures.many_photos("small", FILES[-1])
    ask(seequel, fixtures.environment(), f"SELECT count(*) FROM read_images('{folder}')")
    listed = FILES[-1] / (time.perf_counter() - began)
    (few, used_few, sent_few), (many, used_many, sent_many) = points[0], points[-1]
    task = (used_many - used_few) / (many - few), (sent_many - sent_few) / (many - few)
    return Costs(base, *poll, *task, listed), rows


def idle_share(seequel: Path, cores: cluster.Cores) -> float:
    """Returns the share of a core that a scheduler without executors takes."""
    with cluster.cluster(seequel, (), cores) as running:
        scheduler = running.processes[0].pid
        before = cpu_seconds(scheduler)
        time.sleep(IDLE_SECONDS)
        return (cpu_seconds(scheduler) - before) / IDLE_SECONDS


def run(seequel: Path, arguments: list[str], sql: str) -> int:
    """Runs a query, and returns the number of tasks that read images."""
    command = [str(seequel), "--no-rc", "--quiet", *arguments, "--command", sql]
    environment = fixtures.environment() | {"SEEQUEL_LOG": "seequel_cluster=debug"}
    ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    stages = [int(tasks) for tasks in re.findall(r"stage \d+ of (\d+) partitions", ran.stderr)]
    if ran.returncode != 0 or not stages:
        raise BenchError(f"{sql}: {ran.stderr[-300:]}")
    return max(stages)


def loopback_bytes() -> int:
    """Returns the bytes that this machine has sent to itself."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def tasks_of(images: int) -> int:
    """Returns the tasks that read so many images."""
    return min(MOST_TASKS, -(-images * (IMAGE_BYTES + FILE_COST) // TASK_COST))


def simulate(costs: Costs, executors: int, images: int, tasks: int) -> Run:
    """Runs tasks on executors that ask one scheduler, which answers one after the other, on one core."""
    choose = random.Random(1)
    long = images / tasks / IMAGES_A_SECOND
    free = [CORES] * executors
    # Whose requests come when; a task's end is told by the next request.
    polls = [(choose.random() * OFTEN_POLL, number) for number in range(executors)]
    heapq.heapify(polls)
    ends: list[list[float]] = [[] for _ in range(executors)]
    changed = [0.0] * executors
    waiting, served, last, used, running = tasks, 0.0, 0.0, 0.0, 0
    while waiting or running:
        now, number = heapq.heappop(polls)
        ended = sum(end <= now for end in ends[number])
        ends[number] = [end for end in ends[number] if end > now]
        free[number] += ended
        given = min(free[number], waiting)
        # Half of a task's cost is giving it, half is hearing how it ended.
        cost = costs.poll_seconds + (given + ended) * costs.task_seconds / 2
        served = max(served, now) + cost
        ends[number] += [served + long * choose.lognormvariate(0, NOISE) for _ in range(given)]
        waiting, running, free[number] = waiting - given, running + given - ended, free[number] - given
        last, used = max([last, *ends[number]]), used + cost
        if given or ended:
            changed[number] = now
        # With a free core it asks again, else when a task has ended.
        often = OFTEN_POLL if now - changed[number] < OFTEN_SECONDS else IDLE_POLL
        again = served + often if free[number] else min(max(min(ends[number]), served), served + BUSY_POLL)
        heapq.heappush(polls, (again, number))
    work = images / IMAGES_A_SECOND / (executors * CORES)
    return Run(last, 1 - work / last, used / last + costs.idle_share)


def render(costs: Costs, jobs: list[list[str]], load: float) -> str:
    """Returns the report."""
    measured = report.table([["files", "tasks", "client", "scheduler's CPU", "messages"], *jobs])
    figures = report.table(
        [
            ["one", "CPU of the scheduler", "bytes of messages"],
            ["second without executors", f"{costs.idle_share * 1e3:.0f} ms", ""],
            ["request of an executor without a task", f"{costs.poll_seconds * 1e6:.0f} µs", f"{costs.poll_bytes:.0f}"],
            ["task", f"{costs.task_seconds * 1e3:.2f} ms", f"{costs.task_bytes:,.0f}"],
        ]
    )
    titles = ["executors", "images", "tasks", "listing, disk / bucket", "then", "idle", "scheduler", "requests a second"]
    computed = [[*titles, "results"]]
    for executors, images in SETTINGS:
        whole = -(-images * (IMAGE_BYTES + FILE_COST) // TASK_COST)
        for tasks in sorted({min(MOST_TASKS, whole), whole}):
            computed.append(setting(costs, executors, images, tasks))
    notes = NOTES.format(
        cores=CORES,
        speed=IMAGES_A_SECOND,
        bytes=IMAGE_BYTES,
        noise=NOISE,
        keys=KEYS_A_SECOND,
        listed=costs.listed,
        most=MOST_TASKS,
        row=ROW_BYTES,
        gets=GETS_A_PREFIX,
        often=OFTEN_POLL * 1e3,
        idle=OFTEN_SECONDS,
    )
    parts = ["# Results of `make bench-simulation`", report.table(computed), notes, "## Measured here", figures, measured]
    parts += [MEASURED, report.machine(load, ())]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def setting(costs: Costs, executors: int, images: int, tasks: int) -> list[str]:
    """Returns a row of the report."""
    ran = simulate(costs, executors, images, tasks)
    requests = min(executors * CORES, tasks) * IMAGES_A_SECOND
    return [
        f"{executors:,}",
        f"{images:,}",
        f"{tasks:,}",
        f"{duration(images / costs.listed)} / {duration(images / KEYS_A_SECOND)}",
        duration(ran.seconds),
        f"{ran.idle:.0%}",
        f"{ran.scheduler:.0%} of a core",
        f"{requests:,.0f}",
        f"{images * ROW_BYTES / 1e9:.1f} GB",
    ]


def duration(seconds: float) -> str:
    """Returns a time in the unit that suits it."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
