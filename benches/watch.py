"""Watches a running process: the time to its first prediction, and to its end after an interrupt or a drop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from measure import TIMEOUT_SECONDS, BenchError, last_line

LOOKING_SECONDS = 1.5
"""How long the CPU time is sampled after the drop."""
LOOK_EVERY = 0.005
INTERRUPTED = 130
"""Exit status after Ctrl-C."""


class Dropped(NamedTuple):
    """The activity of a process after it dropped a query."""

    seconds: float
    """Until the last increase of its CPU time."""
    images: int
    """Inferred in that time."""


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a process whose input and output are pipes, and kills it at the end if it still runs."""
    with log.with_suffix(".err").open("w") as errors:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
        timer = threading.Timer(TIMEOUT_SECONDS, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()
            process.communicate()


def read_line(process: subprocess.Popen[bytes], log: Path) -> str:
    """Returns the next line of the process's output."""
    line = process.stdout.readline()
    if not line:
        raise BenchError(last_line(log.with_suffix(".err")) or "no output")
    return line.decode("utf-8").strip()


def first_line(command: list[str], environment: dict[str, str], log: Path) -> float:
    """Returns the seconds from the start of a process to the first line of its output."""
    start = time.perf_counter()
    with running(command, environment, log) as process:
        read_line(process, log)
        return time.perf_counter() - start


def after_interrupt(command: list[str], environment: dict[str, str], log: Path, lines: int) -> float:
    """Sends SIGINT to a process after `lines` lines of output; returns the seconds until it ends."""
    with running(command, environment, log) as process:
        for _ in range(lines):
            read_line(process, log)
        threading.Thread(target=process.stdout.read, daemon=True).start()
        start = time.perf_counter()
        process.send_signal(signal.SIGINT)
        status = process.wait()
        seconds = time.perf_counter() - start
    if status != INTERRUPTED:
        raise BenchError(f"exit status {status} after Ctrl-C, instead of {INTERRUPTED}")
    return seconds


def after_drop(command: list[str], environment: dict[str, str], log: Path) -> Dropped:
    """Samples the CPU time of the example `dropped` after it drops its query."""
    with running(command, environment, log) as process:
        read_line(process, log)
        start = time.perf_counter()
        spent, last = cpu_ticks(process.pid), 0.0
        while (now := time.perf_counter() - start) < LOOKING_SECONDS:
            if (ticks := cpu_ticks(process.pid)) > spent:
                spent, last = ticks, now
            time.sleep(LOOK_EVERY)
        process.stdin.close()
        counts = json.loads(read_line(process, log))
        process.stdin = None
    return Dropped(last, counts["in_the_end"] - counts["inferred"])


def cpu_ticks(process: int) -> int:
    """Returns the CPU time of all threads of a process, ended ones included, in clock ticks, usually 10 ms."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    utime, stime = 11, 12
    return int(fields[utime]) + int(fields[stime])
